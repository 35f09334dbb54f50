"""What is known of each symbol: its latest events, its event-time clock, its recent trades and delays.

Events are checked here, at the door: one that is not usable is counted by reason and set aside.
"""

from dataclasses import dataclass, field
from itertools import chain
from typing import Final, TypeAlias

from msgspec import Struct

from md_contract.events import BookL2, Quote, Trade
from md_contract.units import NS_PER_S
from senpai.md_consumer.window import Clock, Delays, Trades

LEAST: Final = 1e-15  # a price or size at or beyond these bounds is no number of any market
MOST: Final = 1e15
MOST_AHEAD_NS: Final = 86_400 * NS_PER_S  # an event time further ahead of its reception is a broken clock
_TIME_END: Final = 1 << 62
_TRIM_MASK: Final = 0xFF  # every so many events, a power of two less 1

MarketEvent: TypeAlias = Trade | Quote | BookL2


class LatestState(Struct):
    """The last usable event of each kind."""

    trade: Trade | None = None
    quote: Quote | None = None
    book: BookL2 | None = None


@dataclass(slots=True)
class Counters:
    """What happened to events, over all symbols; plain ints for /stats and /metrics to read."""

    rejected: dict[tuple[str, str], int] = field(default_factory=dict)  # (event type, reason) -> events set aside
    refused: int = 0  # events of symbols beyond the bound on their number
    late_trades: int = 0  # older than the longest window: not applied
    inserted_trades: int = 0  # out of order but inside the window: applied in their place
    old_quotes: int = 0  # older than the latest quote or book: not applied
    old_books: int = 0
    crossed_quotes: int = 0  # bid > ask
    locked_quotes: int = 0  # bid == ask
    one_sided_quotes: int = 0  # no bid or no ask, so no mid and no spread
    source_switches: int = 0
    clock_restarts: int = 0
    restarts: dict[str, int] = field(default_factory=dict)  # reason -> restarts of a symbol's trade windows
    statuses: dict[str, int] = field(default_factory=dict)  # kind -> status events seen

    def reject(self, event_type: str, reason: str) -> None:
        key = (event_type, reason)
        self.rejected[key] = self.rejected.get(key, 0) + 1


class SymbolState:
    """State of one symbol.

    The clock T is the largest event time seen. An event without one counts as its `ts_recv` moved by the last known
    difference between the two clocks; until a difference is known, T runs on `ts_recv`, and starts anew at the first
    event time.
    """

    __slots__ = (
        "_delay_ns", "_hole", "_late_since", "_restarted", "_timed", "ask", "bid", "clock", "counters", "delays",
        "events", "latest", "marks", "mono_ns", "provider", "said_stale_ns", "since", "span_ns", "symbol", "trades",
    )  # fmt: skip

    def __init__(self, symbol: str, span_ns: int, counters: Counters) -> None:
        self.symbol = symbol
        self.span_ns = span_ns
        self.counters = counters
        self.provider: str | None = None
        self.latest = LatestState()
        self.clock = Clock()
        self.trades = Trades(self.clock)
        self.delays = Delays(self.clock)
        self.trades.window(span_ns)
        self.delays.window(span_ns)
        self.bid: float | None = None  # of the latest quote; None when it has no such side
        self.ask: float | None = None
        self.events = 0  # applied
        self.mono_ns = 0  # monotonic time of the last event applied
        self.since = -1  # event time of the last restart, or of the first event
        self.marks: dict[str, int] = {}  # what disturbed this symbol -> event time when it last did
        self.said_stale_ns = -1  # monotonic time when the producer last called this symbol stale
        self._delay_ns = 0  # ts_recv - ts_event, as last seen
        self._timed = False  # an event time has been seen
        self._restarted = False  # the trade windows have been
        self._hole = False  # trades are missing between `since` and the first one after it
        self._late_since = 0

    def on_trade(self, event: Trade, mono_ns: int) -> bool:
        """Apply a trade; return whether it was usable and in time."""
        try:
            price, size = float(event.price), float(event.size)
        except (TypeError, ValueError):
            return self._reject("trade", "not_a_number")
        if not (LEAST < price < MOST and LEAST < size < MOST):
            return self._reject("trade", "out_of_range")
        ts = self._place(event, "trade", mono_ns, measures_delay=not event.backfill)
        if ts is None:
            return False
        trades = self.trades
        if ts == self.clock.now or (ts > self.clock.now - trades.span_ns and not (trades and ts < trades.ts[-1])):
            trades.append(ts, price, size)
            self.latest.trade = event
            return True
        return self._insert_trade(ts, price, size)

    def on_quote(self, event: Quote, mono_ns: int) -> bool:
        """Apply a quote; return whether it was usable and the latest."""
        try:
            bid, ask = float(event.bid), float(event.ask)
            bid_size, ask_size = float(event.bid_size), float(event.ask_size)
        except (TypeError, ValueError):
            return self._reject("quote", "not_a_number")
        if not (0 <= bid < MOST and 0 <= ask < MOST and 0 <= bid_size < MOST and 0 <= ask_size < MOST):
            return self._reject("quote", "out_of_range")
        if self._place(event, "quote", mono_ns) is None:
            return False
        if _is_older(event, self.latest.quote):
            self.counters.old_quotes += 1
            return False
        self.latest.quote = event
        self.bid, self.ask = bid or None, ask or None
        if bid >= ask or not bid:
            self._count_anomaly(bid, ask)
        return True

    def on_book(self, event: BookL2, mono_ns: int) -> bool:
        """Apply a book; return whether it was usable and the latest."""
        try:
            numbers = list(map(float, chain.from_iterable(chain(event.bids, event.asks))))
        except (TypeError, ValueError):
            return self._reject("book_l2", "not_a_number")
        # A sum with a NaN in it is not below the bound; `min` alone would not see the NaN.
        if numbers and not (min(numbers[::2]) > 0 and min(numbers[1::2]) >= 0 and sum(numbers) < MOST):
            return self._reject("book_l2", "out_of_range")
        if self._place(event, "book_l2", mono_ns) is None:
            return False
        if _is_older(event, self.latest.book):
            self.counters.old_books += 1
            return False
        self.latest.book = event
        return True

    def _insert_trade(self, ts: int, price: float, size: float) -> bool:
        """Put an out-of-order trade in its place, unless it is older than the windows or than their last restart."""
        trades = self.trades
        before_restart = self._restarted and trades.began is not None and ts < trades.began
        if before_restart or ts <= self.clock.now - trades.span_ns:
            self.counters.late_trades += 1
            return False
        trades.insert(ts, price, size, price * size, 0.0)
        self.counters.inserted_trades += 1
        return True

    @property
    def history_ns(self) -> int:
        """Event time for which the trade windows are known to miss nothing up to now."""
        since = self.trades.began if self._hole else self.since
        return 0 if since is None else self.clock.now - since

    def mark(self, reason: str) -> None:
        """Remember that something disturbed this symbol now."""
        self.marks[reason] = self.clock.now

    def lose_trades(self, reason: str) -> None:
        """Restart the trade windows, because trades are missing before the next one."""
        self.restart_trades(reason)
        self._hole = True

    def restart_trades(self, reason: str) -> None:
        """Begin the trade windows anew, so that what comes is not mixed with what was before."""
        self.mark(reason)
        self.since = self.clock.now
        self._restarted = True
        self._hole = False
        self.trades.clear()
        self.counters.restarts[reason] = self.counters.restarts.get(reason, 0) + 1

    def restart(self, reason: str) -> None:
        """Begin everything anew but the clock."""
        self.restart_trades(reason)
        self.delays.clear()
        self.latest.quote = self.latest.book = None
        self.bid = self.ask = None

    def _place(self, event: MarketEvent, event_type: str, mono_ns: int, *, measures_delay: bool = True) -> int | None:
        """Move the clock by an event and note its delay; return its own time, or None when that is not usable.

        What was fetched afterwards says nothing about the delay of the stream: `measures_delay` is False for it.
        """
        clock, recv, ts = self.clock, event.ts_recv, event.ts_event
        if not (0 <= recv < _TIME_END and (ts is None or 0 <= ts <= recv + MOST_AHEAD_NS)):
            self._reject(event_type, "bad_time")
            return None
        if ts is None:
            ts = recv - self._delay_ns
        elif not self._timed:
            self._start_event_time(ts, recv)
        elif measures_delay:
            if recv - ts < self._delay_ns - self.trades.span_ns:  # event time ran ahead of ours by a whole window
                self.marks["clock_jump"] = max(ts, clock.now)
            self._delay_ns = recv - ts
        if ts >= clock.now:
            clock.now = ts
            late = False
        else:
            late = ts <= clock.now - self.trades.span_ns and self._is_late(ts, mono_ns)
        if event.provider != self.provider:
            self._switch_source(event.provider)
        if late:
            return ts
        if measures_delay and event.ts_event is not None:
            self.delays.push(ts, recv - ts)
        self.mono_ns = mono_ns
        self.events += 1
        if not self.events & _TRIM_MASK:
            self.trades.trim()
            self.delays.trim()
        return ts

    def _start_event_time(self, ts: int, recv: int) -> None:
        """Leave the clock that ran on `ts_recv` for want of an event time."""
        self._timed = True
        self._delay_ns = recv - ts
        if self.provider is None:
            return
        self.clock.now = self.since = ts
        self.marks = dict.fromkeys(self.marks, ts)
        if self.trades:
            self.restart_trades("event_time_began")

    def _is_late(self, ts: int, mono_ns: int) -> bool:
        """Tell whether an event that is older than every window is late, or the clock is wrong.

        One event with a time far ahead would make all that follow late. When nothing else than late events has come for
        as long as the longest window, the clock restarts at theirs.
        """
        if self._late_since <= self.mono_ns:
            self._late_since = mono_ns
        elif mono_ns - self._late_since > self.trades.span_ns:
            self.clock.now = ts
            self.marks.clear()
            self.restart("clock_restart")
            self.counters.clock_restarts += 1
            return False
        return True

    def _switch_source(self, provider: str) -> None:
        """Take the events of another provider from here on."""
        known, self.provider = self.provider, provider
        if known is None:
            self.since = self.clock.now
            return
        self.restart("source_switch")
        self.counters.source_switches += 1

    def _count_anomaly(self, bid: float, ask: float) -> None:
        if not bid or not ask:
            self.counters.one_sided_quotes += 1
        elif bid == ask:
            self.counters.locked_quotes += 1
        else:
            self.counters.crossed_quotes += 1

    def _reject(self, event_type: str, reason: str) -> bool:
        self.counters.reject(event_type, reason)
        return False


def _is_older(event: Quote | BookL2, latest: Quote | BookL2 | None) -> bool:
    """Whether an event comes after one that is younger, as far as both say."""
    return (
        latest is not None
        and event.ts_event is not None
        and latest.ts_event is not None
        and event.ts_event < latest.ts_event
    )
