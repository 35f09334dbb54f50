"""One hour of one type from the store to the archive."""

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from app.history.archive.columns import Columns
from app.history.archive.errors import DamagedArchiveError
from app.history.archive.layout import VERIFIED, Hour
from app.history.archive.parts import Parts
from app.history.archive.tables import ARCHIVED
from app.history.archive.verified import (
    Verified,
    is_intact,
    is_pruned,
    is_unaccounted,
    read_verified,
    remove_others,
    unmark_pruned,
    write_verified,
)
from app.storage.reader import Reader

BATCH_ROWS: Final = 20_000


async def count_stored(reader: Reader, hour: Hour, symbols: Sequence[str]) -> dict[str, int]:
    """Rows of the hour in the store, by symbol; those without any are left out."""
    archived = ARCHIVED[hour.type]
    counts = {}
    for symbol in symbols:
        [(count,)] = await reader.rows(archived.count(symbol, hour.start_ns, hour.stop_ns))
        if count:
            counts[symbol] = count
    return counts


async def archive_hour(
    reader: Reader, root: Path, hour: Hour, symbols: Sequence[str], on_rows: Callable[[int], None]
) -> Verified | None:
    """Archive one hour and vouch for it; None when the archive already holds what the store does.

    Rows that the archive has and the store no longer has stay: an hour is only ever added to. Files get new numbers,
    and the old ones go when the new ones have been vouched for, so an end at any instant loses nothing.

    Args:
        reader: the store.
        root: folder of the archive.
        hour: over for good, so that no row is being written into it.
        symbols: all that have rows of this type.
        on_rows: called with the number of rows after each batch.

    Raises:
        DamagedArchiveError: what had been verified is no longer there, so nothing may be written over it.
        VerificationError: what was read back is not what was written.
    """
    pruned = is_pruned(root, hour)  # asked before the rows are counted: what is deleted from here on is marked anew
    stored = await count_stored(reader, hour, symbols)
    before = read_verified(root, hour)
    if before is not None:
        remove_others(root, hour, before.files)
        if not stored or (before.stored == stored and not pruned):
            return None
        if not is_intact(root, hour, before):
            raise DamagedArchiveError(
                f"{root / hour.folder}: a file of hour {hour.name} is missing or changed since it was verified; "
                f"restore it, or delete {hour.name}{VERIFIED} and the hour's files to archive what the store has"
            )
    elif stored:
        if is_unaccounted(root, hour):
            raise DamagedArchiveError(
                f"{root / hour.folder}: {hour.name}{VERIFIED} is missing or cannot be read, and the hour's files may "
                f"hold what the store has no more; restore it, or move the files of hour {hour.name} elsewhere"
            )
        remove_others(root, hour, [])
    else:
        return None
    columns = Columns(ARCHIVED[hour.type].table)
    known = {} if before is None else before.archived
    old = [] if before is None else _read_old(root, hour, before)
    parts = Parts(root, hour, columns.schema)
    archived = {}
    for symbol in sorted({*stored, *known}):
        rows = 0
        async for batch in _batches(reader, hour, symbol, columns, old if symbol in known else []):
            parts.add(batch)
            rows += batch.num_rows
            on_rows(batch.num_rows)
        archived[symbol] = rows
    verified = Verified(hour.type, str(hour), parts.finish(), archived, stored)
    write_verified(root, hour, verified)
    if pruned:
        unmark_pruned(root, hour)
    remove_others(root, hour, verified.files)
    return verified


async def _batches(
    reader: Reader, hour: Hour, symbol: str, columns: Columns, old: list[pa.Table]
) -> AsyncIterator[pa.RecordBatch]:
    """The symbol's rows in order: the store's, joined with what the archive had."""
    statement = ARCHIVED[hour.type].rows(symbol, hour.start_ns, hour.stop_ns)
    if not old:
        async for rows in reader.batches(statement, size=BATCH_ROWS):
            yield columns.batch(rows)
        return
    new = [columns.batch(rows) async for rows in reader.batches(statement, size=BATCH_ROWS)]
    had = [table.filter(pc.equal(table["symbol"], symbol)) for table in old]
    for batch in _union(pa.concat_tables([*had, pa.Table.from_batches(new, columns.schema)]), hour).to_batches():
        yield batch


def _read_old(root: Path, hour: Hour, before: Verified) -> list[pa.Table]:
    """The hour as the archive has it; only needed for an hour that was added to after it had been archived."""
    return [pq.read_table(root / hour.folder / file.name, partitioning=None) for file in before.files]


def _union(table: pa.Table, hour: Hour) -> pa.Table:
    """Every row once, by its key, sorted."""
    archived = ARCHIVED[hour.type]
    keys: list[Any] = [column.name for column in archived.table.primary_key.columns]
    table = table.sort_by([(name, "ascending") for name in keys]).combine_chunks()
    if table.num_rows < 2:
        return table
    is_new = [pc.not_equal(table[name].slice(1), table[name].slice(0, table.num_rows - 1)) for name in keys]
    first = pa.chunked_array([pa.array([True])])
    mask = is_new[0]
    for other in is_new[1:]:
        mask = pc.or_(mask, other)
    return table.filter(pa.chunked_array([*first.chunks, *mask.chunks], pa.bool_()))
