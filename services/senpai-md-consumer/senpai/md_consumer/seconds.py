"""One row for every whole second of event time in which there were events, made when the second is over.

Features that sample the market once a second are computed from the rows, at most sixty of them, when they are read and
a row has changed since: that costs nothing per event, and nothing can add up.

The second that ends at g holds the events with g - 1 s < ts <= g and is over when T > g. A row counts in a window that
holds the second as a whole. Rows are made from the events when somebody looks; events that come later for a second that
has its row make that row again.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from math import fsum
from operator import mul
from typing import Any, Generic, TypeVar

from md_contract.units import NS_PER_S
from senpai.md_consumer.series import Quotes, Trades, log_return
from senpai.md_consumer.window import Series, Window

SourceT = TypeVar("SourceT", bound=Series)
RowsT = TypeVar("RowsT", bound="Seconds[Any]")
ValueT = TypeVar("ValueT")


class Seconds(Series, Generic[SourceT]):
    """Rows in the order of their seconds. The time of a row is the first nanosecond of its second."""

    __slots__ = ("_late", "_next", "source", "until", "version")

    def __init__(self, source: SourceT, *columns: "array[Any]") -> None:
        super().__init__(source.clock, *columns)
        self.source = source
        self.until = -1  # the seconds up to here are over and have their rows
        self.version = 0  # changes with every change of any row
        self._next = 0  # first event of the source that no row is made of
        self._late: set[int] = set()  # rows to be made again
        source.derived = self

    def catch_up(self) -> None:
        """Make the rows of the seconds that are over by now. Whoever reads rows calls this first."""
        before = self.clock.now - 1
        until = before - before % NS_PER_S
        if until != self.until:
            if until < self.until:
                self.clear()  # the clock has been replaced
            self._extend(until)
        times = self.source.ts
        if self._next < len(times) and times[self._next] <= until:
            stop = bisect_right(times, until, self._next)
            self._late.update(map(_begin, times[self._next : stop]))
            self._next = stop
        if self._late:
            self._mend()

    def edges(self) -> list[int]:
        """What changes when time alone changes what is read of the rows."""
        self.catch_up()
        return [self.version, *(window.advance() for window in self.windows.values())]

    def clear(self) -> None:
        super().clear()
        self.until = -1
        self.version += 1
        self._next = 0
        self._late.clear()

    def inserted(self, index: int) -> None:
        if index < self._next:
            self._next += 1
            self._late.add(_begin(self.source.ts[index]))

    def dropped(self, count: int) -> None:
        self._next -= count

    def trim(self) -> None:
        count = len(self.ts)
        super().trim()
        if len(self.ts) != count:
            self.version += 1  # indices have changed

    def _extend(self, until: int) -> None:
        """Make the rows of the seconds after `self.until`, up to `until`."""
        times, start, known = self.source.ts, self._next, self.until
        stop = bisect_right(times, until, start)
        start = bisect_right(times, known, start, stop)  # before it: late for a row that there may be already
        if start > self._next:
            self._late.update(map(_begin, times[self._next : start]))
        while start < stop:
            begin = _begin(times[start])
            end = bisect_right(times, begin + NS_PER_S - 1, start, stop)
            values = self._row(start, end)
            if values is not None:
                for column, value in zip(self._columns, (begin, *values), strict=True):
                    column.append(value)
                self._relink(len(self.ts) - 1)
                self.version += 1
            start = end
        self._next, self.until = stop, until
        self.trim()

    def _mend(self) -> None:
        """Make rows again of which events came late."""
        times = self.source.ts
        for begin in sorted(self._late):
            start = bisect_left(times, begin)
            stop = bisect_right(times, begin + NS_PER_S - 1, start)
            values = self._row(start, stop)  # there is an event: before the source forgets any, it has rows made
            if values is None:
                continue
            index = bisect_left(self.ts, begin)
            if index < len(self.ts) and self.ts[index] == begin:
                self.replace(index, *values)
            else:
                self.insert(begin, *values)
            self.version += 1
        self._late.clear()

    def _row(self, start: int, stop: int) -> tuple[float, ...] | None:
        """The columns' values from the source's events `start:stop`; None when they do not make a row."""
        raise NotImplementedError


class TradeSeconds(Seconds[Trades]):
    """Of trades: last price, log return from the row before (first of all: 0), Σ price * size, Σ size * side."""

    __slots__ = ("close", "flow", "log_return", "notional")

    def __init__(self, source: Trades) -> None:
        self.close: array[float] = array("d")
        self.log_return: array[float] = array("d")
        self.notional: array[float] = array("d")
        self.flow: array[float] = array("d")
        super().__init__(source, self.close, self.log_return, self.notional, self.flow)

    def edges(self) -> list[int]:
        """Seconds without a trade count as well: while there are rows, every second that ends changes something."""
        found = super().edges()
        return [*found, self.until] if any(edge < len(self.ts) for edge in found[1:]) else found

    def _row(self, start: int, stop: int) -> tuple[float, ...]:
        trades = self.source
        flow = fsum(map(mul, trades.size[start:stop], trades.side[start:stop]))
        return trades.price[stop - 1], 0.0, fsum(trades.notional[start:stop]), flow

    def _relink(self, index: int) -> None:
        close = self.close
        for i in (index, index + 1):
            if 0 < i < len(close):
                self.log_return[i] = log_return(close[i - 1], close[i])


class QuoteSeconds(Seconds[Quotes]):
    """Of quotes: the spread of the second's last quote that has both sides."""

    __slots__ = ("spread",)

    def __init__(self, source: Quotes) -> None:
        self.spread: array[float] = array("d")
        super().__init__(source, self.spread)

    def _row(self, start: int, stop: int) -> tuple[float, ...] | None:
        bids, asks = self.source.bid, self.source.ask
        for i in range(stop - 1, start - 1, -1):
            if bids[i] and asks[i]:
                return (asks[i] - bids[i],)
        return None


class Remembered(Generic[RowsT, ValueT]):
    """The value of a formula over a window's rows, computed again when they have changed."""

    __slots__ = ("_formula", "_state", "_value", "_window")

    def __init__(self, window: Window[RowsT], formula: Callable[[RowsT, int], ValueT | None]) -> None:
        self._window = window
        self._formula = formula  # of the rows and the index of the first one inside
        self._state: tuple[int, int] | None = None  # of the rows and of the window, when it was computed
        self._value: ValueT | None = None

    def value(self) -> ValueT | None:
        rows = self._window.series
        rows.catch_up()
        state = (rows.version, self._window.advance())
        if state != self._state:
            self._state = state
            self._value = self._formula(rows, state[1])
        return self._value


def _begin(ts: int) -> int:
    """The first nanosecond of the second that an event belongs to."""
    return ts - 1 - (ts - 1) % NS_PER_S + 1
