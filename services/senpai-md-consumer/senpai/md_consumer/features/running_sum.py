"""A sum that numbers enter and leave, and that knows how wrong rounding may have made it."""

from collections.abc import Sequence
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


def rounded_sum(numbers: Sequence[float], start: int, stop: int) -> tuple[float, int]:
    """Sum `numbers[start:stop]`, all of one sign, and say how often that was rounded.

    The quick way, but exactly where the errors of very many would add up.
    """
    count = stop - start
    if count == 1:
        return numbers[start], 0
    return (sum(numbers[start:stop]), count) if count < _MANY else (fsum(numbers[start:stop]), 1)
