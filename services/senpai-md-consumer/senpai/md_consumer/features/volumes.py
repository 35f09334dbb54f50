"""Count, volume and volume-weighted average price of the trades in a window."""

from senpai.md_consumer.features.running_sum import RunningSum, rounded_sum
from senpai.md_consumer.window import Trades, Window


class Volumes:
    """Follows a window of trades with the sums of their sizes and notionals."""

    lead = 0

    def __init__(self, window: Window[Trades]) -> None:
        self._window = window
        self._volume = RunningSum()
        self._notional = RunningSum()
        window.follow(self)

    def add(self, start: int, stop: int) -> None:
        trades = self._window.series
        self._volume.add(*rounded_sum(trades.size, start, stop))
        self._notional.add(*rounded_sum(trades.notional, start, stop))

    def remove(self, start: int, stop: int) -> None:
        trades = self._window.series
        self._volume.remove(*rounded_sum(trades.size, start, stop))
        self._notional.remove(*rounded_sum(trades.notional, start, stop))

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

    def vwap(self) -> float | None:
        """Σ price * size / Σ size; null when the window is empty."""
        count = self._catch_up()
        return self._notional.total / self._volume.total if count else None

    def _catch_up(self) -> int:
        count = self._window.sync()
        if not (self._volume.sound and self._notional.sound):
            self._window.resum(self)
        return count
