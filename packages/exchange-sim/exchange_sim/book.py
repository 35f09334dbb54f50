"""An order book: two sides of price levels, each price with its total size.

Prices and sizes are whole numbers of 10^-8. The book checks nothing; who feeds it answers for it.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import NamedTuple


class Change(NamedTuple):
    """One level as it is from now on; size 0 removes it."""

    is_bid: bool
    price: int
    size: int


class Top(NamedTuple):
    """Best bid and offer."""

    bid: int
    bid_size: int
    ask: int
    ask_size: int


class Side:
    """The levels of one side, found by price and kept in order."""

    __slots__ = ("_ranks", "_sign", "sizes")

    def __init__(self, sign: int) -> None:
        self.sizes: dict[int, int] = {}
        self._sign = sign  # +1: the highest price is best (bids); -1: the lowest (asks)
        self._ranks: list[int] = []  # sign * price, ascending: the best level is the last

    def __len__(self) -> int:
        return len(self._ranks)

    def set(self, price: int, size: int) -> None:
        """Set the size at a price; 0 removes the level, also when there is none."""
        if size:
            if price not in self.sizes:
                insort(self._ranks, self._sign * price)
            self.sizes[price] = size
        elif self.sizes.pop(price, None) is not None:
            del self._ranks[bisect_left(self._ranks, self._sign * price)]

    def best(self) -> int:
        """Return the best price. Raises IndexError on an empty side."""
        return self._sign * self._ranks[-1]

    def worst(self) -> int:
        """Return the price furthest from the market. Raises IndexError on an empty side."""
        return self._sign * self._ranks[0]

    def price_at(self, depth: int) -> int:
        """Return the price `depth` levels behind the best one (0: the best itself)."""
        return self._sign * self._ranks[-1 - depth]

    def top(self, count: int) -> list[tuple[int, int]]:
        """Return up to `count` levels as (price, size), best first."""
        ranks = self._ranks[-count:] if count else []
        return [(self._sign * rank, self.sizes[self._sign * rank]) for rank in reversed(ranks)]

    def better_than(self, price: int) -> list[int]:
        """Return the prices strictly better than `price`, best first."""
        cut = bisect_left(self._ranks, self._sign * price + 1)
        return [self._sign * rank for rank in reversed(self._ranks[cut:])]


class Book:
    """Both sides, and the id of the last update that is in them."""

    __slots__ = ("asks", "bids", "update_id")

    def __init__(self) -> None:
        self.bids = Side(1)
        self.asks = Side(-1)
        self.update_id = 0

    def apply(self, changes: Iterable[Change], update_id: int) -> None:
        """Set every changed level and remember the id of the update."""
        for is_bid, price, size in changes:
            (self.bids if is_bid else self.asks).set(price, size)
        self.update_id = update_id

    def top(self) -> Top | None:
        """Return best bid and offer; None while a side is empty."""
        if not self.bids or not self.asks:
            return None
        bid, ask = self.bids.best(), self.asks.best()
        return Top(bid, self.bids.sizes[bid], ask, self.asks.sizes[ask])

    def levels(self) -> list[Change]:
        """Return every level, bids first."""
        bids = [Change(True, price, size) for price, size in self.bids.sizes.items()]
        return bids + [Change(False, price, size) for price, size in self.asks.sizes.items()]
