"""The `orderbook` topics: depth 1 as quotes, a deeper one as a book."""

from collections.abc import Callable, Sequence

from app.books.book import Change
from app.books.delta_sync import DeltaSync
from app.providers.bybit.memory import Memory
from app.providers.bybit.wire import DAY_NS, EARLIEST_NS, MAX_ID, BadFieldError, BookFrame
from md_contract.events import BookL2, Event, Level, Quote
from md_contract.units import NS_PER_MS


class Quotes:
    """One `orderbook.1` topic: every frame is the whole top, pushed again after 3 s without a change."""

    def __init__(self, symbol: str, memory: Memory) -> None:
        self.symbol = symbol
        self.last_update = -1  # numbers are compared within one connection only
        self.last_recv: int | None = None  # wall-clock ns of the last sign of life, repeats included
        self._name = memory.name
        self._decimals = memory.decimals
        self._counters = memory.counters
        self._last_event = 0

    def read(self, frame: BookFrame, ts_recv: int) -> Sequence[Event]:
        data, cts = frame.data, frame.cts
        bids, asks, update = data.b, data.a, data.u
        if len(bids) == 1 == len(asks) and self.last_update < update <= MAX_ID and data.s == self.symbol:
            decimals = self._decimals
            (bid, bid_size), (ask, ask_size) = bids[0], asks[0]
            bid_price, ask_price = decimals[bid], decimals[ask]
            ts_event = (frame.ts if cts is None else cts) * NS_PER_MS
            if (
                bid_price > 0.0
                and ask_price > 0.0
                and decimals[bid_size] > 0.0
                and decimals[ask_size] > 0.0
                and EARLIEST_NS <= ts_event <= ts_recv + DAY_NS
            ):
                self.last_update, self._last_event, self.last_recv = update, ts_event, ts_recv
                if bid_price > ask_price:
                    self._counters.crossed_quotes += 1
                return (Quote(self._name, self.symbol, ts_recv, bid, bid_size, ask, ask_size, ts_event),)
        return self._read_irregular(frame, ts_recv)

    def _read_irregular(self, frame: BookFrame, ts_recv: int) -> Sequence[Event]:
        """Read what is not simply the next quote; raises `BadFieldError` when it cannot be used."""
        data = frame.data
        update = data.u
        if data.s != self.symbol:
            raise BadFieldError("symbol")
        if update == self.last_update:
            self.last_recv = ts_recv
            self._counters.repeated_quotes += 1
            return ()
        if not 0 <= update <= MAX_ID:
            raise BadFieldError("update_id")
        ts_event = frame.ts_event(ts_recv)
        quote = self._quote(data.b, data.a, ts_recv, ts_event)
        self.last_recv = ts_recv
        if update < self.last_update and update != 1 and ts_event <= self._last_event:
            self._counters.stale_quotes += 1
            return ()
        self.last_update, self._last_event = update, ts_event
        if quote is None:
            self._counters.one_sided_quotes += 1
            return ()
        if self._decimals[quote.bid] > self._decimals[quote.ask]:
            self._counters.crossed_quotes += 1
        return (quote,)

    def _quote(self, bids: list[Level], asks: list[Level], ts_recv: int, ts_event: int) -> Quote | None:
        """The quote, or None when a side is empty; raises `BadFieldError` when the frame is no top of a book."""
        if len(bids) > 1 or len(asks) > 1:
            raise BadFieldError("wrong_shape")
        decimals = self._decimals
        for price, size in (*bids, *asks):
            if not (decimals[price] > 0.0 and decimals[size] >= 0.0):
                raise BadFieldError("size" if decimals[price] > 0.0 else "price")
        if not (bids and asks):
            return None
        (bid, bid_size), (ask, ask_size) = bids[0], asks[0]
        if decimals[bid_size] == 0.0 or decimals[ask_size] == 0.0:
            return None
        return Quote(self._name, self.symbol, ts_recv, bid, bid_size, ask, ask_size, ts_event)


class Depth:
    """One deeper `orderbook` topic and the book kept from it.

    `on_change` is told the symbol when the published levels may have changed, and while only a snapshot helps.
    """

    def __init__(self, symbol: str, memory: Memory, on_change: Callable[[str], None]) -> None:
        self.symbol = symbol
        self.sync = DeltaSync(memory.depth, memory.counters.books)
        self._name = memory.name
        self._decimals = memory.decimals
        self._on_change = on_change

    def read(self, frame: BookFrame, ts_recv: int) -> Sequence[Event]:
        try:
            update = self._read(frame, ts_recv)
        except BadFieldError:
            self.lost()
            raise
        sync = self.sync
        # 1: the venue's service began anew, and this is its whole book
        is_whole = frame.type == "snapshot" or frame.data.u == 1
        changed = sync.on_snapshot(*update) if is_whole else sync.on_delta(*update)
        if changed or sync.wants_snapshot():
            self._on_change(self.symbol)
        return ()

    def lost(self) -> None:
        """A frame of this topic could not be read, or will not come."""
        self.sync.on_lost()
        self._on_change(self.symbol)

    def top(self, depth: int) -> BookL2 | None:
        top = self.sync.top(depth)
        if top is None:
            return None
        return BookL2(self._name, self.symbol, top.ts_recv, top.bids, top.asks, top.ts_event)

    def _read(self, frame: BookFrame, ts_recv: int) -> tuple[int, list[Change], list[Change], int, int]:
        data = frame.data
        if data.s != self.symbol:
            raise BadFieldError("symbol")
        if not 0 <= data.u <= MAX_ID:
            raise BadFieldError("update_id")
        ts_event = frame.ts_event(ts_recv)
        return data.u, self._changes(data.b), self._changes(data.a), ts_recv, ts_event

    def _changes(self, levels: list[Level]) -> list[Change]:
        decimals = self._decimals
        changes = []
        for level in levels:
            price, size = decimals[level[0]], decimals[level[1]]
            if not (price > 0.0 and size >= 0.0):
                raise BadFieldError("price" if size >= 0.0 else "size")
            changes.append((price, size, level))
        return changes


class TopOfBook:
    """`orderbook.1` when it is the book as well. A repeat changes neither."""

    def __init__(self, quotes: Quotes, depth: Depth) -> None:
        self._quotes = quotes
        self._depth = depth

    def read(self, frame: BookFrame, ts_recv: int) -> Sequence[Event]:
        before = self._quotes.last_update
        try:
            events = self._quotes.read(frame, ts_recv)
        except BadFieldError:
            self._depth.lost()
            raise
        if self._quotes.last_update != before:
            self._depth.read(frame, ts_recv)
        return events
