"""One local order book: every level the venue told us of, best levels at hand.

A side keeps its levels in a dict and their order in a sorted list whose *last* entry is the best price. Updates cluster
around the best price, so inserting and deleting there moves little, and the top N is a slice. Prices are told apart as
floats: exact for up to 15 significant digits, which is also what the order of the levels needs.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import TypeAlias

from md_contract.events import Level

Change: TypeAlias = tuple[float, float, Level]  # price, size, and both as the venue wrote them


class Side:
    """One side of a book. `direction` is 1 for bids (the highest is best) and -1 for asks."""

    __slots__ = ("_direction", "_keys", "_levels")

    def __init__(self, direction: int) -> None:
        self._direction = direction
        self._keys: list[float] = []  # direction * price, ascending: the best is last
        self._levels: dict[float, Level] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def load(self, changes: Iterable[Change]) -> None:
        """Replace the whole side."""
        levels: dict[float, Level] = {}
        for price, size, level in changes:
            if size > 0.0:
                levels[self._direction * price] = level
            else:
                levels.pop(self._direction * price, None)
        self._levels = levels
        self._keys = sorted(levels)

    def apply(self, changes: Iterable[Change]) -> None:
        """Set each level to its new size; size 0 removes it, whether it was there or not."""
        direction, keys, levels = self._direction, self._keys, self._levels
        for price, size, level in changes:
            key = direction * price
            if size > 0.0:
                if key not in levels:
                    insort(keys, key)
                levels[key] = level
            elif levels.pop(key, None) is not None:
                del keys[bisect_left(keys, key)]

    def best(self) -> float | None:
        """The best price, or None when the side is empty."""
        return self._direction * self._keys[-1] if self._keys else None

    def nth(self, n: int) -> float | None:
        """The n-th best price, counted from 1, or None when the side is not that deep."""
        return self._direction * self._keys[-n] if len(self._keys) >= n else None

    def worst(self) -> float | None:
        """The price farthest from the best, or None when the side is empty."""
        return self._direction * self._keys[0] if self._keys else None

    def top(self, n: int) -> list[Level]:
        """The n best levels, best first."""
        levels = self._levels
        return [levels[key] for key in self._keys[: -n - 1 : -1]]


class Book:
    """Both sides."""

    __slots__ = ("asks", "bids")

    def __init__(self) -> None:
        self.bids = Side(1)
        self.asks = Side(-1)

    def load(self, bids: Iterable[Change], asks: Iterable[Change]) -> None:
        self.bids.load(bids)
        self.asks.load(asks)

    def apply(self, bids: Iterable[Change], asks: Iterable[Change]) -> None:
        self.bids.apply(bids)
        self.asks.apply(asks)

    def is_crossed(self) -> bool:
        """True when the best bid is not below the best ask: on a spot venue, a sign that an update is missing."""
        bid, ask = self.bids.best(), self.asks.best()
        return bid is not None and ask is not None and bid >= ask
