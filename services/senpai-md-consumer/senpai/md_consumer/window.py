"""Event-time windows over columns of numbers.

A `Series` holds one kind of event of one symbol in event order, as columns. A `Window` of W is a cursor into it: it
holds the events with `T - W < ts_event <= T`, where T is the `Clock` they share, so a 10 s and a 60 s window over the
same trades cost the memory of one. `Follower`s are the sums that go with a window.

An arriving event is only appended. A window catches up when it is read, in bulk, and each event enters and leaves each
follower once: O(1) amortised per event at any rate, window length and number of windows.
"""

from array import array
from bisect import bisect_right
from math import log, log1p
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

    It has one term per event of the window. A term may need the `lead` events before its own, which must then be in the
    window as well: 0 for a sum of sizes, 1 for a sum of returns.
    """

    lead: int

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

    def before_insert(self, index: int) -> None:
        """Take out the terms that will change when an event is inserted at `index`. The followers must be in sync."""
        for follower in self._followers:
            start, stop = max(index, self._low + follower.lead), min(index + follower.lead, self._high)
            if start < stop:
                follower.remove(start, stop)

    def after_insert(self, index: int) -> None:
        """Put in the terms that are new or changed since an event was inserted at `index`."""
        self._high += 1
        if self._ts[index] <= self._clock.now - self.span_ns:
            self.head += 1
            self._low += 1
            return
        for follower in self._followers:
            start, stop = max(index, self._low + follower.lead), min(index + follower.lead + 1, self._high)
            if start < stop:
                follower.add(start, stop)


class Series:
    """Events in event order, ties in order of arrival; `ts` and the columns of a subclass run in parallel.

    It keeps what its longest window holds, and at least one event before it: the price of that one is what a return
    over the window is measured from. `span_ns` is the length of the longest window.
    """

    __slots__ = ("_columns", "_trim_at", "began", "clock", "span_ns", "ts", "windows")

    def __init__(self, clock: Clock, *columns: "array[Any]") -> None:
        self.clock = clock
        self.ts: array[int] = array("q")
        self.span_ns = 0
        self.began: int | None = None  # time of the first event since the series was last empty for good
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

    def clear(self) -> None:
        """Forget everything, so that what follows is not mixed with what was before."""
        self.began = None
        for column in self._columns:
            del column[:]
        for window in self.windows.values():
            window.clear()
        self._trim_at = _TRIM_LEAST

    def trim(self) -> None:
        """Delete what no window needs any more, if there may be enough of it. To be called now and then."""
        if len(self.ts) < self._trim_at:
            return
        for window in self.windows.values():
            window.sync()
        count = min(window.head for window in self.windows.values()) - 1
        if count > 0:
            for column in self._columns:
                del column[:count]
            for window in self.windows.values():
                window.drop_front(count)
        self._trim_at = len(self.ts) + max(_TRIM_LEAST, len(self.ts) >> 4)

    def insert(self, ts: int, *values: float) -> None:
        """Put in an event that arrives after younger ones: in its place, behind those of the same time."""
        index = bisect_right(self.ts, ts)
        for window in self.windows.values():
            window.sync()
            window.before_insert(index)
        for column, value in zip(self._columns, (ts, *values), strict=True):
            column.insert(index, value)
        self._relink(index)
        for window in self.windows.values():
            window.after_insert(index)

    def _relink(self, index: int) -> None:
        """Recompute what depends on neighbours, after an insertion at `index`."""


class Trades(Series):
    """Trades: price, size in base units, price * size, and the log return from the trade before (first of all: 0)."""

    __slots__ = ("log_return", "notional", "price", "size")

    def __init__(self, clock: Clock) -> None:
        self.price: array[float] = array("d")
        self.size: array[float] = array("d")
        self.notional: array[float] = array("d")
        self.log_return: array[float] = array("d")
        super().__init__(clock, self.price, self.size, self.notional, self.log_return)

    def append(self, ts: int, price: float, size: float) -> None:
        """Add a trade that is not older than the last one."""
        prices = self.price
        if prices:
            before = prices[-1]
            change = (price - before) / before
            self.log_return.append(log1p(change) if change > -0.5 else log(price / before))  # as `log_return`
        else:
            self.began = ts
            self.log_return.append(0.0)
        self.ts.append(ts)
        prices.append(price)
        self.size.append(size)
        self.notional.append(price * size)

    def _relink(self, index: int) -> None:
        for i in (index, index + 1):
            if 0 < i < len(self.price):
                self.log_return[i] = log_return(self.price[i - 1], self.price[i])


class Delays(Series):
    """Events of any kind that carry a time of their own, and their `ts_recv - ts_event` in ns."""

    __slots__ = ("delay_ns",)

    def __init__(self, clock: Clock) -> None:
        self.delay_ns: array[int] = array("q")
        super().__init__(clock, self.delay_ns)

    def push(self, ts: int, delay_ns: int) -> None:
        """Add an event, before younger ones if need be."""
        times = self.ts
        if ts != self.clock.now and times and ts < times[-1]:
            self.insert(ts, delay_ns)
        else:
            times.append(ts)
            self.delay_ns.append(delay_ns)


def log_return(before: float, after: float) -> float:
    """ln(after / before), right to the last digits also where the two are nearly equal."""
    change = (after - before) / before
    return log1p(change) if change > -0.5 else log(after / before)
