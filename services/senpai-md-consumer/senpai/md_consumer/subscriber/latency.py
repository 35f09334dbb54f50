"""Processing latency as plain integer buckets: cheap to count, turned into a histogram when scraped. Pure."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from md_contract.units import NS_PER_MS

BOUNDS_MS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0)


class Latency:
    """Counts of durations in nanoseconds, up to and including each bound."""

    def __init__(self, bounds_ms: Sequence[float] = BOUNDS_MS) -> None:
        self.bounds_ms = tuple(bounds_ms)
        self.sum_ns = 0
        self._bounds_ns = [int(bound * NS_PER_MS) for bound in bounds_ms]
        self._counts = [0] * (len(bounds_ms) + 1)

    def observe(self, duration_ns: int) -> None:
        self.sum_ns += duration_ns
        self._counts[bisect_left(self._bounds_ns, duration_ns)] += 1

    @property
    def count(self) -> int:
        return sum(self._counts)

    @property
    def mean_ms(self) -> float | None:
        count = self.count
        return self.sum_ns / count / NS_PER_MS if count else None

    def cumulative(self) -> list[tuple[str, int]]:
        """Pairs of (upper bound in ms, durations up to it), the last one `+Inf`."""
        names = [*map(str, self.bounds_ms), "+Inf"]
        return list(zip(names, accumulate(self._counts), strict=True))
