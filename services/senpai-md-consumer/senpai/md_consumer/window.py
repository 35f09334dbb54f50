"""Event-time windows over columns of numbers.

A `Series` holds one kind of event of one symbol in event order, as columns. A `Window` of W is a cursor into it: it
holds the events with `T - W < ts_event <= T`, where T is the `Clock` they share, so a 10 s and a 60 s window over the
same trades cost the memory of one. `Follower`s are the sums that go with a window.

An arriving event is only appended. A window catches up when it is read, in bulk, and each event enters and leaves each
follower once: O(1) amortised per event at any rate, window length and number of windows.
"""

from array import array
from bisect import bisect_right
from typing import Any, Final, Generic, Protocol, TypeVar

_TRIM_LEAST: Final = 256  # events: below this, deleting from the front is not worth its fixed cost

SeriesT = TypeVar("SeriesT", bound="Series")


class Clock:
    """Event time of one symbol, ns. Whoever moves it sees to it that it does not go back."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now = -1  # below every event: nothing seen yet


class Follower(Protocol):
    """Something kept up to date with a window, such as a running sum.

    It has one term per event of the window. A term may be made of its own event and the `reach` events before it: 0
    for a sum of sizes, 1 for a sum of returns. Of these the last `lead` must be in the window as well, or the term is
    not. One event before a window is kept, so `reach` is at most `lead` + 1.
    """

    lead: int
    reach: int

    def add(self, start: int, stop: int) -> None:
        """The terms at `start:stop` of the series' columns are in."""

    def remove(self, start: int, stop: int) -> None:
        """The terms at `start:stop` are about to leave; they read as they did when they were added."""

    def reset(self) -> None:
        """No term is in."""


class Window(Generic[SeriesT]):
    """The events of the last `span_ns` of a series, and the followers that describe them."""

    __slots__ = ("_clock", "_followers", "_high", "_low", "_now", "_ts", "head", "series", "span_ns")

    def __init__(self, series: SeriesT, span_ns: int) -> None:
        self.series = series
        self.span_ns = span_ns
        self._clock = series.clock
        self._ts = series.ts
        self._now = -1  # the clock as of the last `sync`
        self.head = 0  # first event inside, as of the last `advance`
        self._low = 0  # the followers hold the terms of the events _low:_high
        self._high = 0
        self._followers: list[Follower] = []

    def follow(self, follower: Follower) -> None:
        """Keep `follower` up to date from now on."""
        self.sync()
        self._followers.append(follower)
        self.resum(follower)

    def advance(self) -> int:
        """Pass what has left the window; return the index of its first event (the series' length when it is empty)."""
        ts = self._ts
        edge = self._clock.now - self.span_ns
        head = self.head
        length = len(ts)
        if head < length and ts[head] <= edge:
            head += 1
            if head < length and ts[head] <= edge:
                head = bisect_right(ts, edge, head + 1)
            self.head = head
        return head

    @property
    def count(self) -> int:
        """Events inside."""
        return len(self._ts) - self.advance()

    def sync(self) -> int:
        """Bring the followers up to date with the clock and the series; return the number of events inside."""
        now, high, old_high = self._clock.now, len(self._ts), self._high
        if now == self._now and high == old_high:
            return high - self._low
        low, old_low = self.advance(), self._low
        self._now, self._low, self._high = now, low, high
        for follower in self._followers:
            lead = follower.lead
            if low + lead >= old_high:
                follower.reset()
            elif low > old_low:
                follower.remove(old_low + lead, low + lead)
            start = max(old_high, low + lead)
            if start < high:
                follower.add(start, high)
        return high - low

    def resum(self, follower: Follower) -> None:
        """Compute a follower again from the events, which rids it of all rounding errors."""
        follower.reset()
        if self._low + follower.lead < self._high:
            follower.add(self._low + follower.lead, self._high)

    def clear(self) -> None:
        """Follow the series in its being cleared."""
        self.head = self._low = self._high = 0
        for follower in self._followers:
            follower.reset()

    def drop_front(self, count: int) -> None:
        """Follow the series in its deleting `count` events from its front, all of which have left this window."""
        self.head -= count
        self._low -= count
        self._high -= count

    def before_change(self, index: int, replaced: int) -> None:
        """Take out the terms that will change when `replaced` events at `index` (0 or 1) give way to one.

        The followers must be in sync.
        """
        for follower in self._followers:
            start = max(index, self._low + follower.lead)
            stop = min(index + follower.reach + replaced, self._high)
            if start < stop:
                follower.remove(start, stop)

    def after_change(self, index: int, replaced: int) -> None:
        """Put in the terms that are new or changed since."""
        if not replaced:
            self._high += 1
            if self._ts[index] <= self._clock.now - self.span_ns:
                self.head += 1
                self._low += 1
        for follower in self._followers:
            start = max(index, self._low + follower.lead)
            stop = min(index + follower.reach + 1, self._high)
            if start < stop:
                follower.add(start, stop)


class Derived(Protocol):
    """Something that is made of the events of a series and has to know what happens to them."""

    def catch_up(self) -> None:
        """The series is about to forget events that no window needs any more."""

    def dropped(self, count: int) -> None:
        """It has deleted that many events from its front."""

    def inserted(self, index: int) -> None:
        """An event was put in there, before younger ones."""

    def clear(self) -> None:
        """The series was cleared."""


class Series:
    """Events in event order, ties in order of arrival; `ts` and the columns of a subclass run in parallel.

    It keeps what its longest window holds, and at least one event before it: the price of that one is what a return
    over the window is measured from. `span_ns` is the length of the longest window.
    """

    __slots__ = ("_columns", "_trim_at", "began", "clock", "derived", "restarted", "span_ns", "ts", "windows")

    def __init__(self, clock: Clock, *columns: "array[Any]") -> None:
        self.clock = clock
        self.ts: array[int] = array("q")
        self.span_ns = 0
        self.began: int | None = None  # time of the first event since the series was last empty for good
        self.restarted = False  # there was an earlier history
        self.derived: Derived | None = None
        self.windows: dict[int, Window[Any]] = {}
        self._columns = (self.ts, *columns)
        self._trim_at = _TRIM_LEAST

    def __len__(self) -> int:
        return len(self.ts)

    def window(self: SeriesT, span_ns: int) -> Window[SeriesT]:
        """The window of this length, made at the first call."""
        window: Window[SeriesT] | None = self.windows.get(span_ns)
        if window is None:
            window = self.windows[span_ns] = Window(self, span_ns)
            self.span_ns = max(self.span_ns, span_ns)
        return window

    def edges(self) -> list[int]:
        """What changes when time alone changes what is inside the windows."""
        return [window.advance() for window in self.windows.values()]

    def clear(self) -> None:
        """Forget everything, so that what follows is not mixed with what was before."""
        self.began = None
        self.restarted = True
        for column in self._columns:
            del column[:]
        for window in self.windows.values():
            window.clear()
        if self.derived is not None:
            self.derived.clear()
        self._trim_at = _TRIM_LEAST

    def trim(self) -> None:
        """Delete what no window needs any more, if there may be enough of it. To be called now and then."""
        if len(self.ts) < self._trim_at:
            return
        if self.derived is not None:
            self.derived.catch_up()
        for window in self.windows.values():
            window.sync()
        count = min(window.head for window in self.windows.values()) - 1
        if count > 0:
            for column in self._columns:
                del column[:count]
            for window in self.windows.values():
                window.drop_front(count)
            if self.derived is not None:
                self.derived.dropped(count)
        self._trim_at = len(self.ts) + max(_TRIM_LEAST, len(self.ts) >> 4)

    def insert(self, ts: int, *values: float) -> None:
        """Put in an event that arrives after younger ones: in its place, behind those of the same time."""
        index = bisect_right(self.ts, ts)
        for window in self.windows.values():
            window.sync()
            window.before_change(index, 0)
        for column, value in zip(self._columns, (ts, *values), strict=True):
            column.insert(index, value)
        self._relink(index)
        for window in self.windows.values():
            window.after_change(index, 0)
        if self.derived is not None:
            self.derived.inserted(index)

    def replace(self, index: int, *values: float) -> None:
        """Give the event at `index` other values and the same time."""
        for window in self.windows.values():
            window.sync()
            window.before_change(index, 1)
        for column, value in zip(self._columns[1:], values, strict=True):
            column[index] = value
        self._relink(index)
        for window in self.windows.values():
            window.after_change(index, 1)

    def _relink(self, index: int) -> None:
        """Recompute what depends on neighbours, after a change at `index`."""
