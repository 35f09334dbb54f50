"""What one Binance provider knows for as long as the feed lives, shared by its connections."""

from typing import Protocol

from app.books.diff_sync import DiffSync
from app.providers.decimals import Decimals
from app.providers.provider import Counters
from app.providers.quarantine import Quarantine
from app.providers.sequence import TradeSequence


class BookKeeper(Protocol):
    """Keeps the book of one symbol on one connection."""

    generation: int
    sync: DiffSync


class QuoteMark:
    """The latest quote of one symbol, over all connections that carry it at the time."""

    __slots__ = ("carriers", "recv", "update")

    def __init__(self) -> None:
        self.update = -1
        self.recv = 0  # wall-clock ns
        self.carriers = 0  # open connections

    def opened(self) -> None:
        """A connection that carries the symbol has opened; numbers are compared only while there is any."""
        if not self.carriers:
            self.update, self.recv = -1, 0
        self.carriers += 1

    def closed(self) -> None:
        self.carriers -= 1


class Memory:
    """The counters, and what has come so far."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.quarantine = Quarantine()
        self.decimals = Decimals()
        self.generation = 0  # of connections: a younger one has a higher number
        self.book_owners: dict[str, BookKeeper] = {}  # whose book is published, by symbol
        self._sequences: dict[str, TradeSequence] = {}
        self._quote_marks: dict[str, QuoteMark] = {}

    def sequence(self, symbol: str) -> TradeSequence:
        """The trade ids of one symbol, across all connections."""
        return self._sequences.setdefault(symbol, TradeSequence())

    def quote_mark(self, symbol: str) -> QuoteMark:
        """The latest quote of one symbol, across connections."""
        return self._quote_marks.setdefault(symbol, QuoteMark())
