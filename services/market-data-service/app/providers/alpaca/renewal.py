"""When each book is taken anew although nothing seems wrong with it: one after the other, all within an hour."""

from collections.abc import Sequence
from typing import Final

from app.books.pace import NEVER
from md_contract.units import NS_PER_S

EVERY_NS: Final = 3_600 * NS_PER_S


class Renewal:
    """Spreads the symbols over the hour that begins with the first call of `on_time`. Times are monotonic ns."""

    def __init__(self, symbols: Sequence[str]) -> None:
        self.due = 0 if symbols else NEVER
        self._symbols = symbols
        self._next = 0

    def on_time(self, now: int) -> str | None:
        """Return the symbol whose turn it is, if it is anybody's."""
        if now < self.due:
            return None
        begins = self.due == 0
        self.due = now + EVERY_NS // len(self._symbols)
        if begins:
            return None
        symbol = self._symbols[self._next]
        self._next = (self._next + 1) % len(self._symbols)
        return symbol
