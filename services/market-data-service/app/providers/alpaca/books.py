"""The order books of crypto-currencies.

A book begins with a message marked `r`, which holds all of it and may come again. The changes that follow carry no
number, so a lost one shows in nothing but a crossed book. Whatever casts doubt on a book therefore ends it, and each is
taken anew from time to time without a reason.
"""

from collections.abc import Callable, Sequence
from typing import Final

from app.books.book import Change
from app.books.delta_sync import DeltaState, DeltaSync
from app.providers.alpaca.memory import NAME, Memory
from app.providers.alpaca.wire import BookData, LevelData
from app.providers.checks import BadFieldError
from md_contract.events import BookL2, Event

DEPTH: Final = 5_000  # levels a side; the venue names no limit, and a book of twice that is given up


class Depth:
    """One symbol's book. `on_change` is told the symbol when the published levels may have changed, and while only a
    new beginning helps.
    """

    def __init__(self, symbol: str, memory: Memory, on_change: Callable[[str], None]) -> None:
        self.symbol = symbol
        self.sync = DeltaSync(DEPTH, memory.counters.books)
        self._memory = memory
        self._on_change = on_change
        self._number = 0  # ours: counts the messages of this book

    def read(self, raw: BookData, ts_recv: int) -> Sequence[Event]:
        try:
            ts_event = self._memory.ts_event(raw.t, ts_recv)
            bids, asks = self._changes(raw.b), self._changes(raw.a)
        except BadFieldError:
            self.lost()
            raise
        self._number += 1
        sync = self.sync
        changed = (sync.on_snapshot if raw.r else sync.on_delta)(self._number, bids, asks, ts_recv, ts_event)
        if changed or sync.wants_snapshot():
            self._on_change(self.symbol)
        return ()

    def lost(self) -> None:
        """A message of this book could not be read, or will not come."""
        self.sync.on_lost()
        self._on_change(self.symbol)

    def left(self) -> None:
        """The venue has ended the book; the next one begins from nothing."""
        if self.sync.state is DeltaState.LIVE:
            self._memory.counters.books.renewals += 1
        self.sync = DeltaSync(DEPTH, self._memory.counters.books)

    def top(self, depth: int) -> BookL2 | None:
        top = self.sync.top(depth)
        if top is None:
            return None
        return BookL2(NAME, self.symbol, top.ts_recv, top.bids, top.asks, top.ts_event)

    def _changes(self, levels: Sequence[LevelData]) -> list[Change]:
        numbers = self._memory.numbers
        changes = []
        for level in levels:
            price, size = numbers.price(level.p), numbers.size(level.s)
            changes.append((price.value, size.value, (price.text, size.text)))
        return changes
