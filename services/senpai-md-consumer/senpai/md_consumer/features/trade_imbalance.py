"""Imbalance of the volume that buyers and sellers took.

Reference: T. Chordia, R. Roll, A. Subrahmanyam, "Order imbalance, liquidity, and market returns", Journal of Financial
Economics 65 (2002). The venue says which side took, so no trade has to be classified.
"""

from operator import mul

from senpai.md_consumer.features.running_sum import MOST_ERROR, CompensatedSum
from senpai.md_consumer.series import Trades
from senpai.md_consumer.window import Window


class TradeImbalance:
    """Follows a window of trades with the sums of their signed and unsigned sizes."""

    lead = reach = 0

    def __init__(self, window: Window[Trades]) -> None:
        self._window = window
        self._signed = CompensatedSum()
        self._volume = CompensatedSum()  # of the trades whose side is known
        self._count = 0  # of these
        window.follow(self)

    def add(self, start: int, stop: int) -> None:
        flows = self._flows(start, stop)
        self._signed.add(flows)
        self._volume.add(map(abs, flows))
        self._count += len(flows) - flows.count(0.0)

    def remove(self, start: int, stop: int) -> None:
        flows = self._flows(start, stop)
        self._signed.remove(flows)
        self._volume.remove(map(abs, flows))
        self._count -= len(flows) - flows.count(0.0)

    def reset(self) -> None:
        self._signed.reset()
        self._volume.reset()
        self._count = 0

    def imbalance(self) -> float | None:
        """(V buy - V sell) / (V buy + V sell), by the aggressor's side; null when no trade of the window has one."""
        self._window.sync()
        if not self._count:
            return None
        if not (self._signed.is_sound(MOST_ERROR) and self._volume.is_sound(MOST_ERROR)):
            self._window.resum(self)
        return self._signed.total / self._volume.total

    def _flows(self, start: int, stop: int) -> list[float]:
        trades = self._window.series
        return list(map(mul, trades.size[start:stop], trades.side[start:stop]))
