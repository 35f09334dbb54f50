"""Count, volume and volume-weighted average price of the trades in a window."""

from senpai.md_consumer.features.running_sum import MOST_ERROR, CompensatedSum
from senpai.md_consumer.series import Trades
from senpai.md_consumer.window import Window


class Volumes:
    """Follows a window of trades with the sums of their sizes and notionals."""

    lead = reach = 0

    def __init__(self, window: Window[Trades]) -> None:
        self._window = window
        self._volume = CompensatedSum()
        self._notional = CompensatedSum()
        window.follow(self)

    def add(self, start: int, stop: int) -> None:
        trades = self._window.series
        self._volume.add(trades.size[start:stop])
        self._notional.add(trades.notional[start:stop])

    def remove(self, start: int, stop: int) -> None:
        trades = self._window.series
        self._volume.remove(trades.size[start:stop])
        self._notional.remove(trades.notional[start:stop])

    def reset(self) -> None:
        self._volume.reset()
        self._notional.reset()

    def count(self) -> int:
        """Number of trades."""
        return self._window.count

    def volume(self) -> float:
        """Σ size."""
        self._catch_up()
        return self._volume.total

    def vwap(self, most_error: float = MOST_ERROR) -> float | None:
        """Σ price * size / Σ size; null when the window is empty."""
        count = self._catch_up(most_error)
        return self._notional.total / self._volume.total if count else None

    def last_price(self) -> float | None:
        """Price of the last trade; null when the window is empty."""
        return self._window.series.price[-1] if self._window.count else None

    def _catch_up(self, most_error: float = MOST_ERROR) -> int:
        count = self._window.sync()
        if not (self._volume.is_sound(most_error) and self._notional.is_sound(most_error)):
            self._window.resum(self)
        return count
