"""Good or bad, with hysteresis: one fault is enough to be bad, but being good again has to be shown for a while."""

from enum import StrEnum
from typing import Final


class State(StrEnum):
    GOOD = "good"
    BAD = "bad"
    MENDING = "mending"  # bad so far, without a fault at present


class Sign(StrEnum):
    FAULT = "fault"
    CLEAR = "clear"
    STEADY = "steady"  # has been clear for long enough


TRANSITIONS: Final[dict[tuple[State, Sign], State]] = {
    (State.GOOD, Sign.FAULT): State.BAD,
    (State.BAD, Sign.CLEAR): State.MENDING,
    (State.MENDING, Sign.FAULT): State.BAD,
    (State.MENDING, Sign.STEADY): State.GOOD,
}


class Standing:
    """One thing's standing. `good` changes once for each change of heart, never back and forth within a look."""

    __slots__ = ("state",)

    def __init__(self, state: State = State.GOOD) -> None:
        self.state = state

    @property
    def good(self) -> bool:
        return self.state is State.GOOD

    def judge(self, *, fault: bool, steady: bool) -> bool:
        """Take one look; return True when `good` has changed by it.

        Args:
            fault: something is wrong at present.
            steady: nothing has been wrong for as long as it takes to be believed.
        """
        before = self.good
        for sign in (Sign.FAULT,) if fault else (Sign.CLEAR, Sign.STEADY) if steady else (Sign.CLEAR,):
            self.state = TRANSITIONS.get((self.state, sign), self.state)
        return self.good is not before
