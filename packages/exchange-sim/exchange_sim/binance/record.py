"""What the exchange remembers of one symbol: its book, and its recent trades for the REST calls."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from exchange_sim.book import Book, Change
from exchange_sim.fixed import format_fixed, parse_fixed

RECENT_TRADES: Final = 50_000  # of each kind and symbol; older ones are forgotten


class TradeRow(NamedTuple):
    """One trade; prices and sizes as the venue writes them."""

    trade_id: int
    price: str
    size: str
    time_ms: int
    buyer_is_maker: bool


class AggregateRow(NamedTuple):
    """The trades of one order at one price."""

    aggregate_id: int
    price: str
    size: str
    first_id: int
    last_id: int
    time_ms: int
    buyer_is_maker: bool


class Record:
    """One symbol. `book` is ahead of the diff streams by what they have not said yet, as it is at the real venue."""

    def __init__(self, symbol: str, recent: int = RECENT_TRADES) -> None:
        self.symbol = symbol
        self._book = Book()
        self._noted_bids: dict[str, str] = {}  # sizes by price, as text, that the book does not hold yet
        self._noted_asks: dict[str, str] = {}
        self.trades: deque[TradeRow] = deque(maxlen=recent)
        self.aggregates: deque[AggregateRow] = deque(maxlen=recent)

    @property
    def book(self) -> Book:
        """The book as it is now."""
        if self._noted_bids or self._noted_asks:
            self._book.apply(_changes(True, self._noted_bids), self._book.update_id)
            self._book.apply(_changes(False, self._noted_asks), self._book.update_id)
            self._noted_bids.clear()
            self._noted_asks.clear()
        return self._book

    @property
    def update_id(self) -> int:
        """Of the last update in the book."""
        return self._book.update_id

    def note(self, bids: Iterable[tuple[str, str]], asks: Iterable[tuple[str, str]], update_id: int) -> None:
        """Take levels as text. They are put into the book when somebody looks at it, which is much rarer."""
        self._noted_bids.update(bids)
        self._noted_asks.update(asks)
        self._book.update_id = update_id

    def renew(self, bids: Iterable[tuple[str, str]], asks: Iterable[tuple[str, str]], update_id: int) -> None:
        """Put another book in place of this one."""
        self._book = Book()
        self._noted_bids.clear()
        self._noted_asks.clear()
        self.note(bids, asks, update_id)

    def join(self, row: TradeRow) -> None:
        """Count a trade into the aggregates: to the last one when it goes on with it, else as a new one."""
        last = self.aggregates[-1] if self.aggregates else None
        if last is not None and _goes_on(last, row):
            size = format_fixed(parse_fixed(last.size) + parse_fixed(row.size))
            self.aggregates[-1] = last._replace(size=size, last_id=row.trade_id)
            return
        new_id = row.trade_id if last is None else last.aggregate_id + 1
        self.aggregates.append(
            AggregateRow(new_id, row.price, row.size, row.trade_id, row.trade_id, row.time_ms, row.buyer_is_maker)
        )


def _changes(is_bid: bool, sizes: Mapping[str, str]) -> Iterator[Change]:
    for price, size in sizes.items():
        yield Change(is_bid, parse_fixed(price), parse_fixed(size))


def _goes_on(last: AggregateRow, row: TradeRow) -> bool:
    return (
        row.trade_id == last.last_id + 1
        and row.time_ms == last.time_ms
        and row.price == last.price
        and row.buyer_is_maker == last.buyer_is_maker
    )
