"""Volatility that weighs what is recent more.

Reference: J.P. Morgan/Reuters, "RiskMetrics Technical Document", 4th edition (1996), chapter 5, with its decay factor
of 0.94, applied to seconds in place of days and cut off at the window's edge.
"""

from math import sqrt
from typing import Final

from md_contract.units import NS_PER_S
from senpai.md_consumer.seconds import Remembered, TradeSeconds
from senpai.md_consumer.window import Window

DECAY: Final = 0.94  # per second


class EwmaVolatility:
    """Of the log returns of the seconds in a window."""

    def __init__(self, window: Window[TradeSeconds]) -> None:
        self._rows = window.series
        self._weighed = Remembered(window, _weighed)
        self._known: tuple[tuple[float, int] | None, int] | None = None  # what the value was computed from
        self._value: float | None = None

    def volatility(self) -> float | None:
        """√(Σ λ^k r_k² / Σ λ^k), r_k the log return of the second that ended k seconds before the last one that is over
        (0 for a second without a trade), λ = 0.94; seconds inside the window as a whole and after the first of them
        that has trades; null below two that have.
        """
        weighed, until = self._weighed.value(), self._rows.until
        if self._known != (weighed, until):
            self._known = (weighed, until)
            self._value = None if weighed is None else _as_of(until, *weighed)
        return self._value


def _as_of(until: int, squares: float, begin: int) -> float:
    """The volatility when the seconds up to `until` are over."""
    weight = DECAY ** ((until - begin) // NS_PER_S)  # of the first second, beside the last one that is over
    return sqrt(squares * weight * (1 - DECAY) / (1 - weight))


def _weighed(rows: TradeSeconds, first: int) -> tuple[float, int] | None:
    """Σ r² / λ^n, n the seconds since the first row, and the time of that."""
    times, returns = rows.ts[first:], rows.log_return[first:]
    if len(times) < 2:
        return None
    begin = times[0]
    return sum(r * r / DECAY ** ((ts - begin) // NS_PER_S) for ts, r in zip(times[1:], returns[1:], strict=True)), begin
