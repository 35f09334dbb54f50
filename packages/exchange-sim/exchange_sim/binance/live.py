"""The market model as Binance streams: trades and quotes as they happen, books every 100 and 1000 ms."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from exchange_sim.binance import text
from exchange_sim.binance.record import AggregateRow, Record, TradeRow
from exchange_sim.book import Change
from exchange_sim.fixed import format_fixed
from exchange_sim.frame import Frame
from exchange_sim.market import BookUpdate, Execution, MarketEvent, MarketModel

PARTIAL_DEPTHS: Final = (5, 10, 20)
_NS_PER_MS: Final = 1_000_000
_BEAT_NS: Final = 100 * _NS_PER_MS
_BEATS_PER_SLOW: Final = 10
SENT_AFTER_MS: Final = 1  # the venue stamps a message (E) this long after what it tells of (T)


class _Diff:
    """Levels changed since a diff stream last spoke."""

    def __init__(self, update_id: int) -> None:
        self.first_id = update_id + 1
        self.changed: dict[tuple[bool, int], int] = {}

    def add(self, changes: Iterable[Change]) -> None:
        for is_bid, price, size in changes:
            self.changed[is_bid, price] = size

    def take(self, symbol: str, last_id: int, sent_ms: int) -> bytes:
        """Return the diff up to and including `last_id`, and begin the next one."""
        bids = sorted(((price, size) for (is_bid, price), size in self.changed.items() if is_bid), reverse=True)
        asks = sorted((price, size) for (is_bid, price), size in self.changed.items() if not is_bid)
        payload = text.depth_update(symbol, self.first_id, last_id, bids, asks, sent_ms)
        self.first_id = last_id + 1
        self.changed.clear()
        return payload


class _Names:
    """The stream names of one symbol, spelled once."""

    def __init__(self, symbol: str) -> None:
        lower = symbol.lower()
        self.trade = f"{lower}@trade"
        self.aggregate = f"{lower}@aggTrade"
        self.book_ticker = f"{lower}@bookTicker"
        self.fast_diff = f"{lower}@depth@100ms"
        self.slow_diff = f"{lower}@depth"
        self.fast_partial = [(depth, f"{lower}@depth{depth}@100ms") for depth in PARTIAL_DEPTHS]
        self.slow_partial = [(depth, f"{lower}@depth{depth}") for depth in PARTIAL_DEPTHS]


class BinanceTeller:
    """Tells of a market model; frames that nobody wants are not written."""

    def __init__(self, model: MarketModel, records: Mapping[str, Record], is_wanted: Callable[[str], bool]) -> None:
        """`is_wanted` tells whether anybody listens to a stream."""
        self._model = model
        self._records = records
        self._is_wanted = is_wanted
        self._names = {symbol: _Names(symbol) for symbol in records}
        self._beat = 0  # number of the next book beat, in steps of 100 ms since the epoch
        self._fast: dict[str, _Diff] = {}
        self._slow: dict[str, _Diff] = {}

    def open(self, now_ns: int) -> None:
        """Take the books as the market opens."""
        self._beat = now_ns // _BEAT_NS + 1
        for symbol, record in self._records.items():
            book = self._model.book(symbol)
            record.book.apply(book.levels(), book.update_id)
            self._fast[symbol] = _Diff(book.update_id)
            self._slow[symbol] = _Diff(book.update_id)

    def next_ns(self) -> int:
        """Return when the book streams speak next."""
        return self._beat * _BEAT_NS

    def tell(self, event: MarketEvent, frames: list[Frame]) -> None:
        """Write of an event, if the venue trades its symbol."""
        if event.symbol not in self._records:
            return
        if isinstance(event, Execution):
            self._execution(event, frames)
        else:
            self._book_update(event, frames)

    def _execution(self, event: Execution, frames: list[Frame]) -> None:
        record, names = self._records[event.symbol], self._names[event.symbol]
        time_ms = event.ts_ns // _NS_PER_MS
        rows = [
            TradeRow(fill.trade_id, format_fixed(fill.price), format_fixed(fill.size), time_ms, event.buyer_is_maker)
            for fill in event.fills
        ]
        record.trades.extend(rows)
        if self._is_wanted(names.trade):
            frames.extend(Frame(names.trade, text.trade(event.symbol, row, time_ms + SENT_AFTER_MS)) for row in rows)
        aggregates = _aggregates(
            event, record.aggregates[-1].aggregate_id if record.aggregates else event.fills[0].trade_id
        )
        record.aggregates.extend(aggregates)
        if self._is_wanted(names.aggregate):
            frames.extend(
                Frame(names.aggregate, text.aggregate(event.symbol, row, time_ms + SENT_AFTER_MS)) for row in aggregates
            )

    def _book_update(self, event: BookUpdate, frames: list[Frame]) -> None:
        symbol = event.symbol
        self._records[symbol].book.apply(event.changes, event.last_id)
        self._fast[symbol].add(event.changes)
        self._slow[symbol].add(event.changes)
        names = self._names[symbol]
        if event.top is not None and self._is_wanted(names.book_ticker):
            frames.append(Frame(names.book_ticker, text.book_ticker(symbol, event.top, event.last_id)))

    def pass_time(self, until_ns: int, frames: list[Frame]) -> None:
        """Let the book streams speak at every beat up to and including `until_ns`."""
        while self._beat * _BEAT_NS <= until_ns:
            slow = self._beat % _BEATS_PER_SLOW == 0
            sent_ms = self._beat * _BEAT_NS // _NS_PER_MS
            for symbol, names in self._names.items():
                self._book_beat(symbol, names.fast_diff, self._fast[symbol], names.fast_partial, sent_ms, frames)
                if slow:
                    self._book_beat(symbol, names.slow_diff, self._slow[symbol], names.slow_partial, sent_ms, frames)
            self._beat += 1

    def _book_beat(
        self, symbol: str, stream: str, diff: _Diff, partials: list[tuple[int, str]], sent_ms: int, frames: list[Frame]
    ) -> None:
        if not diff.changed:
            return
        book = self._records[symbol].book
        if self._is_wanted(stream):
            frames.append(Frame(stream, diff.take(symbol, book.update_id, sent_ms)))
        else:
            diff.changed.clear()
            diff.first_id = book.update_id + 1
        frames.extend(Frame(name, text.snapshot(book, depth)) for depth, name in partials if self._is_wanted(name))


def _aggregates(event: Execution, last_id: int) -> list[AggregateRow]:
    """Join the fills of one order that have the same price."""
    rows: list[AggregateRow] = []
    index = 0
    while index < len(event.fills):
        first = event.fills[index]
        same = [fill for fill in event.fills[index:] if fill.price == first.price]
        rows.append(
            AggregateRow(
                aggregate_id=last_id + len(rows) + 1,
                price=format_fixed(first.price),
                size=format_fixed(sum(fill.size for fill in same)),
                first_id=first.trade_id,
                last_id=same[-1].trade_id,
                time_ms=event.ts_ns // 1_000_000,
                buyer_is_maker=event.buyer_is_maker,
            )
        )
        index += len(same)
    return rows
