"""The three kinds of stream, one object for each that is subscribed: payload in, events out."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from app.books.book import Change
from app.books.diff_sync import Diff, DiffSync
from app.providers.binance.memory import Memory
from app.providers.binance.wire import DepthData, QuoteData, TradeData
from app.providers.checks import DAY_NS, EARLIEST_NS, MAX_ID, BadFieldError
from app.providers.sequence import Verdict
from md_contract.events import BookL2, Event, Level, Quote, Status, Trade
from md_contract.units import NS_PER_MS, NS_PER_S

NAME: Final = "binance"
RENUMBERED_NS: Final = 10 * NS_PER_S  # numbers that stay behind for longer belong to a new numbering


class Trades:
    """One `@trade` stream."""

    def __init__(self, symbol: str, memory: Memory) -> None:
        self.symbol = symbol
        self._decimals = memory.decimals
        self._sequence = memory.sequence(symbol)
        self._counters = memory.counters

    def read(self, raw: TradeData, ts_recv: int) -> Sequence[Event]:
        decimals, sequence = self._decimals, self._sequence
        symbol, price, size, trade_id = raw.s, raw.p, raw.q, raw.t
        ts_event = raw.T * NS_PER_MS
        if not (
            decimals[price] > 0.0
            and decimals[size] >= 0.0
            and EARLIEST_NS <= ts_event <= ts_recv + DAY_NS
            and symbol == self.symbol
        ):
            raise BadFieldError(self._fault(raw))
        trade = Trade(NAME, symbol, ts_recv, price, size, str(trade_id), "sell" if raw.m else "buy", ts_event)
        if trade_id == sequence.expected:  # what `judge` would say, without the call
            sequence.expected = trade_id + 1
            sequence.last_ts = ts_event
            return (trade,)
        return self._irregular(trade_id, trade)

    def _irregular(self, trade_id: int, trade: Trade) -> Sequence[Event]:
        if not 0 <= trade_id <= MAX_ID:
            raise BadFieldError("trade_id")
        verdict = self._sequence.judge(trade_id, trade.ts_event or 0)
        if verdict is Verdict.NEXT:
            return (trade,)
        if verdict is Verdict.DUPLICATE:
            self._counters.duplicate_trades += 1
            return ()
        if verdict is Verdict.LATE:
            self._counters.late_trades += 1
            return (trade,)
        return (Status(NAME, self.symbol, trade.ts_recv, "gap", self._gap(verdict), trade.ts_event), trade)

    def _gap(self, verdict: Verdict) -> dict[str, Any]:
        if verdict is Verdict.RESTART:
            self._counters.sequence_restarts += 1
            return {"from": None, "to": None, "missing": None, "reason": "trade ids began anew"}
        first, last = self._sequence.holes[-1]
        missing = last - first + 1
        self._counters.gaps += 1
        self._counters.missing_trades += missing
        return {"from": first, "to": last, "missing": missing}

    def _fault(self, raw: TradeData) -> str:
        if raw.s != self.symbol:
            return "symbol"
        if not self._decimals[raw.p] > 0.0:
            return "price"
        return "time" if self._decimals[raw.q] >= 0.0 else "size"


class Quotes:
    """One `@bookTicker` stream."""

    def __init__(self, symbol: str, memory: Memory) -> None:
        self.symbol = symbol
        self._decimals = memory.decimals
        self._counters = memory.counters
        self._last_update = -1  # numbers are compared within one connection only
        self._last_recv = 0  # wall-clock ns, of the quote with that number

    def read(self, raw: QuoteData, ts_recv: int) -> Sequence[Event]:
        decimals = self._decimals
        symbol, bid, bid_size, ask, ask_size = raw.s, raw.b, raw.B, raw.a, raw.A
        bid_price, ask_price = decimals[bid], decimals[ask]
        if not (
            bid_price > 0.0
            and ask_price > 0.0
            and decimals[bid_size] >= 0.0
            and decimals[ask_size] >= 0.0
            and symbol == self.symbol
        ):
            raise BadFieldError(self._fault(raw))
        if raw.u <= self._last_update and ts_recv - self._last_recv <= RENUMBERED_NS:
            self._counters.stale_quotes += 1
            return ()
        self._last_update, self._last_recv = raw.u, ts_recv
        if bid_price > ask_price:
            self._counters.crossed_quotes += 1
        return (Quote(NAME, symbol, ts_recv, bid, bid_size, ask, ask_size),)

    def _fault(self, raw: QuoteData) -> str:
        if raw.s != self.symbol:
            return "symbol"
        return "size" if self._decimals[raw.b] > 0.0 and self._decimals[raw.a] > 0.0 else "price"


class Depth:
    """One `@depth@100ms` stream and the book kept from it.

    After every update `after` is told the symbol, and whether what is published may have changed.
    """

    def __init__(self, symbol: str, memory: Memory, after: Callable[[str, bool], None]) -> None:
        self.symbol = symbol
        self.sync = DiffSync(memory.counters.books)
        self._decimals = memory.decimals
        self._after = after

    def read(self, raw: DepthData, ts_recv: int) -> Sequence[Event]:
        try:
            diff = self._diff(raw, ts_recv)
        except BadFieldError:
            self.sync.on_lost()
            raise
        self._after(self.symbol, self.sync.on_diff(diff))
        return ()

    def _diff(self, raw: DepthData, ts_recv: int) -> Diff:
        if raw.s != self.symbol:
            raise BadFieldError("symbol")
        if not 0 <= raw.U <= raw.u <= MAX_ID:
            raise BadFieldError("update_id")
        ts_event = raw.E * NS_PER_MS
        if not EARLIEST_NS <= ts_event <= ts_recv + DAY_NS:
            raise BadFieldError("time")
        return Diff(raw.U, raw.u, self.changes(raw.b), self.changes(raw.a), ts_recv, ts_event)

    def changes(self, levels: list[Level]) -> list[Change]:
        """Number the levels; raises `BadFieldError` at the first that cannot be."""
        decimals = self._decimals
        changes = []
        for level in levels:
            price, size = decimals[level[0]], decimals[level[1]]
            if not (price > 0.0 and size >= 0.0):
                raise BadFieldError("price" if size >= 0.0 else "size")
            changes.append((price, size, level))
        return changes

    def top(self, depth: int) -> BookL2 | None:
        top = self.sync.top(depth)
        return BookL2(NAME, self.symbol, top.ts_recv, top.bids, top.asks, top.ts_event) if top else None
