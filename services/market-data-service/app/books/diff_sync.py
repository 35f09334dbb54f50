"""A local book kept from numbered updates and a REST snapshot, by Binance's rules as corrected in November 2025.

Updates are buffered until a snapshot fits in front of them; from then on every update must follow the one before. The
book is served only while it is synchronised, and a lost update ends that at once.

Beyond the last level of a truncated snapshot the book is not known, except where it has changed since. When the market
moves towards that edge a new snapshot is taken while the book goes on; when it gets there first, the book is given up.
"""

from collections import deque
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct

from app.books.book import Book, Change
from md_contract.events import Level
from md_contract.units import NS_PER_S

MAX_BUFFERED_CHANGES: Final = 200_000  # while a snapshot is awaited; about 16 MB
MAX_LEVELS: Final = 50_000  # a side
MAX_CROSSED_NS: Final = NS_PER_S
MAX_BEHIND_NS: Final = 10 * NS_PER_S  # updates that stay behind the book for longer belong to a new numbering


class SyncState(StrEnum):
    WAITING = "waiting"  # for the first update
    BUFFERING = "buffering"  # updates, until a snapshot fits
    LIVE = "live"
    RENEWING = "renewing"  # live, and a snapshot around the present price has been asked for


class Sign(StrEnum):
    UPDATE = "update"
    FITS = "fits"  # a snapshot joins the buffered updates without a hole
    TOO_OLD = "too_old"  # a snapshot ends before the first buffered update begins
    GAP = "gap"  # an update does not follow the one before
    LOST = "lost"  # an update is known to be missing, or could not be read
    CROSSED = "crossed"  # for longer than a moment
    NARROW = "narrow"  # the wanted levels come near the edge of what the snapshot covered
    SHALLOW = "shallow"  # they reach beyond it
    OVERGROWN = "overgrown"  # more levels than any book has


TRANSITIONS: Final[dict[tuple[SyncState, Sign], SyncState]] = {
    (SyncState.WAITING, Sign.UPDATE): SyncState.BUFFERING,
    (SyncState.BUFFERING, Sign.FITS): SyncState.LIVE,
    (SyncState.BUFFERING, Sign.TOO_OLD): SyncState.BUFFERING,
    (SyncState.BUFFERING, Sign.GAP): SyncState.BUFFERING,
    (SyncState.BUFFERING, Sign.LOST): SyncState.WAITING,
    (SyncState.LIVE, Sign.GAP): SyncState.BUFFERING,
    (SyncState.LIVE, Sign.LOST): SyncState.WAITING,
    (SyncState.LIVE, Sign.CROSSED): SyncState.WAITING,
    (SyncState.LIVE, Sign.SHALLOW): SyncState.WAITING,
    (SyncState.LIVE, Sign.OVERGROWN): SyncState.WAITING,
    (SyncState.LIVE, Sign.NARROW): SyncState.RENEWING,
    (SyncState.RENEWING, Sign.FITS): SyncState.LIVE,
    (SyncState.RENEWING, Sign.TOO_OLD): SyncState.RENEWING,
    (SyncState.RENEWING, Sign.GAP): SyncState.BUFFERING,
    (SyncState.RENEWING, Sign.LOST): SyncState.WAITING,
    (SyncState.RENEWING, Sign.CROSSED): SyncState.WAITING,
    (SyncState.RENEWING, Sign.SHALLOW): SyncState.WAITING,
    (SyncState.RENEWING, Sign.OVERGROWN): SyncState.WAITING,
}
SYNCHRONISED: Final = frozenset({SyncState.LIVE, SyncState.RENEWING})
AWAITING_SNAPSHOT: Final = frozenset({SyncState.BUFFERING, SyncState.RENEWING})


class Diff(Struct, frozen=True):
    """One update: the numbers of its first and last change, and the changes, absolute sizes."""

    first: int
    last: int
    bids: Sequence[Change]
    asks: Sequence[Change]
    ts_recv: int
    ts_event: int | None


class Snapshot(Struct, frozen=True):
    """A whole book as the venue's REST call gave it; `limit` is the number of levels a side that was asked for."""

    last: int
    bids: Sequence[Change]
    asks: Sequence[Change]
    limit: int
    ts_recv: int


class TopLevels(Struct, frozen=True):
    """The best levels of a synchronised book, best first, and the times of the update they date from."""

    bids: list[Level]
    asks: list[Level]
    ts_recv: int
    ts_event: int | None  # null while nothing but the snapshot has been applied: it carries no time


class BookCounters:
    """What the books of one provider count over the life of the feed."""

    def __init__(self) -> None:
        self.given_up: dict[Sign, int] = {
            sign: 0
            for (state, sign), after in TRANSITIONS.items()
            if state in SYNCHRONISED and after not in SYNCHRONISED
        }
        self.renewals = 0
        self.stale_snapshots = 0

    @property
    def resyncs(self) -> int:
        """Times a synchronised book was given up, for whatever reason."""
        return sum(self.given_up.values())


class DiffSync:
    """Keeps one symbol's book in step with its updates."""

    def __init__(self, counters: BookCounters) -> None:
        self.state = SyncState.WAITING
        self._counters = counters
        self._asked = False
        self._book = Book()
        self._buffer: deque[Diff] = deque()
        self._buffered_changes = 0
        self._last = 0  # the number of the last change applied
        self._ts_recv = 0
        self._ts_event: int | None = None
        self._crossed_since: int | None = None
        self._horizon: tuple[float | None, float | None] = (None, None)

    def wants_snapshot(self) -> bool:
        """True when a snapshot should be asked for now; the caller then does so and calls `asked`."""
        return self.state in AWAITING_SNAPSHOT and not self._asked

    def asked(self) -> None:
        """A snapshot has been asked for; `on_snapshot` or `on_snapshot_unreadable` will follow."""
        self._asked = True

    @property
    def has_begun(self) -> bool:
        """True from the first update on, until everything is lost."""
        return self.state is not SyncState.WAITING

    @property
    def synchronised(self) -> bool:
        return self.state in SYNCHRONISED

    @property
    def last(self) -> int:
        """The number of the last change applied; it means something only while synchronised."""
        return self._last

    def on_diff(self, diff: Diff) -> bool:
        """Take one update; return True when the published levels may have changed."""
        if not self.synchronised:
            self._move(Sign.UPDATE)
            self._hold(diff)
            return False
        if diff.last <= self._last:  # older than the book already is
            if diff.ts_recv - self._ts_recv > MAX_BEHIND_NS:
                self._move(Sign.LOST)
            return False
        if diff.first > self._last + 1:
            self._move(Sign.GAP)
            self._hold(diff)
            return False
        if self.state is SyncState.RENEWING:
            self._hold(diff)
        self._apply(diff)
        return True

    def on_snapshot(self, snapshot: Snapshot) -> bool:
        """Take a snapshot; return True when the book is synchronised by it."""
        self._asked = False
        if self.state not in AWAITING_SNAPSHOT:
            return False
        first = self._buffer[0].first if self._buffer else self._last + 1
        if snapshot.last + 1 < first:
            self._counters.stale_snapshots += 1
            self._move(Sign.TOO_OLD)
            return False
        self._move(Sign.FITS)
        self._book.load(snapshot.bids, snapshot.asks)
        self._horizon = (
            self._book.bids.worst() if len(snapshot.bids) >= snapshot.limit else None,
            self._book.asks.worst() if len(snapshot.asks) >= snapshot.limit else None,
        )
        self._last = snapshot.last
        self._ts_recv, self._ts_event = snapshot.ts_recv, None
        self._crossed_since = None
        buffered = list(self._buffer)
        self._clear_buffer()
        for diff in buffered:
            if diff.last > self._last and self.synchronised:
                self._apply(diff)
        return self.synchronised

    def on_snapshot_unreadable(self) -> None:
        """The snapshot that was asked for could not be read: it is wanted again."""
        self._asked = False

    def on_lost(self) -> None:
        """An update of this symbol could not be read: the book is wrong from here on."""
        self._move(Sign.LOST)

    def top(self, depth: int) -> TopLevels | None:
        """The best `depth` levels a side, or None while they are not known for certain."""
        if not self.synchronised or self._crossed_since is not None:
            return None
        if self._reaches_beyond(depth):
            self._move(Sign.SHALLOW)
            return None
        if self._reaches_beyond(2 * depth):
            self._move(Sign.NARROW)
        book = self._book
        return TopLevels(book.bids.top(depth), book.asks.top(depth), self._ts_recv, self._ts_event)

    def _move(self, sign: Sign) -> None:
        state = TRANSITIONS.get((self.state, sign), self.state)
        if self.synchronised and state not in SYNCHRONISED:
            self._counters.given_up[sign] += 1
            self._book = Book()
        if state is SyncState.RENEWING and self.state is not state:
            self._counters.renewals += 1
        if state is SyncState.WAITING or sign is Sign.GAP:
            self._clear_buffer()
        self.state = state

    def _hold(self, diff: Diff) -> None:
        """Buffer one update; after a hole the buffer starts over, and when it is full the oldest goes."""
        if self._buffer and diff.last <= self._buffer[-1].last:
            return  # a repeat
        if self._buffer and diff.first > self._buffer[-1].last + 1:
            self._move(Sign.GAP)
        self._buffer.append(diff)
        self._buffered_changes += len(diff.bids) + len(diff.asks)
        while self._buffered_changes > MAX_BUFFERED_CHANGES and len(self._buffer) > 1:
            oldest = self._buffer.popleft()
            self._buffered_changes -= len(oldest.bids) + len(oldest.asks)

    def _clear_buffer(self) -> None:
        self._buffer.clear()
        self._buffered_changes = 0

    def _apply(self, diff: Diff) -> None:
        book = self._book
        book.apply(diff.bids, diff.asks)
        self._last = diff.last
        self._ts_recv, self._ts_event = diff.ts_recv, diff.ts_event
        if max(len(book.bids), len(book.asks)) > MAX_LEVELS:
            self._move(Sign.OVERGROWN)
        elif not book.is_crossed():
            self._crossed_since = None
        elif self._crossed_since is None:
            self._crossed_since = diff.ts_recv
        elif diff.ts_recv - self._crossed_since > MAX_CROSSED_NS:
            self._move(Sign.CROSSED)

    def _reaches_beyond(self, depth: int) -> bool:
        """True when the best `depth` levels of a side are not all within what is known completely."""
        lowest, highest = self._horizon
        bid, ask = self._book.bids.nth(depth), self._book.asks.nth(depth)
        return (lowest is not None and (bid is None or bid < lowest)) or (
            highest is not None and (ask is None or ask > highest)
        )
