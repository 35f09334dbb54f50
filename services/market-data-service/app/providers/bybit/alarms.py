"""One alarm per symbol, all after the same delay."""

from app.books.pace import NEVER


class Alarms:
    """Times are monotonic ns. The delay of an alarm begins at the first call of `ring` after it was set."""

    def __init__(self, delay_ns: int) -> None:
        self._delay_ns = delay_ns
        self._fresh: dict[str, None] = {}
        self._at: dict[str, int] = {}  # the earliest is first

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._fresh or symbol in self._at

    def set(self, symbol: str) -> None:
        if symbol not in self:
            self._fresh[symbol] = None

    def clear(self, symbol: str) -> None:
        self._fresh.pop(symbol, None)
        self._at.pop(symbol, None)

    def ring(self, now: int) -> list[str]:
        """Return the symbols whose time has come; their alarms are cleared."""
        self._at.update(dict.fromkeys(self._fresh, now + self._delay_ns))
        self._fresh.clear()
        symbols = []
        while self.due <= now:
            symbol = next(iter(self._at))
            del self._at[symbol]
            symbols.append(symbol)
        return symbols

    @property
    def due(self) -> int:
        """When `ring` next returns a symbol; fresh alarms are not counted."""
        return next(iter(self._at.values()), NEVER)
