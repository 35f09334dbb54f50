"""From batches of rows to verified Parquet files, in memory that does not grow with the hour."""

from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from app.history.archive.errors import VerificationError
from app.history.archive.files import publish
from app.history.archive.layout import WRITING, Hour
from app.history.archive.verified import File, describe, next_number

ROWS_PER_PART: Final = 500_000  # kept in memory until the file has been read back: 50 to 100 MB
ROWS_PER_GROUP: Final = 100_000


class Parts:
    """The files of one hour, one after the other; each is read back and compared before it gets its name."""

    def __init__(self, root: Path, hour: Hour, columns: pa.Schema, rows_per_part: int = ROWS_PER_PART) -> None:
        self.files: list[File] = []
        self._root = root
        self._hour = hour
        self._columns = columns
        self._rows_per_part = rows_per_part
        self._number = next_number(root, hour)
        self._batches: list[pa.RecordBatch] = []
        self._rows = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Take the next rows, in order."""
        if not batch.num_rows:
            return
        self._batches.append(batch)
        self._rows += batch.num_rows
        if self._rows >= self._rows_per_part:
            self._write()

    def finish(self) -> list[File]:
        """Write what is left; return all files."""
        if self._batches:
            self._write()
        return self.files

    def _write(self) -> None:
        path = self._root / self._hour.part(self._number)
        temporary = path.with_name(path.name + WRITING)
        path.parent.mkdir(parents=True, exist_ok=True)
        table = pa.Table.from_batches(self._batches, self._columns)
        pq.write_table(table, temporary, compression="zstd", row_group_size=ROWS_PER_GROUP, **_ENCODING)
        if not pq.read_table(temporary, partitioning=None).equals(table):
            temporary.unlink()
            raise VerificationError(f"{path}: what was read back differs from what was written; check this disk")
        written = describe(temporary, table.num_rows)
        if written is None:
            raise VerificationError(f"{path}: gone while it was being written; is another archive run at work?")
        publish(temporary, path)
        self._number += 1
        self.files.append(written)
        self._batches, self._rows = [], 0


_ENCODING: Final[dict[str, Any]] = {"version": "2.6", "write_statistics": True}
