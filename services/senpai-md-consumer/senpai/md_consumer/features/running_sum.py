"""Sums that numbers enter and leave, and that know how wrong rounding may have made them."""

from collections.abc import Iterable, Sequence
from math import fsum
from typing import Final

UNIT_ROUNDOFF: Final = 2.0**-53
MOST_ERROR: Final = 1e-11  # relative: a sum whose bound is above this is computed again
_MANY: Final = 1_024


class RunningSum:
    """A sum under additions and subtractions.

    What leaves takes its own rounding errors along only in part: after 1e9 has come and gone, a sum of 1e-8 would be
    noise. So the largest possible error is kept beside the total, and whoever reads it computes the sum anew when the
    error is too large. That happens after a rare giant has left, or after tens of thousands of steps: O(1) amortised.
    """

    __slots__ = ("_rounded", "total")

    def __init__(self) -> None:
        self.total = 0.0
        self._rounded = 0.0  # sum of the magnitudes that were rounded, each by half a unit in the last place at most

    def add(self, part: float, roundings: int = 1) -> None:
        """Add a part that has itself been rounded so many times."""
        self.total += part
        self._rounded += roundings * abs(part) + abs(self.total)

    def remove(self, part: float, roundings: int = 1) -> None:
        """Take out a part that was added before, though perhaps not at once."""
        self.total -= part
        self._rounded += roundings * abs(part) + abs(self.total)

    def reset(self) -> None:
        self.total = 0.0
        self._rounded = 0.0

    @property
    def error(self) -> float:
        """The largest error the total can have, absolute."""
        return self._rounded * UNIT_ROUNDOFF

    @property
    def sound(self) -> bool:
        """Whether the error is small beside the total."""
        return self._rounded * UNIT_ROUNDOFF <= MOST_ERROR * self.total


def rounded_sum(numbers: Sequence[float]) -> tuple[float, int]:
    """The sum of numbers of one sign, and how often it was rounded at most.

    The quick way, but exactly where the errors of very many would add up.
    """
    count = len(numbers)
    return (sum(numbers), count) if count < _MANY else (fsum(numbers), 1)


class CompensatedSum:
    """A sum of numbers of either sign that may nearly cancel.

    The total has twice the digits of a float. What is lost is the rounding of each part, at most half a unit in its
    last place, so that many parts can come and go before the sum has to be computed again.
    """

    __slots__ = ("_high", "_low", "_rounded")

    def __init__(self) -> None:
        self._high = 0.0
        self._low = 0.0
        self._rounded = 0.0  # sum of the magnitudes that were rounded, as in RunningSum

    def add(self, numbers: Iterable[float]) -> None:
        self._add(fsum(numbers))

    def remove(self, numbers: Iterable[float]) -> None:
        self._add(-fsum(numbers))

    def reset(self) -> None:
        self._high = self._low = self._rounded = 0.0

    @property
    def total(self) -> float:
        return self._high + self._low

    def is_sound(self, most_error: float) -> bool:
        """Whether the error is at most this part of the total."""
        return self._rounded * UNIT_ROUNDOFF <= most_error * abs(self._high + self._low)

    def _add(self, part: float) -> None:
        """Add without an error: what the sum of the two floats loses is what `_low` gets (Knuth's TwoSum)."""
        before = self._high
        high = self._high = before + part
        rounded = high - before
        self._low += (before - (high - rounded)) + (part - rounded)
        self._rounded += abs(part)
