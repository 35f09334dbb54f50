"""A local book kept from one topic that sends a whole book first and numbered changes after it.

A snapshot may come again at any time and replaces the book. A change whose number does not follow the one before ends
the book at once: it is then wanted anew, which the venue does when the topic is left and joined again. Until the next
snapshot nothing is served.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from app.books.book import Book, Change
from app.books.diff_sync import MAX_CROSSED_NS, BookCounters, TopLevels
from app.books.diff_sync import Sign as Reason
from md_contract.units import NS_PER_S

MAX_WAIT_NS: Final = 5 * NS_PER_S  # for the first snapshot, while changes already come in
MAX_GROWTH: Final = 2  # levels a side, in times the depth of the topic


class DeltaState(StrEnum):
    WAITING = "waiting"  # subscribed; for the snapshot
    LIVE = "live"
    BROKEN = "broken"  # only a snapshot helps
    LEAVING = "leaving"  # the topic is being left in order to join it again


class Sign(StrEnum):
    SNAPSHOT = "snapshot"
    GAP = "gap"  # a change does not follow the one before
    LOST = "lost"  # an update could not be read, or will not come
    CROSSED = "crossed"  # for longer than a moment
    OVERGROWN = "overgrown"  # more levels than the topic carries
    OVERDUE = "overdue"  # changes keep coming, but no snapshot
    LEAVING = "leaving"  # the venue is asked to end the topic
    LEFT = "left"  # the venue has ended it; the topic is being joined again


TRANSITIONS: Final[dict[tuple[DeltaState, Sign], DeltaState]] = {
    (DeltaState.WAITING, Sign.SNAPSHOT): DeltaState.LIVE,
    (DeltaState.WAITING, Sign.LOST): DeltaState.BROKEN,
    (DeltaState.WAITING, Sign.OVERDUE): DeltaState.BROKEN,
    (DeltaState.LIVE, Sign.SNAPSHOT): DeltaState.LIVE,
    (DeltaState.LIVE, Sign.GAP): DeltaState.BROKEN,
    (DeltaState.LIVE, Sign.LOST): DeltaState.BROKEN,
    (DeltaState.LIVE, Sign.CROSSED): DeltaState.BROKEN,
    (DeltaState.LIVE, Sign.OVERGROWN): DeltaState.BROKEN,
    (DeltaState.BROKEN, Sign.SNAPSHOT): DeltaState.LIVE,
    (DeltaState.BROKEN, Sign.LEAVING): DeltaState.LEAVING,
    (DeltaState.LEAVING, Sign.LEFT): DeltaState.WAITING,
}


class DeltaSync:
    """Keeps one symbol's book in step with its topic. `depth` is the number of levels a side that the topic carries."""

    def __init__(self, depth: int, counters: BookCounters) -> None:
        self.state = DeltaState.WAITING
        self._counters = counters
        self._max_levels = MAX_GROWTH * depth
        self._book = Book()
        self._last = 0  # the number of the last update applied
        self._ts_recv = 0
        self._ts_event: int | None = None
        self._crossed_since: int | None = None
        self._waiting_since: int | None = None  # the first change that came before its snapshot

    def on_snapshot(
        self, number: int, bids: Sequence[Change], asks: Sequence[Change], ts_recv: int, ts_event: int
    ) -> bool:
        """Take a whole book; return True when it is LIVE by it."""
        self._move(Sign.SNAPSHOT)
        if self.state is not DeltaState.LIVE:
            return False
        self._book.load(bids, asks)
        self._stamp(number, ts_recv, ts_event)
        return self.state is DeltaState.LIVE

    def on_delta(
        self, number: int, bids: Sequence[Change], asks: Sequence[Change], ts_recv: int, ts_event: int
    ) -> bool:
        """Take one update; return True when the published levels may have changed."""
        if self.state is not DeltaState.LIVE:
            if self.state is DeltaState.WAITING:
                self._wait(ts_recv)
            return False
        if number != self._last + 1:
            self._move(Sign.GAP)
            return False
        self._book.apply(bids, asks)
        self._stamp(number, ts_recv, ts_event)
        return self.state is DeltaState.LIVE

    def on_lost(self) -> None:
        """An update could not be read, or will not come: the book is wrong from here on."""
        self._move(Sign.LOST)

    def wants_snapshot(self) -> bool:
        """True when the topic should be left and joined again; the caller then does so and calls `leaving`, `left`."""
        return self.state is DeltaState.BROKEN

    def leaving(self) -> None:
        self._move(Sign.LEAVING)

    def left(self) -> None:
        self._waiting_since = None
        self._move(Sign.LEFT)

    def top(self, depth: int) -> TopLevels | None:
        """The best `depth` levels a side, or None while they are not known for certain."""
        if self.state is not DeltaState.LIVE or self._crossed_since is not None:
            return None
        return TopLevels(self._book.bids.top(depth), self._book.asks.top(depth), self._ts_recv, self._ts_event)

    def _move(self, sign: Sign) -> None:
        state = TRANSITIONS.get((self.state, sign), self.state)
        if self.state is DeltaState.LIVE and state is not DeltaState.LIVE:
            self._counters.given_up[Reason(sign)] += 1
            self._book = Book()
        self.state = state

    def _wait(self, ts_recv: int) -> None:
        if self._waiting_since is None:
            self._waiting_since = ts_recv
        elif ts_recv - self._waiting_since > MAX_WAIT_NS:
            self._move(Sign.OVERDUE)

    def _stamp(self, number: int, ts_recv: int, ts_event: int) -> None:
        book = self._book
        self._last = number
        self._ts_recv, self._ts_event = ts_recv, ts_event
        if max(len(book.bids), len(book.asks)) > self._max_levels:
            self._move(Sign.OVERGROWN)
        elif not book.is_crossed():
            self._crossed_since = None
        elif self._crossed_since is None:
            self._crossed_since = ts_recv
        elif ts_recv - self._crossed_since > MAX_CROSSED_NS:
            self._move(Sign.CROSSED)
