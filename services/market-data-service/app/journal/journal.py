"""The bounded journal of one buffer: events that memory has no room for, in files.

    append -> block in memory -> newest segment ... oldest segment -> read -> release: its file is deleted

Segments are files of about a megabyte. How far a segment has been released stands in its name, so a process that was
killed repeats at most the batch that it was handing over. What it loses is the block in memory: at most BLOCK_BYTES,
and at most what came since the last `flush`. Nothing is synced to the disk before the system does it: what a power
failure takes is up to the system.

Appending is encoding and a checksum; one write in some hundred appends. Everything is synchronous, on a page cache.
"""

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Generic, overload

from app.bus import M
from app.journal.folder import Folder
from app.journal.framing import frame
from app.journal.pieces import cut_to_pieces
from app.journal.segment import Reading, Segment, decode_lines
from app.journal.writer import Writer
from md_contract.codec import decode_event, encode
from md_contract.events import Event

BLOCK_BYTES: Final = 64 * 1024
SEGMENT_BYTES: Final = 1024 * 1024
SEGMENTS: Final = 8  # at least, however small the bound: only a whole segment makes room
FIRST_NUMBER: Final = 1_000_000  # `prepend` counts down from here


class Journal(Generic[M]):
    """See `app.bus.Journal` for the methods. It owns its folder until `close`."""

    @overload
    def __init__(
        self: "Journal[Event]", directory: Path, max_bytes: int, *, block_bytes: int = BLOCK_BYTES
    ) -> None: ...

    @overload
    def __init__(
        self, directory: Path, max_bytes: int, *, decode: Callable[[bytes], M], block_bytes: int = BLOCK_BYTES
    ) -> None: ...

    def __init__(
        self,
        directory: Path,
        max_bytes: int,
        *,
        decode: Callable[[bytes], Any] = decode_event,
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        """Open the journal, with what an earlier run left there.

        Args:
            directory: made if there is none.
            max_bytes: bound of all files together and of the block in memory.
            decode: reads what `md_contract.codec.encode` has written; raises `UnreadableError`.
            block_bytes: how much is collected before it is written.

        Raises:
            JournalError: the folder cannot be used, or another process uses it.
        """
        self.records = 0
        self.bytes = 0
        self.max_bytes = max_bytes
        self.recovering = False
        self.torn = 0
        self.corrupt = 0
        self.corrupt_before = 0
        self.misnamed = 0
        self.refused = 0
        self.write_errors = 0
        self.read_errors = 0
        self.last_error: str | None = None
        self._block_bytes = min(block_bytes, max_bytes // SEGMENTS)
        self._segment_bytes = max(self._block_bytes, min(SEGMENT_BYTES, max_bytes // SEGMENTS))
        self._decode: Callable[[bytes], M] = decode
        self._folder = Folder(directory)
        self._segments: deque[Segment] = deque()  # on disk, complete and unread, oldest first
        self._reading: Reading[M] | None = None
        self._find_segments()
        numbers = [number for number, _ in self._folder.segments()] or [FIRST_NUMBER]
        self._lowest = numbers[0]
        self._writer = Writer(self._folder, numbers[-1] + 1, self._segment_bytes, self._block_bytes)
        self._closed = False

    def append(self, event: M) -> bool:
        if self.bytes >= self.max_bytes or self._closed:
            self.refused += 1
            return False
        record = frame(encode(event))
        size = len(record)
        writer = self._writer
        if self.bytes + size > self.max_bytes or size > self._segment_bytes or (writer.has_block and not self.flush()):
            self.refused += 1
            return False
        writer.add(record)
        self.bytes += size
        self.records += 1
        if writer.has_block:
            self.flush()
        return True

    def prepend(self, events: Sequence[M]) -> list[M]:
        pieces, refused = cut_to_pieces(events, self._segment_bytes)
        for data, held in reversed(pieces):
            if not self._prepend_segment(data, len(held)):
                refused = held + refused
        self.refused += len(refused)
        return refused

    def read(self, limit: int) -> list[M]:
        reading = self._reading
        if reading is None:
            reading = self._reading = self._next_reading()
        if reading is None:
            return []
        segment = reading.segment
        self.recovering = segment.recovered
        unread, damaged = reading.unread, reading.damaged
        events = reading.read(limit)
        self.records -= unread - reading.unread
        if reading.damaged > damaged:
            self._count_corrupt(segment, reading.damaged - damaged)
            self.last_error = f"damaged records passed over in segment {segment.number}"
        if reading.over:
            self._end_reading(segment)
        return events

    def release(self, count: int) -> None:
        reading = self._reading
        if reading is None:
            raise RuntimeError("release what has been read")
        reading.release(count)
        segment = reading.segment
        if reading.over:
            self._end_reading(segment)
        elif segment.number:
            try:
                self._folder.file(segment.number, segment.done).rename(self._folder.file(segment.number, reading.done))
                segment.done = reading.done
            except OSError as error:
                self._write_failed(error)

    def rewind(self) -> None:
        reading, self._reading = self._reading, None
        if reading is None:
            return
        segment = reading.segment
        again = reading.data.count(b"\n", reading.done)
        self.records += again - reading.unread
        if not segment.number:
            self._writer.put_back(reading.data[reading.done :])
            self.bytes -= reading.done
        else:
            segment.records = again
            self._segments.appendleft(segment)

    def flush(self) -> bool:
        try:
            full = self._writer.flush()
        except OSError as error:
            self._write_failed(error)
            return False
        if full is not None:
            self._segments.append(full)
        return True

    def close(self) -> list[M]:
        if self._closed:
            return []
        self._closed = True
        self.rewind()
        unwritten = [] if self.flush() else decode_lines(self._writer.take_pending(), self._decode)
        self.records -= len(unwritten)
        self._writer.finish()
        self._folder.close()
        return unwritten

    def _find_segments(self) -> None:
        """Take up what an earlier run left; what it was writing when it was killed is cut off."""
        for number, done in self._folder.segments():
            try:
                size, since, records, was_torn = self._folder.take_up(number, done)
            except OSError as error:
                self._read_failed(number, error)
                continue
            self.torn += was_torn
            self.misnamed += since != done
            self.bytes += size
            self.records += records
            segment = Segment(number, size, records, since, recovered=True)
            if records:
                self._segments.append(segment)
            else:
                self._delete(segment)

    def _next_reading(self) -> Reading[M] | None:
        """Open the oldest segment; if only the block in memory is left, that; None when it cannot be read."""
        if not self._segments:
            self.flush()
            newest = self._writer.finish()
            if newest is not None:
                self._segments.append(newest)
            elif not self._segments:
                data = self._writer.take_pending()
                return Reading(Segment(0, len(data), data.count(b"\n")), data, self._decode)
        segment = self._segments.popleft()
        try:
            data = self._folder.read(segment.number, segment.done, segment.size)
        except OSError as error:
            self._read_failed(segment.number, error)
            self._count_corrupt(segment, segment.records)
            self.records -= segment.records
            self.bytes -= segment.size
            return None
        reading = Reading(segment, data, self._decode)
        self.records += reading.unread - segment.records
        return reading

    def _prepend_segment(self, data: bytes, records: int) -> bool:
        if self.bytes + len(data) > self.max_bytes or self._closed:
            return False
        number = self._lowest - 1
        try:
            self._folder.write(number, data)
        except OSError as error:
            self._write_failed(error)
            return False
        self._lowest = number
        self._segments.appendleft(Segment(number, len(data), records))
        self.bytes += len(data)
        self.records += records
        return True

    def _end_reading(self, segment: Segment) -> None:
        self._reading = None
        self._delete(segment)

    def _delete(self, segment: Segment) -> None:
        self.bytes -= segment.size
        if segment.number:
            try:
                self._folder.file(segment.number, segment.done).unlink()
            except OSError as error:
                self._write_failed(error)

    def _count_corrupt(self, segment: Segment, records: int) -> None:
        self.corrupt += records
        if segment.recovered:
            self.corrupt_before += records

    def _read_failed(self, number: int, error: OSError) -> None:
        self.read_errors += 1
        self.last_error = f"cannot read segment {number}: {error.strerror}"

    def _write_failed(self, error: OSError) -> None:
        self.write_errors += 1
        self.last_error = f"{error.strerror} ({self._folder.path})"
