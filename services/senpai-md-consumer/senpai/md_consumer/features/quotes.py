"""Features of the latest quote."""

from senpai.md_consumer.state import SymbolState


class Quotes:
    """Mid and spreads, as defined also when the quote is locked or crossed; null when it lacks a side."""

    def __init__(self, state: SymbolState) -> None:
        self._state = state

    def mid(self) -> float | None:
        """(bid + ask) / 2."""
        bid, ask = self._state.bid, self._state.ask
        return None if bid is None or ask is None else (bid + ask) / 2

    def spread_abs(self) -> float | None:
        """Ask - bid."""
        bid, ask = self._state.bid, self._state.ask
        return None if bid is None or ask is None else ask - bid

    def spread_bps(self) -> float | None:
        """(ask - bid) / mid * 10^4."""
        bid, ask = self._state.bid, self._state.ask
        return None if bid is None or ask is None else (ask - bid) / ((bid + ask) / 2) * 1e4
