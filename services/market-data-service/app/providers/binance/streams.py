"""The three kinds of stream, one object for each that is subscribed: payload in, events out."""

from collections.abc import Callable, Sequence
from typing import Final

from app.books.book import Change
from app.books.diff_sync import Diff, DiffSync
from app.providers.binance.backfill import Backfill
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

    def __init__(self, symbol: str, memory: Memory, backfill: Backfill) -> None:
        self.symbol = symbol
        self._decimals = memory.decimals
        self._sequence = memory.sequence(symbol)
        self._counters = memory.counters
        self._backfill = backfill

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
        sequence, symbol, ts_recv = self._sequence, self.symbol, trade.ts_recv
        before = sequence.last_ts
        verdict = sequence.judge(trade_id, trade.ts_event or 0)
        if verdict is Verdict.NEXT:
            return (trade,)
        if verdict is Verdict.DUPLICATE:
            self._counters.duplicate_trades += 1
            return ()
        if verdict is Verdict.LATE:
            self._counters.late_trades += 1
            self._backfill.came(symbol, trade_id)
            return (trade,)
        if verdict is Verdict.GAP:
            first, last = sequence.holes[-1]
            return (*self._backfill.jumped(symbol, first, last, before, ts_recv), trade)
        self._counters.sequence_restarts += 1
        detail = {"from": None, "to": None, "missing": None, "backfilled": 0, "reason": "trade ids began anew"}
        gap = Status(NAME, symbol, ts_recv, "gap", detail, trade.ts_event)
        return (*self._backfill.renumbered(symbol, ts_recv), gap, trade)

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
        self._mark = memory.quote_mark(symbol)

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
        mark = self._mark
        if raw.u <= mark.update and ts_recv - mark.recv <= RENUMBERED_NS:
            self._counters.stale_quotes += 1
            return ()
        mark.update, mark.recv = raw.u, ts_recv
        if bid_price > ask_price:
            self._counters.crossed_quotes += 1
        return (Quote(NAME, symbol, ts_recv, bid, bid_size, ask, ask_size),)

    def _fault(self, raw: QuoteData) -> str:
        if raw.s != self.symbol:
            return "symbol"
        return "size" if self._decimals[raw.b] > 0.0 and self._decimals[raw.a] > 0.0 else "price"


class Depth:
    """One `@depth@100ms` stream and the book kept from it.

    After every update `after` is told the symbol, and whether what is published may have changed. Of several
    connections that carry the symbol, one publishes its book: `generation` is higher on a younger connection.
    """

    def __init__(self, symbol: str, generation: int, memory: Memory, after: Callable[[str, bool], None]) -> None:
        self.symbol = symbol
        self.generation = generation
        self.sync = DiffSync(memory.counters.books)
        self._owners = memory.book_owners
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

    def owns(self) -> bool:
        """True when this book is the one that is published; a younger one takes over as soon as it is no older."""
        owner = self._owners.get(self.symbol)
        if owner is self:
            return True
        if not self.sync.synchronised:
            return False
        if (
            owner is None
            or not owner.sync.synchronised
            or (owner.generation < self.generation and owner.sync.last <= self.sync.last)
        ):
            self._owners[self.symbol] = self
            return True
        return False

    def is_missed(self, *, quiet: bool) -> bool:
        """True while another connection has this book and this one has yet to get it; without any update, until `quiet`
        says that there has been time for one: then the book has not changed, and what was published of it holds.
        """
        owner = self._owners.get(self.symbol)
        if owner is None or owner is self or not owner.sync.synchronised or self.sync.synchronised:
            return False
        return self.sync.has_begun or not quiet

    def closed(self) -> None:
        """The connection is gone; another one may publish its book."""
        if self._owners.get(self.symbol) is self:
            del self._owners[self.symbol]

    def top(self, depth: int) -> BookL2 | None:
        """What is to be published now, if anything."""
        top = self.sync.top(depth) if self.owns() else None
        return BookL2(NAME, self.symbol, top.ts_recv, top.bids, top.asks, top.ts_event) if top else None
