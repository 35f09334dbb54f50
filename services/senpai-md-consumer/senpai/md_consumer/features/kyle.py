"""Price impact: how far the price moves per unit of signed volume.

Reference: A. Kyle, "Continuous Auctions and Insider Trading", Econometrica 53 (1985); estimated by the regression
through the origin of J. Hasbrouck, "Trading Costs and Returns for U.S. Equities", Journal of Finance 64 (2009), on the
volume itself, with seconds as intervals.
"""

from math import fsum
from operator import mul, sub

from senpai.md_consumer.seconds import Remembered, TradeSeconds
from senpai.md_consumer.window import Window


class Kyle:
    """Of the seconds with trades in a window."""

    def __init__(self, window: Window[TradeSeconds]) -> None:
        self._impact = Remembered(window, _impact)

    def impact(self) -> float | None:
        """Σ x * Δp / Σ x² over the seconds with trades: x the volume of buyers less that of sellers, Δp the change from
        the last price of the second before that has trades; seconds that are over and inside the window as a whole;
        null below two of them, or when no x is other than 0.
        """
        return self._impact.value()


def _impact(rows: TradeSeconds, first: int) -> float | None:
    flows, closes = rows.flow[first + 1 :], rows.close[first:]
    squares = fsum(map(mul, flows, flows))
    return fsum(map(mul, flows, map(sub, closes[1:], closes))) / squares if squares else None
