"""What one Binance provider knows for as long as the feed lives, shared by its connections."""

from app.providers.decimals import Decimals
from app.providers.provider import Counters
from app.providers.quarantine import Quarantine
from app.providers.sequence import TradeSequence


class Memory:
    """The counters and the trade ids so far."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.quarantine = Quarantine()
        self.decimals = Decimals()
        self._sequences: dict[str, TradeSequence] = {}

    def sequence(self, symbol: str) -> TradeSequence:
        """The trade ids of one symbol, across all connections."""
        return self._sequences.setdefault(symbol, TradeSequence())
