"""Percentiles of the time from the venue to our socket."""

from bisect import bisect_right
from itertools import accumulate
from typing import Final

from md_contract.units import NS_PER_MS
from senpai.md_consumer.series import Delays
from senpai.md_consumer.window import Window

# A bucket is 2^19 ns (0.52 ms) wide up to 128 buckets (67 ms), and from there on 1/64 of the delays' power of two, so
# that its middle is within 0.27 ms or 0.8 % of all that it holds.
_UNIT_BITS: Final = 19
_PER_OCTAVE_BITS: Final = 6
_LINEAR: Final = 1 << (_PER_OCTAVE_BITS + 1)
_LINEAR_NS: Final = _LINEAR << _UNIT_BITS
_FAR_NS: Final = 25 * NS_PER_MS


class Latency:
    """Follows a window of delays with the number of them in each bucket."""

    lead = reach = 0

    def __init__(self, window: Window[Delays]) -> None:
        self._window = window
        self._counts: dict[int, int] = {}
        self._order: list[int] = []  # the buckets in ascending order
        self._ranks: list[int] = []  # the number of delays up to and with each of them
        self._ranked = False  # the two above are up to date, or there are no delays
        window.follow(self)

    def add(self, start: int, stop: int) -> None:
        self._ranked = False
        counts = self._counts
        for key in self._buckets(start, stop):
            if key in counts:
                counts[key] += 1
            else:
                counts[key] = 1

    def remove(self, start: int, stop: int) -> None:
        self._ranked = False
        counts = self._counts
        for key in self._buckets(start, stop):
            left = counts[key] - 1
            if left:
                counts[key] = left
            else:
                del counts[key]

    def reset(self) -> None:
        self._counts.clear()

    def p50(self) -> float | None:
        """Median of ts_recv - ts_event."""
        return self.percentile(0.50)

    def p95(self) -> float | None:
        """95th percentile of ts_recv - ts_event."""
        return self.percentile(0.95)

    def percentile(self, q: float) -> float | None:
        """The q-quantile by linear interpolation, ms, within 2 % or 0.5 ms; null when the window is empty."""
        count = self._window.sync()
        if not count:
            return None
        if not self._ranked:
            self._order = sorted(self._counts)
            self._ranks = list(accumulate(map(self._counts.__getitem__, self._order)))
            self._ranked = True
        rank = (count - 1) * q
        below = int(rank)
        low = middle_ns(self._order[bisect_right(self._ranks, below)])
        high = middle_ns(self._order[bisect_right(self._ranks, min(below + 1, count - 1))])
        if low < 0 <= high and high - low > _FAR_NS:
            low, high = self._next_to_zero()
        return (low + (high - low) * (rank - below)) / NS_PER_MS

    def _buckets(self, start: int, stop: int) -> list[int]:
        """The buckets of some delays; the usual case is spelled out, because a call would double its cost."""
        delays = self._window.series.delay_ns[start:stop]
        return [delay >> _UNIT_BITS if 0 <= delay < _LINEAR_NS else bucket(delay) for delay in delays]

    def _next_to_zero(self) -> tuple[int, int]:
        """The delays next to zero on either side.

        Between two that are far apart, the interpolated value may be near zero while the error of their buckets is not.
        """
        delays = self._window.series.delay_ns[self._window.head :]
        return max(delay for delay in delays if delay < 0), min(delay for delay in delays if delay >= 0)


def bucket(delay_ns: int) -> int:
    """The bucket of a delay. Buckets are ordered as delays are, and those of negative delays mirror the others."""
    if delay_ns < 0:
        return ~bucket(~delay_ns)
    units = delay_ns >> _UNIT_BITS
    if units < _LINEAR:
        return units
    octave = units.bit_length() - _PER_OCTAVE_BITS - 1
    return (octave << _PER_OCTAVE_BITS) + (units >> octave)


def middle_ns(key: int) -> int:
    """The delay in the middle of a bucket."""
    if key < 0:
        return ~middle_ns(~key)
    if key < _LINEAR:
        return (2 * key + 1) << (_UNIT_BITS - 1)
    octave = (key >> _PER_OCTAVE_BITS) - 1
    units = (key & ((1 << _PER_OCTAVE_BITS) - 1)) | (1 << _PER_OCTAVE_BITS)
    return (2 * units + 1) << (octave + _UNIT_BITS - 1)
