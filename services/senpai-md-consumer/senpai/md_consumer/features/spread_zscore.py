"""How unusual the present spread is.

Reference: the standard score (E. Kreyszig, "Advanced Engineering Mathematics", 4th edition (1979)) of the quoted
spread, sampled by the clock so that bursts of quotes do not weigh more.
"""

from math import fsum, sqrt
from typing import Final

from senpai.md_consumer.seconds import QuoteSeconds, Remembered
from senpai.md_consumer.window import Window

LEAST_DEVIATION: Final = 1e-12  # of the mid: below it, spreads differ by the rounding of their prices alone


class SpreadZscore:
    """Compares the spread of the latest quote with those of the seconds in a window."""

    def __init__(self, window: Window[QuoteSeconds]) -> None:
        self._quotes = window.series.source
        self._usual = Remembered(window, _usual)

    def zscore(self) -> float | None:
        """(spread - mean) / sample standard deviation (n - 1); mean and deviation of the spread of the last quote of
        each second (with both sides) over the seconds that are over and inside the window as a whole; null without a
        latest quote of two sides, below two seconds, or when the deviation is not above 10⁻¹² of the mid.
        """
        usual = self._usual.value()
        if usual is None:
            return None
        shift, mean, deviation = usual
        bid, ask = self._quotes.bid[-1], self._quotes.ask[-1]
        if not (bid and ask) or deviation <= LEAST_DEVIATION * (bid + ask) / 2:
            return None
        return (ask - bid - shift - mean) / deviation


def _usual(rows: QuoteSeconds, first: int) -> tuple[float, float, float] | None:
    """The mean (less a shift that keeps its digits) and the standard deviation of the rows' spreads."""
    spreads = rows.spread[first:]
    count = len(spreads)
    if count < 2:
        return None
    shift = spreads[0]
    shifted = [spread - shift for spread in spreads]
    mean = fsum(shifted) / count
    return shift, mean, sqrt(fsum([(term - mean) ** 2 for term in shifted]) / (count - 1))
