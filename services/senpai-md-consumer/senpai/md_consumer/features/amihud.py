"""Illiquidity: how far the price moves per amount of money traded.

Reference: Y. Amihud, "Illiquidity and stock returns: cross-section and time-series effects", Journal of Financial
Markets 5 (2002), with seconds in place of days.
"""

from math import fsum

from senpai.md_consumer.seconds import Remembered, TradeSeconds
from senpai.md_consumer.window import Window


class Amihud:
    """Of the seconds with trades in a window."""

    def __init__(self, window: Window[TradeSeconds]) -> None:
        self._illiquidity = Remembered(window, _illiquidity)

    def illiquidity(self) -> float | None:
        """Mean of |r| / Σ price * size over the seconds with trades, r the log return from the last price of the one
        before that has trades; seconds that are over and inside the window as a whole; null below two of them.
        """
        return self._illiquidity.value()


def _illiquidity(rows: TradeSeconds, first: int) -> float | None:
    returns, notionals = rows.log_return[first + 1 :], rows.notional[first + 1 :]
    if not returns:
        return None
    return fsum([abs(r) / notional for r, notional in zip(returns, notionals, strict=True)]) / len(returns)
