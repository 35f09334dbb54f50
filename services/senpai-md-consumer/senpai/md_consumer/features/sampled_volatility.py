"""Realised volatility from prices sampled once a second, which the bounce between bid and ask blows up less.

Reference: T. Andersen, T. Bollerslev, F. Diebold, P. Labys, "Modeling and Forecasting Realized Volatility",
Econometrica 71 (2003); sampled by the previous tick as in P. Hansen, A. Lunde, "Realized Variance and Market
Microstructure Noise", Journal of Business & Economic Statistics 24 (2006).
"""

from math import fsum, sqrt
from operator import mul

from senpai.md_consumer.seconds import Remembered, TradeSeconds
from senpai.md_consumer.window import Window


class SampledVolatility:
    """Of the last prices of the seconds in a window."""

    def __init__(self, window: Window[TradeSeconds]) -> None:
        self._volatility = Remembered(window, _volatility)

    def realized_vol(self) -> float | None:
        """√Σ r², r the log return from one second's last price to the next one's (0 for a second without a trade);
        seconds that are over and inside the window as a whole; null below two of them that have trades.
        """
        return self._volatility.value()


def _volatility(rows: TradeSeconds, first: int) -> float | None:
    returns = rows.log_return[first + 1 :]
    return sqrt(fsum(map(mul, returns, returns))) if returns else None
