"""One file of the journal, and the reading of it."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic

from app.bus import M
from app.journal.framing import records, unframe
from md_contract.codec import UnreadableError


@dataclass
class Segment:
    """Some records, oldest first."""

    number: int  # 0: no file, because they could not be written
    size: int  # bytes
    records: int  # not read yet
    done: int = 0  # bytes from the beginning that have been released, as the file's name says
    recovered: bool = False  # left by an earlier run


class Reading(Generic[M]):
    """A segment in memory, read record by record."""

    def __init__(self, segment: Segment, data: bytes, decode: Callable[[bytes], M]) -> None:
        self.segment = segment
        self._decode = decode
        self.data = data
        self.done = segment.done  # bytes released
        self.unread = data.count(b"\n", segment.done)
        self.damaged = 0
        self._next = segment.done
        self._ends: deque[int] = deque()  # of the events that are read and not released

    @property
    def over(self) -> bool:
        """All of it is read and released."""
        return not self.unread and not self._ends

    def read(self, limit: int) -> list[M]:
        """The next events, at most `limit`; what is damaged is passed over and counted."""
        events: list[M] = []
        for end, payload in records(self.data, self._next):
            self._next = end
            self.unread -= 1
            event = _read(payload, self._decode)
            if event is None:
                self.damaged += 1
                continue
            events.append(event)
            self._ends.append(end)
            if len(events) == limit:
                break
        return events

    def release(self, count: int) -> None:
        """The first `count` events that are not yet released are done with."""
        for _ in range(count):
            self.done = self._ends.popleft()


def decode_lines(data: bytes, decode: Callable[[bytes], M]) -> list[M]:
    """All events of these records that can be read."""
    decoded = (_read(unframe(line), decode) for line in data.splitlines())
    return [event for event in decoded if event is not None]


def _read(payload: bytes | None, decode: Callable[[bytes], M]) -> M | None:
    if payload is None:
        return None
    try:
        return decode(payload)
    except UnreadableError:  # a newer version's, perhaps
        return None
