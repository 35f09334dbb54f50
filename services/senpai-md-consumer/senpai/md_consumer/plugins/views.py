"""What a plug-in sees of its inputs, in copies: the events of a window, the latest quote, the latest book."""

from collections.abc import Sequence
from typing import NamedTuple

from senpai.md_consumer import series


class Trades:
    """Trades in event order, oldest first, as columns that run in parallel; each is a copy made when it is read.

    The columns are arrays: `numpy.asarray(trades.price)` takes them as they are.
    """

    __slots__ = ("_first", "_rows", "_stop")

    def __init__(self, rows: series.Trades, first: int, stop: int) -> None:
        self._rows = rows
        self._first = first
        self._stop = stop

    def __len__(self) -> int:
        return self._stop - self._first

    @property
    def now(self) -> int:
        """The symbol's event-time clock, ns: the window ends here."""
        return self._rows.clock.now

    @property
    def ts(self) -> Sequence[int]:
        """Event times, ns."""
        return self._rows.ts[self._first : self._stop]

    @property
    def price(self) -> Sequence[float]:
        return self._rows.price[self._first : self._stop]

    @property
    def size(self) -> Sequence[float]:
        """Base units."""
        return self._rows.size[self._first : self._stop]

    @property
    def notional(self) -> Sequence[float]:
        """Price * size."""
        return self._rows.notional[self._first : self._stop]

    @property
    def side(self) -> Sequence[int]:
        """Who took: 1 the buyer, -1 the seller, 0 unknown."""
        return self._rows.side[self._first : self._stop]


class Quotes:
    """Best bids and offers, oldest first, as columns; a price of 0 is a side that was not there. Else as `Trades`."""

    __slots__ = ("_first", "_rows", "_stop")

    def __init__(self, rows: series.Quotes, first: int, stop: int) -> None:
        self._rows = rows
        self._first = first
        self._stop = stop

    def __len__(self) -> int:
        return self._stop - self._first

    @property
    def now(self) -> int:
        """The symbol's event-time clock, ns: the window ends here."""
        return self._rows.clock.now

    @property
    def ts(self) -> Sequence[int]:
        """Event times, ns."""
        return self._rows.ts[self._first : self._stop]

    @property
    def bid(self) -> Sequence[float]:
        return self._rows.bid[self._first : self._stop]

    @property
    def bid_size(self) -> Sequence[float]:
        return self._rows.bid_size[self._first : self._stop]

    @property
    def ask(self) -> Sequence[float]:
        return self._rows.ask[self._first : self._stop]

    @property
    def ask_size(self) -> Sequence[float]:
        return self._rows.ask_size[self._first : self._stop]


class Quote(NamedTuple):
    """The latest quote; both sides are there."""

    bid: float
    bid_size: float
    ask: float
    ask_size: float


class Book(NamedTuple):
    """The latest book: (price, size) of each level, best first; no side is empty."""

    bids: tuple[tuple[float, float], ...]
    asks: tuple[tuple[float, float], ...]
