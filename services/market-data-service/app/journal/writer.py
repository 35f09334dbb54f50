"""The end of the journal that grows: a block in memory, and the segment that it is written to."""

import contextlib
import os

from app.journal.folder import Folder
from app.journal.segment import Segment


class Writer:
    """Collects records and writes them a block at a time; what a write does not finish is cut off again.

    Nothing is synced: a killed process loses the block in memory, a power failure whatever the system had not written.
    """

    def __init__(self, folder: Folder, number: int, segment_bytes: int, block_bytes: int) -> None:
        """Begin with the segment `number`, made when the first block is written."""
        self.segment: Segment | None = None
        self.number = number  # of the next segment
        self.pending_bytes = 0
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._block_bytes = block_bytes
        self._pending: list[bytes] = []
        self._file = -1

    @property
    def has_block(self) -> bool:
        """Enough is collected for a write."""
        return self.pending_bytes >= self._block_bytes

    def add(self, record: bytes) -> None:
        self._pending.append(record)
        self.pending_bytes += len(record)

    def put_back(self, data: bytes) -> None:
        """Records that go before all that is collected."""
        self._pending.insert(0, data)
        self.pending_bytes += len(data)

    def take_pending(self) -> bytes:
        """What is collected and not written; it is no longer here."""
        data = b"".join(self._pending)
        self._pending.clear()
        self.pending_bytes = 0
        return data

    def flush(self) -> Segment | None:
        """Write what is collected; return the segment that this filled.

        Raises:
            OSError: it is still collected, and the segment is as it was.
        """
        if not self._pending:
            return None
        block = b"".join(self._pending)
        if self.segment is None:
            self._file = self._folder.create(self.number)
            self.segment = Segment(self.number, 0, 0)
            self.number += 1
        try:
            os.lseek(self._file, self.segment.size, os.SEEK_SET)
            self._folder.write_all(self._file, block)
        except OSError:
            self._undo(self.segment)
            raise
        self.segment.size += len(block)
        self.segment.records += block.count(b"\n")
        self._pending.clear()
        self.pending_bytes = 0
        return self.finish() if self.segment.size >= self._segment_bytes else None

    def finish(self) -> Segment | None:
        """Close the segment that is being written; return it."""
        segment, self.segment = self.segment, None
        if segment is not None:
            os.close(self._file)
        return segment

    def _undo(self, segment: Segment) -> None:
        """Cut off what a write left; else the same bytes are written over it, or a reader does so."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, segment.size)
        if not segment.size:
            self.finish()
            with contextlib.suppress(OSError):
                self._folder.file(segment.number, 0).unlink()
