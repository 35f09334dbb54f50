"""An answer as a table for people, as CSV, or as a Parquet file; rows come in batches and are never all in memory."""

import csv
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, Final, Literal, TextIO, TypeAlias

from rich.console import Console
from rich.table import Table

from app.history.times import show_time

Format: TypeAlias = Literal["table", "csv", "parquet"]
Row: TypeAlias = Sequence[Any]
Batches: TypeAlias = AsyncIterator[Sequence[Row]]
Answer: TypeAlias = AsyncGenerator[Sequence[Row], None]

TIMES: Final = ("ts", "minute")  # columns that people read as times
NOTHING: Final = "nothing is stored in this time"
TABLE_ROWS: Final = 50  # of a table, unless more are asked for


class OutputError(ValueError):
    """The answer cannot be written as asked."""


async def write(batches: Answer, columns: Sequence[str], form: Format, path: Path | None, most: int | None) -> int:
    """Write the answer; return the number of rows.

    Args:
        batches: the rows.
        columns: their names.
        form: how.
        path: the file to make; None: standard output. A file appears when it is complete.
        most: rows to write at most; None: all (a table: TABLE_ROWS).

    Raises:
        OutputError: Parquet without a file to go to, or without the library for it.
        OSError: the file cannot be written.
    """
    if form == "parquet" and path is None:
        raise OutputError("Parquet needs a file: add --output FILE.parquet")
    async with aclosing(batches):  # who has enough before the end lets go of the connection now, not some day
        if path is None:
            return await _text(batches, columns, form, sys.stdout, most)

        async def fill(temporary: Path) -> int:
            if form == "parquet":
                return await _parquet(_cut(batches, most), columns, temporary)
            with temporary.open("w", encoding="utf-8", newline="") as file:
                return await _text(batches, columns, form, file, most)

        return await _to_file(path, fill)


async def _to_file(path: Path, fill: Callable[[Path], Any]) -> int:
    temporary = path.with_name(path.name + ".tmp")
    try:
        count: int = await fill(temporary)
        temporary.replace(path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
    return count


async def _text(batches: Batches, columns: Sequence[str], form: Format, file: TextIO, most: int | None) -> int:
    if form == "csv":
        return await _csv(_cut(batches, most), columns, file)
    return await _table(batches, columns, file, TABLE_ROWS if most is None else most)


async def _cut(batches: Batches, most: int | None) -> Batches:
    left = most
    async for rows in batches:
        yield rows if left is None else rows[:left]
        if left is not None:
            left -= len(rows)
            if left <= 0:
                return


async def _csv(batches: Batches, columns: Sequence[str], file: TextIO) -> int:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    count = 0
    async for rows in batches:
        writer.writerows(rows)
        count += len(rows)
    return count


async def _table(batches: Batches, columns: Sequence[str], file: TextIO, most: int) -> int:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, justify="left" if name in TIMES else "right", no_wrap=True)
    count = 0
    async for rows in _cut(batches, most + 1):
        for row in rows[: most - count]:
            table.add_row(*(_cell(name, value) for name, value in zip(columns, row, strict=True)))
        count += len(rows)
    width = None if file.isatty() else 200
    console = Console(file=file, width=width, highlight=False, markup=False, emoji=False)
    console.print(table if count else NOTHING)
    if count > most:
        more = f"... and more: these are the first {most}; --limit N shows more, --format csv all"
        console.print(more)
        if file is not sys.stdout:
            print(more, file=sys.stderr)  # noqa: T201 - the file's reader may be another one
    return min(count, most)


def _cell(name: str, value: object) -> str:
    if value is None:
        return "-"
    if name in TIMES and isinstance(value, int):
        return show_time(value)
    return f"{value:.10g}" if isinstance(value, float) else str(value)


async def _parquet(batches: Batches, columns: Sequence[str], path: Path) -> int:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq

        from app.history.archive.columns import exact
    except ImportError:
        raise OutputError(NO_ARROW) from None
    fields = [(name, index, _CONVERSIONS.get(name)) for index, name in enumerate(columns)]
    fields += [(f"{name}_exact", index, exact) for index, name in enumerate(columns) if name in _DECIMALS]
    schema = pa.schema([(name, _arrow_type(pa, name)) for name, _, _ in fields])
    count = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        async for rows in batches:
            values = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
            arrays = [
                pa.array(list(map(convert, values[index])) if convert else values[index], schema.field(name).type)
                for name, index, convert in fields
            ]
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
            count += len(rows)
    return count


NO_ARROW: Final = "Parquet needs pyarrow: pip install pyarrow (the extra [archive] of this service)"
_DECIMALS: Final = (
    "price",
    "size",
)  # exact in the store: a double, and the text where the double does not give it back
_NUMBERS: Final = frozenset({*_DECIMALS, "vwap", "volume", "low", "high"})
_INTS: Final = frozenset({*TIMES, "trades"})
_CONVERSIONS: Final[dict[str, Callable[[Any], Any]]] = dict.fromkeys(_DECIMALS, float)


def _arrow_type(pa: Any, name: str) -> Any:  # noqa: ANN401 - pyarrow has no types
    if name in _NUMBERS:
        return pa.float64()
    if name in _INTS:
        return pa.int64()
    return pa.bool_() if name == "backfill" else pa.string()
