"""Imbalance of the sizes at the best prices.

Reference: M. Gould, J. Bonart, "Queue Imbalance as a One-Tick-Ahead Price Predictor in a Limit Order Book", Market
Microstructure and Liquidity 2 (2016).
"""

from senpai.md_consumer.state import SymbolState


class BookImbalance:
    """Of the latest quote, as defined also when it is locked or crossed."""

    def __init__(self, state: SymbolState) -> None:
        self._state = state

    def imbalance(self) -> float | None:
        """(bid size - ask size) / (bid size + ask size); null without a side or without any size."""
        state = self._state
        bid_size, ask_size = state.bid_size, state.ask_size
        if state.bid is None or state.ask is None or bid_size is None or ask_size is None or not bid_size + ask_size:
            return None
        return (bid_size - ask_size) / (bid_size + ask_size)
