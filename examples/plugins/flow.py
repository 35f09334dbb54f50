"""Features of the order flow, as plug-ins. Try them: PYTHONPATH=examples/plugins SENPAI_PLUGINS=flow"""

from bisect import bisect_left
from itertools import accumulate, pairwise
from math import fsum
from operator import mul

from senpai.md_consumer.plugins import Trades, feature

PLUGIN_API = 1
BUCKETS = 10


@feature(trades=60, unit="fraction", least=BUCKETS)
def vpin_60s(trades: Trades) -> float:
    """Σ |bought - sold| / Σ volume over ten buckets of equal volume: how one-sided the flow is on a clock of volume.

    After D. Easley, M. López de Prado, M. O'Hara, "Flow Toxicity and Liquidity in a High-frequency World", Review of
    Financial Studies 25 (2012), with the side of the aggressor as the venue tells it.
    """
    size, side = trades.size, trades.side
    volume = list(accumulate(size))
    signed = list(accumulate(map(mul, size, side)))
    steps = [0.0]
    for number in range(1, BUCKETS):
        edge = volume[-1] * number / BUCKETS
        last = bisect_left(volume, edge)  # the trade in which the bucket ends, and what of it belongs to the next one
        steps.append(signed[last] - side[last] * (volume[last] - edge))
    steps.append(signed[-1])
    return fsum(abs(after - before) for before, after in pairwise(steps)) / volume[-1]


@feature(name="large_trades_10s", trades=10, unit="trades", least=0)
class LargeTrades:
    """Number of trades of 1 base unit or more: told what enters and leaves its window, never counts anything twice."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, trades: Trades) -> None:
        self.count += sum(size >= 1 for size in trades.size)

    def remove(self, trades: Trades) -> None:
        self.count -= sum(size >= 1 for size in trades.size)

    def value(self) -> int:
        return self.count
