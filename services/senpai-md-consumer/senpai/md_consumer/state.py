"""What is known of each symbol: its latest events, its event-time clock, its recent trades and delays.

Events are checked here, at the door: one that is not usable is counted by reason and set aside.
"""

from itertools import chain
from typing import Any, Final, TypeAlias

from msgspec import Struct

from md_contract.events import BookL2, Quote, Trade
from md_contract.units import NS_PER_S
from senpai.md_consumer.counters import Counters
from senpai.md_consumer.marks import BACKFILL, DISTURBS, IMPLAUSIBLE, INPUT_OF, Input, Marks
from senpai.md_consumer.plausible import JUMP
from senpai.md_consumer.prices import Prices
from senpai.md_consumer.seconds import QuoteSeconds, Seconds, TradeSeconds
from senpai.md_consumer.series import Delays, Quotes, Trades
from senpai.md_consumer.window import Clock, Series

LEAST: Final = 1e-15  # a price or size at or beyond these bounds is no number of any market
MOST: Final = 1e15
MOST_AHEAD_NS: Final = 86_400 * NS_PER_S  # an event time further ahead of its reception is a broken clock
PATIENCE_NS: Final = 10 * NS_PER_S  # all event times behind T for longer: T runs ahead, they are not late
MOST_HOLES: Final = 16  # being filled at one time, of one symbol
_TIME_END: Final = 1 << 62
_SIDES: Final[dict[str | None, int]] = {"buy": 1, "sell": -1}
_TRIM_MASK: Final = 0xFF  # every so many events, a power of two less 1

MarketEvent: TypeAlias = Trade | Quote | BookL2


class LatestState(Struct):
    """The last usable event of each kind."""

    trade: Trade | None = None
    quote: Quote | None = None
    book: BookL2 | None = None


class SymbolState:
    """State of one symbol.

    The clock T is the largest event time seen. An event without one counts as its `ts_recv` less the delay of the last
    event that was not late; until a delay is known, T runs on `ts_recv`, and starts anew at the first event time.
    """

    __slots__ = (
        "_behind_since", "_delay_ns", "_hole", "_holes", "_late_since", "_restarted", "_seconds", "_series", "_timed",
        "ask", "ask_size", "began", "bid", "bid_size", "book", "books_seen", "clock", "counters", "delays", "events",
        "latest", "marks", "mono_ns", "prices", "provider", "quotes", "quotes_seen", "said_stale_ns", "since",
        "span_ns", "switched_to", "symbol", "trades", "trades_seen",
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
        self.quotes: Quotes | None = None  # kept only for features that look back at quotes
        self._seconds: dict[Input, Seconds[Any]] = {}
        self._series: list[Series] = [self.trades, self.delays]
        self.trades.window(span_ns)
        self.delays.window(span_ns)
        self.bid: float | None = None  # of the latest quote; None when it has no such side
        self.ask: float | None = None
        self.bid_size: float | None = None  # None also when quotes are missing since
        self.ask_size: float | None = None
        self.book: BookL2 | None = None  # the latest; None when books are missing since
        self.events = 0  # applied
        self.mono_ns = 0  # monotonic time of the last event applied
        self.since = -1  # event time of the last restart, or of the first event
        self.began = -1  # the same, of everything else than the trade windows
        self.marks = Marks()  # what disturbed this symbol
        self.trades_seen = self.quotes_seen = self.books_seen = 0  # applied, of each kind
        self.prices = Prices(counters, self._on_wrong_price)
        self.trades.on_jump = self._on_trade_jump
        self.trades.on_misfit = self.prices.on_misfit
        self.said_stale_ns = -1  # monotonic time when the producer last called this symbol stale
        self.switched_to: str | None = None  # the provider of the last switch, as a status or an event told it
        self._delay_ns = 0  # ts_recv - ts_event, of the last event that was not late
        self._behind_since = -1  # ts_recv of the first of a run of events whose times all lie behind T
        self._timed = False  # an event time has been seen
        self._restarted = False  # the trade windows have been
        self._hole = False  # trades are missing between `since` and the first one after it
        self._holes: set[str] = set()  # trades are missing there, and being fetched
        self._late_since = 0

    def on_trade(self, event: Trade, mono_ns: int) -> bool:
        """Apply a trade; return whether it was usable and in time."""
        try:
            price, size = float(event.price), float(event.size)
        except (TypeError, ValueError):
            return self._reject("trade", "not_a_number")
        digits = event.price + event.size
        if "_" in digits or not digits.isascii():  # float() takes 1_000, and the digits of any script
            return self._reject("trade", "not_a_number")
        if not (LEAST < price < MOST and LEAST < size < MOST):
            return self._reject("trade", "out_of_range")
        ts = self._place(event, "trade", mono_ns, measures_delay=not event.backfill)
        if ts is None:
            return False
        trades = self.trades
        if ts == self.clock.now or (ts > self.clock.now - trades.span_ns and not (trades and ts < trades.ts[-1])):
            trades.append(ts, price, size, _SIDES.get(event.side, 0))
            self.trades_seen += 1
            self.latest.trade = event
            return True
        return self._insert_trade(event, ts, price, size)

    def on_quote(self, event: Quote, mono_ns: int) -> bool:
        """Apply a quote; return whether it was usable and the latest."""
        try:
            bid, ask = float(event.bid), float(event.ask)
            bid_size, ask_size = float(event.bid_size), float(event.ask_size)
        except (TypeError, ValueError):
            return self._reject("quote", "not_a_number")
        digits = f"{event.bid}{event.ask}{event.bid_size}{event.ask_size}"
        if "_" in digits or not digits.isascii():
            return self._reject("quote", "not_a_number")
        if not (0 <= bid < MOST and 0 <= ask < MOST and 0 <= bid_size < MOST and 0 <= ask_size < MOST):
            return self._reject("quote", "out_of_range")
        ts = self._place(event, "quote", mono_ns)
        if ts is None:
            return False
        quotes = self.quotes
        if _is_older(event, self.latest.quote):
            self.counters.old_quotes += 1
            if quotes is not None:
                self.counters.inserted_quotes += quotes.put_back(ts, bid, bid_size, ask, ask_size)
            return False
        if quotes is not None:
            quotes.append(ts, bid, bid_size, ask, ask_size)
        total = bid + ask
        prices = self.prices
        if -JUMP < total / prices.quote_level - 1.0 < JUMP:
            prices.quote_level = total
        elif bid and ask:
            prices.on_quote_jump(total, self.quotes_seen)
        self.latest.quote = event
        self.quotes_seen += 1
        self.bid, self.ask = bid or None, ask or None
        self.bid_size, self.ask_size = bid_size, ask_size
        if bid >= ask or not bid:
            self._count_anomaly(bid, ask)
        return True

    def on_book(self, event: BookL2, mono_ns: int) -> bool:
        """Apply a book; return whether it was usable and the latest."""
        try:
            texts = list(chain.from_iterable(chain(event.bids, event.asks)))
            numbers = list(map(float, texts))
            digits = "".join(texts)
        except (TypeError, ValueError):
            return self._reject("book_l2", "not_a_number")
        if "_" in digits or not digits.isascii():
            return self._reject("book_l2", "not_a_number")
        # A sum with a NaN in it is not below the bound; `min` alone would not see the NaN.
        if numbers and not (min(numbers[::2]) > 0 and min(numbers[1::2]) >= 0 and sum(numbers) < MOST):
            return self._reject("book_l2", "out_of_range")
        if self._place(event, "book_l2", mono_ns) is None:
            return False
        if _is_older(event, self.latest.book):
            self.counters.old_books += 1
            return False
        self.latest.book = self.book = event
        self.books_seen += 1
        return True

    def _insert_trade(self, event: Trade, ts: int, price: float, size: float) -> bool:
        """Put an out-of-order trade in its place, unless it is older than the windows or than their last restart."""
        trades = self.trades
        before_restart = self._restarted and trades.began is not None and ts < trades.began
        if before_restart or ts <= self.clock.now - trades.span_ns:
            self.counters.late_trades += 1
            return False
        trades.insert(ts, price, size, _SIDES.get(event.side, 0), price * size, 0.0)
        self.trades_seen += 1
        self.counters.inserted_trades += 1
        return True

    @property
    def history_ns(self) -> int:
        """Event time for which the trade windows are known to miss nothing up to now."""
        since = self.trades.began if self._hole else self.since
        return 0 if since is None else self.clock.now - since

    @property
    def seen(self) -> dict[Input, int]:
        """Events applied, by input."""
        trades, quotes, books = self.trades_seen, self.quotes_seen, self.books_seen
        return {"trades": trades, "quotes": quotes, "books": books, "delays": self.events}

    def mark(self, reason: str, *inputs: Input, at: int = 0) -> None:
        """Remember that something disturbed this symbol now (or `at`, if that is later): all inputs it disturbs."""
        seen = self.seen
        for source in inputs or DISTURBS[reason]:
            self.marks.set(reason, source, max(at, self.clock.now), seen[source])

    def lose_trades(self, reason: str) -> None:
        """Restart the trade windows, because trades are missing before the next one."""
        self.restart_trades(reason)
        self._hole = True

    def open_hole(self, name: str) -> None:
        """Trades are missing and being fetched: until they are there, or the hole has left a window, say so."""
        self._holes.add(name if len(self._holes) < MOST_HOLES else "")  # one without a name is never filled
        self.mark(BACKFILL)

    def fill_hole(self, name: str) -> None:
        """All that was missing there has come."""
        self._holes.discard(name)
        if not self._holes:
            self._forget_holes()

    def _forget_holes(self) -> None:
        self._holes.clear()
        self.marks.drop(BACKFILL, "trades")

    def lose_quotes(self, reason: str) -> None:
        """Restart the quote windows, because quotes are missing before the next one; until then sizes are unknown."""
        self.mark(reason, "quotes")
        self.bid_size = self.ask_size = None
        if self.quotes is not None:
            self.quotes.clear()

    def thin(self, source: Input, reason: str) -> None:
        """Note that of some events of an input only the latest were kept: that is right, what looks back is not."""
        self.marks.set(reason, source, self.clock.now, self.seen[source] - 1)
        if source == "quotes" and self.quotes is not None:
            self.quotes.clear()

    def lose_books(self, reason: str) -> None:
        """Until the next book, nothing is known of its levels."""
        self.mark(reason, "books")
        self.book = None

    def restart_trades(self, reason: str) -> None:
        """Begin the trade windows anew, so that what comes is not mixed with what was before."""
        self.mark(reason, "trades")
        self._forget_holes()
        self.since = self.clock.now
        self._restarted = True
        self._hole = False
        self.trades.clear()
        self.prices.restart_trades(self.trades_seen)
        self.counters.restarts[reason] = self.counters.restarts.get(reason, 0) + 1

    def restart(self, reason: str) -> None:
        """Begin everything anew but the clock."""
        self.restart_trades(reason)
        self.mark(reason)
        self.began = self.clock.now
        self.prices.restart_quotes(self.quotes_seen)
        self.delays.clear()
        if self.quotes is not None:
            self.quotes.clear()
        self.latest.quote = self.latest.book = self.book = None
        self.bid = self.ask = self.bid_size = self.ask_size = None

    def quote_history(self) -> Quotes:
        """The quotes of the last seconds, kept from the first call on."""
        if self.quotes is None:
            self.quotes = Quotes(self.clock)
            self._series.append(self.quotes)
        return self.quotes

    def seconds(self, source: Input) -> Seconds[Any]:
        """One row per second of the trades or of the quotes, kept from the first call on."""
        rows = self._seconds.get(source)
        if rows is None:
            rows = QuoteSeconds(self.quote_history()) if source == "quotes" else TradeSeconds(self.trades)
            self._seconds[source] = rows
            self._series.append(rows)
        return rows

    def edges(self) -> list[int]:
        """What changes when features change by time alone."""
        return [edge for series in self._series for edge in series.edges()]

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
        elif measures_delay and self._tells_delay(event, ts):
            if recv - ts < self._delay_ns - self.trades.span_ns:  # event time ran ahead of ours by a whole window
                self.mark("clock_jump", at=ts)
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
            for series in self._series:
                series.trim()
        return ts

    def _tells_delay(self, event: MarketEvent, ts: int) -> bool:
        """Whether the delay of an event is that of what comes next. That of a late event is its own.

        When all lie behind T for long, it is T that runs ahead: by a time from the future, or because delays have grown
        and events without a time, placed by the old delay, move it on.
        """
        if ts >= self.clock.now or event.provider != self.provider:
            self._behind_since = -1
            return True
        if self._behind_since < 0:
            self._behind_since = event.ts_recv
        return event.ts_recv - self._behind_since > PATIENCE_NS

    def _start_event_time(self, ts: int, recv: int) -> None:
        """Leave the clock that ran on `ts_recv` for want of an event time."""
        self._timed = True
        self._delay_ns = recv - ts
        if self.provider is None:
            return
        self.clock.now = self.since = self.began = ts
        self.marks.move(ts)
        if self.trades:
            self.restart_trades("event_time_began")
        if self.quotes is not None:
            self.quotes.clear()

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
            self.since = self.began = self.clock.now
            return
        self.restart("source_switch")
        self.switched_to = provider
        self.counters.source_switches += 1

    def _on_trade_jump(self, before: float, price: float) -> None:
        self.prices.on_trade_jump(before, price, self.trades_seen)

    def _on_wrong_price(self, event_type: str) -> None:
        self.mark(IMPLAUSIBLE, INPUT_OF[event_type])

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
