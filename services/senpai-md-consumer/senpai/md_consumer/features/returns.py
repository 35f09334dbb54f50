"""Price return over a window."""

from senpai.md_consumer.series import Trades
from senpai.md_consumer.window import Window


class Returns:
    """Compares the last price with the price at the window's far edge."""

    def __init__(self, window: Window[Trades]) -> None:
        self._window = window
        self._clock = window.series.clock
        self._times = window.series.ts
        self._prices = window.series.price

    def price_return(self) -> float | None:
        """Last price / price of the last trade at or before T - W, less 1; null when no trade is that old."""
        window, times = self._window, self._times
        head = window.head
        if head < len(times) and times[head] <= self._clock.now - window.span_ns:  # rules ask after every event, so
            head = window.advance()  # the call is made only when it does something
        return self._prices[-1] / self._prices[head - 1] - 1.0 if head else None
