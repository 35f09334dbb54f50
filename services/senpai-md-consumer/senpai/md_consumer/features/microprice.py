"""The price between bid and ask towards which the sizes at both lean.

Reference: S. Stoikov, "The micro-price: a high-frequency estimator of future prices", Quantitative Finance 18 (2018),
where this is the weighted mid-price from which the micro-price sets out.
"""

from senpai.md_consumer.state import SymbolState


class Microprice:
    """Of the latest quote, as defined also when it is locked or crossed."""

    def __init__(self, state: SymbolState) -> None:
        self._state = state

    def microprice(self) -> float | None:
        """(bid * ask size + ask * bid size) / (bid size + ask size); null without a side or without any size."""
        state = self._state
        bid, ask, bid_size, ask_size = state.bid, state.ask, state.bid_size, state.ask_size
        if bid is None or ask is None or bid_size is None or ask_size is None or not bid_size + ask_size:
            return None
        return (bid * ask_size + ask * bid_size) / (bid_size + ask_size)
