"""Imbalance of the sizes on the best five levels of the book.

Reference: Á. Cartea, S. Jaimungal, J. Penalva, "Algorithmic and High-Frequency Trading" (2015), chapter 12: volume
imbalance, there of the best level; of several levels as in C. Cao, O. Hansch, X. Wang, "The Information Content of an
Open Limit-Order Book", Journal of Futures Markets 29 (2009).
"""

from collections.abc import Sequence
from math import fsum
from typing import Final

from md_contract.events import BookL2, Level
from senpai.md_consumer.state import SymbolState

LEVELS: Final = 5


class DepthImbalance:
    """Of the latest book, computed once for each book."""

    def __init__(self, state: SymbolState) -> None:
        self._state = state
        self._book: BookL2 | None = None
        self._value: float | None = None

    def imbalance(self) -> float | None:
        """(Σ bid sizes - Σ ask sizes) / (Σ bid sizes + Σ ask sizes) over the best 5 levels of each side, or as many as
        there are; null without a book, without a side or without any size.
        """
        book = self._state.book
        if book is not self._book:
            self._book = book
            self._value = None if book is None else _imbalance(book.bids, book.asks)
        return self._value


def _imbalance(bids: Sequence[Level], asks: Sequence[Level]) -> float | None:
    bid, ask = ([float(size) for _, size in side[:LEVELS]] for side in (bids, asks))
    total = fsum(bid + ask)
    if not (bid and ask and total):
        return None
    return fsum([*bid, *(-size for size in ask)]) / total
