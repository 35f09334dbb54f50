"""Gap notices: they travel beside the data queue and are applied exactly where the data is missing. Pure.

A notice carries the queue position before which it holds: everything put earlier is from before the gap, everything
later from after it. The queue can drop data; it can never drop the news that data is missing. News of a stream whose
next event has not come yet is owed: it is given with that event, or when the queue has run empty.
"""

from collections import deque

from msgspec import Struct

from senpai.md_consumer.subscriber.sequence import UNKNOWN_AMOUNT, Stream


class GapNotice(Struct):
    """`missing` events of (type, symbol) will never come (UNKNOWN_AMOUNT: nobody knows how many)."""

    position: int
    event_type: str
    symbol: str
    missing: int


class GapNotices:
    """Notices in the order of their positions, at most `bound` of them (and one owed per stream)."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self.waiting: deque[GapNotice] = deque()
        self._owed: dict[tuple[str, str], Stream] = {}

    def __len__(self) -> int:
        return len(self.waiting)

    @property
    def full(self) -> bool:
        """Like the queue's: let events leave before the next one is taken from NATS."""
        return len(self.waiting) >= self._bound

    def owe(self, stream: Stream) -> None:
        """Remember that the stream is missing something and that its next event has not been queued."""
        self._owed[stream.event_type, stream.symbol] = stream

    def announce(self, stream: Stream, position: int) -> None:
        """Give notice of what the stream is missing, as of the event at `position`."""
        self._owed.pop((stream.event_type, stream.symbol), None)
        missing, stream.missing = stream.missing, 0
        same = (position, stream.event_type, stream.symbol)
        last = self.waiting[-1] if self.waiting else None
        if last is None or (last.position, last.event_type, last.symbol) != same:
            self.waiting.append(GapNotice(*same, missing))
        elif UNKNOWN_AMOUNT in (last.missing, missing):
            last.missing = UNKNOWN_AMOUNT
        else:
            last.missing += missing

    def announce_owed(self, position: int) -> None:
        """Give all notices that are owed, as of `position`."""
        for stream in list(self._owed.values()):
            self.announce(stream, position)

    def take(self, position: int) -> GapNotice | None:
        """The oldest notice that holds before the event at `position`, or None."""
        if self.waiting and self.waiting[0].position <= position:
            return self.waiting.popleft()
        return None
