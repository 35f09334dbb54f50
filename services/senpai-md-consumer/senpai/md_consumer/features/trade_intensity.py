"""How often it trades.

Reference: R. Engle, "The Econometrics of Ultra-High-Frequency Data", Econometrica 68 (2000): the intensity of the
arrivals, estimated as that of a Poisson process over the window.
"""

from md_contract.units import NS_PER_S
from senpai.md_consumer.series import Trades
from senpai.md_consumer.window import Window


class TradeIntensity:
    """Counts the trades of a window."""

    def __init__(self, window: Window[Trades]) -> None:
        self._window = window
        self._span_s = window.span_ns / NS_PER_S

    def intensity(self) -> float:
        """Number of trades / length of the window in seconds."""
        return self._window.count / self._span_s
