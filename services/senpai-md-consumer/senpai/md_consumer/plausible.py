"""One wildly wrong price is not believed; a true jump is, as soon as the next prices confirm it.

The venue's data is never altered: a doubted price counts in every feature like any other, but `trust` says
`implausible_price`, and rules that read it are silent. Pure; whoever sees the prices calls `jump` for the rare one that
is far from the one before, so all others cost a comparison.
"""

from enum import Enum
from typing import Final

JUMP: Final = 0.1  # a step of more than this part of the price before is doubted
CONFIRMATIONS: Final = 2  # so many prices that follow without another jump confirm a level


class Belief(Enum):
    """Whether the present level of the price can be believed."""

    NEW = "new"  # too few prices to tell
    BELIEVED = "believed"
    DOUBTED = "doubted"


class Sign(Enum):
    """What the prices say."""

    CONFIRMED = "confirmed"
    AWAY = "away"  # a jump to somewhere else
    BACK = "back"  # a jump back to the level that was believed last


# What to believe, and whether a price that is known to be wrong, or may be, has just become history.
TABLE: Final[dict[tuple[Belief, Sign], tuple[Belief, bool]]] = {
    (Belief.NEW, Sign.CONFIRMED): (Belief.BELIEVED, False),
    (Belief.NEW, Sign.AWAY): (Belief.NEW, True),  # one of the two is wrong, and nobody knows which
    (Belief.BELIEVED, Sign.AWAY): (Belief.DOUBTED, False),
    (Belief.DOUBTED, Sign.CONFIRMED): (Belief.BELIEVED, False),
    (Belief.DOUBTED, Sign.AWAY): (Belief.DOUBTED, True),
    (Belief.DOUBTED, Sign.BACK): (Belief.BELIEVED, True),
}


class Plausibility:
    """Of the prices of one stream. `seen` is the number of its prices so far."""

    __slots__ = ("_belief", "_believed", "_since")

    def __init__(self) -> None:
        self._belief = Belief.NEW
        self._believed = 0.0  # the level before the jump
        self._since = 0  # prices seen when the present level began

    def restart(self, seen: int) -> None:
        """What comes has nothing to do with what was before."""
        self._belief, self._since = Belief.NEW, seen

    def is_doubtful(self, seen: int) -> bool:
        """Whether the latest price still waits to be confirmed."""
        return self._belief is Belief.DOUBTED and seen - self._since < CONFIRMATIONS

    def jump(self, before: float, price: float, seen: int) -> bool:
        """Take a price that is far from the one before it; `seen` does not count it yet.

        Returns:
            Whether there is now a wrong price in the past.
        """
        if self._belief is not Belief.BELIEVED and seen - self._since >= CONFIRMATIONS:
            self._belief, _ = TABLE[self._belief, Sign.CONFIRMED]
        if self._belief is Belief.BELIEVED:
            self._believed = before
        back = self._belief is Belief.DOUBTED and is_near(price, self._believed)
        self._belief, wrong = TABLE[self._belief, Sign.BACK if back else Sign.AWAY]
        self._since = seen + 1
        return wrong


def is_near(price: float, before: float) -> bool:
    """Whether the step between the two is no jump."""
    return -JUMP < price / before - 1.0 < JUMP
