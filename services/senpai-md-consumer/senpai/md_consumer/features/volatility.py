"""Realised volatility of the trades in a window."""

from collections.abc import Sequence
from math import fsum, sqrt
from operator import mul

from senpai.md_consumer.features.running_sum import MOST_ERROR, RunningSum, rounded_sum
from senpai.md_consumer.series import Trades
from senpai.md_consumer.window import Window


class TradeVolatility:
    """Follows a window of trades with the sums of their log returns and of the squares of these.

    The sums are taken of `return - shift`. The shift is 0, or the mean where that is so large beside the deviations
    that the two sums would nearly cancel.
    """

    lead = reach = 1

    def __init__(self, window: Window[Trades]) -> None:
        self._window = window
        self._shift = 0.0
        self._sum = RunningSum()
        self._squares = RunningSum()
        window.follow(self)

    def add(self, start: int, stop: int) -> None:
        terms = self._terms(start, stop)
        self._sum.add(fsum(terms))  # of both signs: the errors of a quick sum could exceed what its size tells
        self._squares.add(*rounded_sum(list(map(mul, terms, terms))))

    def remove(self, start: int, stop: int) -> None:
        terms = self._terms(start, stop)
        self._sum.remove(fsum(terms))
        self._squares.remove(*rounded_sum(list(map(mul, terms, terms))))

    def reset(self) -> None:
        self._sum.reset()
        self._squares.reset()

    def realized_vol(self) -> float | None:
        """Sample standard deviation (n - 1) of ln(p_i / p_i-1), both trades in the window; null below 2 returns."""
        count = self._window.sync() - 1
        if count < 2:
            return None
        deviations, sound = self._deviations(count)
        if not sound:
            deviations = self._resum(count)
        return sqrt(max(deviations, 0.0) / (count - 1))

    def _deviations(self, count: int) -> tuple[float, bool]:
        """The sum of squared deviations from the mean, and whether its error is small beside it."""
        mean = self._sum.total / count
        deviations = self._squares.total - mean * self._sum.total
        error = 3 * self._squares.error + 2 * abs(mean) * self._sum.error
        return deviations, error <= MOST_ERROR * deviations

    def _resum(self, count: int) -> float:
        """The same from fresh sums, shifted only when they would not do otherwise."""
        self._shift = 0.0
        self._window.resum(self)
        deviations, sound = self._deviations(count)
        if sound:
            return deviations
        self._shift = self._sum.total / count
        self._window.resum(self)
        return self._deviations(count)[0]

    def _terms(self, start: int, stop: int) -> Sequence[float]:
        returns = self._window.series.log_return[start:stop]
        shift = self._shift
        return [term - shift for term in returns] if shift else returns
