"""What Bybit knows of one symbol of the invented market: its book, and its latest trades."""

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Final, NamedTuple
from uuid import UUID, uuid5

from exchange_sim.book import Book
from exchange_sim.bybit.text import Digits, TradeRow
from exchange_sim.bybit.topics import CATEGORIES
from exchange_sim.market import BookUpdate, Execution, Fill, Instrument

RECENT_TRADES: Final = 1_000  # the most that a REST call lists
_NS_PER_MS: Final = 1_000_000
_SPOT_IDS: Final = 2_290_000_000_000_000_000
_LINEAR_IDS: Final = UUID("5f6a1c0e-9f0b-5d57-8a3c-6f1f0a2b7c10")


class _Order(NamedTuple):
    """An execution, and the number that orders its trades before the next book update."""

    execution: Execution
    seq: int


class Record:
    """One symbol, the same in every category but for the way it is written."""

    def __init__(self, what: Instrument) -> None:
        self.symbol = what.symbol
        self.book = Book()
        self.made_ns = 0  # when the book changed last
        self.digits = {category: Digits(category, what) for category in CATEGORIES}
        self._latest: deque[_Order] = deque(maxlen=RECENT_TRADES)
        self._price = 0  # of the last trade
        self._direction = "Plus"

    def open(self, book: Book, now_ns: int) -> None:
        """Take the book as the market opens."""
        self.book.apply(book.levels(), book.update_id)
        self.made_ns = now_ns

    def update(self, event: BookUpdate) -> None:
        """Apply a change of the book."""
        self.book.apply(event.changes, event.last_id)
        self.made_ns = event.ts_ns

    def trade(self, event: Execution) -> list[str]:
        """Remember the trades of one order; return which way the price went with each."""
        self._latest.append(_Order(event, self.book.update_id + 1))
        return [self._tick(fill.price) for fill in event.fills]

    def last_order(self, category: str, ticks: list[str]) -> list[TradeRow]:
        """Return the trades of the last order, in match order, as a category writes them."""
        order = self._latest[-1]
        return [self._row(category, order, fill, tick) for fill, tick in zip(order.execution.fills, ticks, strict=True)]

    def latest(self, category: str, limit: int) -> list[TradeRow]:
        """Return up to `limit` latest trades, the latest first."""
        return list(islice(self._backwards(category), limit))

    def _backwards(self, category: str) -> Iterator[TradeRow]:
        for order in reversed(self._latest):
            for fill in reversed(order.execution.fills):
                yield self._row(category, order, fill, "")

    def _row(self, category: str, order: _Order, fill: Fill, tick: str) -> TradeRow:
        digits, execution = self.digits[category], order.execution
        return TradeRow(
            trade_id=self._trade_id(category, fill.trade_id),
            price=digits.price(fill.price),
            size=digits.size(fill.size),
            side="Sell" if execution.buyer_is_maker else "Buy",
            time_ms=execution.ts_ns // _NS_PER_MS,
            seq=order.seq,
            tick=tick,
        )

    def _trade_id(self, category: str, number: int) -> str:
        return str(_SPOT_IDS + number) if category == "spot" else str(uuid5(_LINEAR_IDS, f"{self.symbol}:{number}"))

    def _tick(self, price: int) -> str:
        before, self._price = self._price, price
        if price == before:
            return f"Zero{self._direction}Tick"
        self._direction = "Plus" if price > before else "Minus"
        return f"{self._direction}Tick"
