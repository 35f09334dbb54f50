"""Episodes: from the instant at which all conditions of a rule hold until the move that made them hold is over.

An episode tells at most one signal, and takes it back at most once. The states are a table; time is an argument.
"""

from collections.abc import Callable
from enum import Enum
from math import inf
from typing import Final

from md_contract.signals import Condition, Direction
from md_contract.units import NS_PER_MS
from senpai.md_consumer.rules.finding import Finding, Outcome, Rule

COOLDOWN: Final = "cooldown"
LOOK_EVERY_NS: Final = 50 * NS_PER_MS  # of event time: how often a signal that is out, or withheld, is looked at

_NEVER: Final = inf  # beyond every time
_AT_ONCE: Final = -inf


class Phase(Enum):
    """Where a symbol and a rule are."""

    ARMED = "armed"  # between two episodes
    WITHHELD = "withheld"  # the signal is due, but has not been told
    OPEN = "open"  # the signal is out and valid
    SPENT = "spent"  # the signal is out of date, or was taken back


class Sign(Enum):
    """What the features, their trust and the time say."""

    BEGINS = "all conditions hold"
    HELD_BACK = "all conditions hold, but inputs are not trusted or it is too soon"
    OVER = "the move is over"
    EXPIRED = "valid_until has come"
    DOUBTED = "inputs are not trusted"
    FADED = "a condition is lost"
    NOTHING = "nothing new"


TABLE: Final[dict[tuple[Phase, Sign], tuple[Phase, Outcome | None]]] = {
    (Phase.ARMED, Sign.BEGINS): (Phase.OPEN, "new"),
    (Phase.ARMED, Sign.HELD_BACK): (Phase.WITHHELD, "withheld"),
    (Phase.WITHHELD, Sign.BEGINS): (Phase.OPEN, "new"),
    (Phase.WITHHELD, Sign.OVER): (Phase.ARMED, None),
    (Phase.OPEN, Sign.EXPIRED): (Phase.SPENT, None),
    (Phase.OPEN, Sign.DOUBTED): (Phase.SPENT, "cancel"),
    (Phase.OPEN, Sign.FADED): (Phase.SPENT, "cancel"),
    (Phase.OPEN, Sign.OVER): (Phase.ARMED, "cancel"),
    (Phase.SPENT, Sign.OVER): (Phase.ARMED, None),
}


class Watch:
    """One rule over one symbol. `busy`: an episode is under way; `is_due` then says after each event whether to look.

    All times are event times of the symbol, ns.
    """

    __slots__ = ("_began", "_causes", "_cooldown_ns", "_direction", "_look_at", "_phase", "_rule", "_valid_ns", "busy")

    def __init__(self, rule: Rule, valid_ns: int, cooldown_ns: int) -> None:
        self.busy = False
        self._rule = rule
        self._valid_ns = valid_ns
        self._cooldown_ns = max(cooldown_ns, 1)  # two signals of one direction never have the same time
        self._phase = Phase.ARMED
        self._direction: Direction = "long"
        self._began: dict[Direction, int] = {}  # when the last signal of each direction was told
        self._causes: list[str] = []
        self._look_at: float = _AT_ONCE  # when the episode is to be looked at again, though the move is not over

    def is_due(self, now: int) -> bool:
        """Whether to look at the episode after an event: when the move is over, and now and then while it is not."""
        return now >= self._look_at or self._rule.is_over(self._direction)

    def hurry(self) -> None:
        """Something has happened to the inputs: the next event is one to look after."""
        self._look_at = _AT_ONCE

    def look(self, now: int, doubts: Callable[[], list[str]], *, event: bool = True) -> list[Finding]:
        """Look at the features as of `now`; return what is to be told.

        Args:
            now: the event-time clock.
            doubts: says why the rule's inputs are not to be trusted now.
            event: False when only time has gone by: that ends episodes, but begins none and tells no new signal.
        """
        found, before = [], None
        while self._phase is not before:
            before = self._phase
            sign = self._sign(now, doubts, event=event)
            self._phase, outcome = TABLE.get((before, sign), (before, None))
            if outcome is not None:
                found.append(self._tell(outcome, now))
            if self._phase in (Phase.OPEN, Phase.WITHHELD):
                break
        self.busy = self._phase is not Phase.ARMED
        self._look_at = _NEVER if self._phase is Phase.SPENT else now + LOOK_EVERY_NS
        return found

    def _sign(self, now: int, doubts: Callable[[], list[str]], *, event: bool) -> Sign:
        rule, phase = self._rule, self._phase
        if phase is Phase.OPEN:
            if now >= self._began[self._direction] + self._valid_ns:
                return Sign.EXPIRED
            self._causes = doubts()
            if self._causes:
                return Sign.DOUBTED
            self._causes = rule.lost(self._direction)
        if phase is not Phase.ARMED and rule.is_over(self._direction):
            return Sign.OVER
        if phase is Phase.OPEN:
            return Sign.FADED if self._causes else Sign.NOTHING
        begins = rule.begins() if event and phase is not Phase.SPENT else None
        if begins is None:
            return Sign.NOTHING
        self._direction = begins
        self._causes = doubts() + ([COOLDOWN] if self._is_too_soon(now) else [])
        return Sign.HELD_BACK if self._causes else Sign.BEGINS

    def _is_too_soon(self, now: int) -> bool:
        """Whether the last signal of this direction is too young; one from after `now` is of a clock now corrected."""
        last = self._began.get(self._direction)
        return last is not None and 0 <= now - last < self._cooldown_ns

    def _tell(self, outcome: Outcome, now: int) -> Finding:
        if outcome == "new":
            self._began[self._direction] = now
        began = now if outcome == "withheld" else self._began[self._direction]
        reason: list[Condition] = self._rule.conditions(self._direction)
        return Finding(outcome, self._direction, began, reason, [] if outcome == "new" else self._causes)
