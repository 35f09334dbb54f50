"""The specification's FailoverManager: which of two providers is the active one, and when that changes.

A table of states and signs decides; `docs/failover.md` is drawn from it. What keeps it calm: a verdict has hysteresis
of its own (`health`), no switch comes sooner than the dwell after the last, and the primary takes over again only after
a probation. When neither is healthy, nothing is gained by a switch, so there is none.

Times are of the listening clock, ns.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Final

from msgspec import Struct

from app.liveness.health import Verdict
from md_contract.units import NS_PER_S


class State(StrEnum):
    PRIMARY = "primary"  # the primary is active
    STANDBY = "standby"  # the backup is active, and the primary unhealthy
    PROBING = "probing"  # the backup is active, and the primary on probation


class Role(StrEnum):
    PRIMARY = "primary"
    BACKUP = "backup"


class Sign(StrEnum):
    PRIMARY_FAILED = "primary failed"
    PRIMARY_BACK = "primary is back"
    PRIMARY_RELAPSED = "primary relapsed"
    BACKUP_FAILED = "backup failed"
    PROBATION_PASSED = "probation passed"
    ORDERED_TO_BACKUP = "ordered to the backup"
    ORDERED_TO_PRIMARY = "ordered to the primary"


ACTIVE: Final[dict[State, Role]] = {
    State.PRIMARY: Role.PRIMARY,
    State.STANDBY: Role.BACKUP,
    State.PROBING: Role.BACKUP,
}

TRANSITIONS: Final[dict[tuple[State, Sign], State]] = {
    (State.PRIMARY, Sign.PRIMARY_FAILED): State.STANDBY,
    (State.PRIMARY, Sign.ORDERED_TO_BACKUP): State.STANDBY,
    (State.STANDBY, Sign.PRIMARY_BACK): State.PROBING,
    (State.STANDBY, Sign.ORDERED_TO_PRIMARY): State.PRIMARY,
    (State.PROBING, Sign.PRIMARY_RELAPSED): State.STANDBY,
    (State.PROBING, Sign.BACKUP_FAILED): State.PRIMARY,
    (State.PROBING, Sign.PROBATION_PASSED): State.PRIMARY,
    (State.PROBING, Sign.ORDERED_TO_PRIMARY): State.PRIMARY,
}


class Situation(Struct, frozen=True):
    """What the signs are read from."""

    primary_healthy: bool
    primary_failing: bool
    backup_healthy: bool
    backup_failing: bool
    may_switch: bool  # the last switch is at least the dwell ago
    probation_over: bool  # the present state has lasted for the probation


class Reading(Struct, frozen=True):
    """When a sign is given, for the code and in words."""

    holds: Callable[[Situation], bool]
    words: str


# In the order in which they are looked for; the orders are given by people.
READINGS: Final[dict[Sign, Reading]] = {
    Sign.PRIMARY_FAILED: Reading(
        lambda at: at.primary_failing and at.backup_healthy and at.may_switch,
        "the primary is failing, the backup is healthy, and the dwell is over",
    ),
    Sign.PRIMARY_RELAPSED: Reading(lambda at: not at.primary_healthy, "the primary is no longer healthy"),
    Sign.PRIMARY_BACK: Reading(lambda at: at.primary_healthy, "the primary is healthy again"),
    Sign.BACKUP_FAILED: Reading(
        lambda at: at.primary_healthy and at.backup_failing and at.may_switch,
        "the backup is failing, the primary is healthy, and the dwell is over",
    ),
    Sign.PROBATION_PASSED: Reading(
        lambda at: at.primary_healthy and at.probation_over and at.may_switch,
        "the primary has stayed healthy for the probation, and the dwell is over",
    ),
}
ORDERS: Final[dict[Sign, str]] = {
    Sign.ORDERED_TO_BACKUP: "`POST /failover` names the backup, which is healthy, and the dwell is over",
    Sign.ORDERED_TO_PRIMARY: "`POST /failover` names the primary, which is healthy, and the dwell is over",
}


class Switch(Struct, frozen=True):
    """The active provider has changed; `at` is when."""

    to: Role
    sign: Sign
    reason: str
    at: int


class RefusedError(Exception):
    """An order that cannot be carried out now; the text says why, and what would help."""


class FailoverManager:
    """Moves along the table, look by look. It knows roles only; who plays them is known to its owner."""

    def __init__(self, now: int, *, dwell_s: float, probation_s: float) -> None:
        self.state = State.PRIMARY
        self.since = now  # when the state was entered
        self.last: Switch | None = None
        self._dwell_ns = int(dwell_s * NS_PER_S)
        self._probation_ns = int(probation_s * NS_PER_S)

    @property
    def active(self) -> Role:
        return ACTIVE[self.state]

    def look(self, primary: Verdict, backup: Verdict, now: int) -> Switch | None:
        """Take note of both verdicts; return the switch that has just been decided, if one was."""
        at = Situation(
            primary.healthy,
            primary.failing,
            backup.healthy,
            backup.failing,
            may_switch=self.dwell_left_ns(now) == 0,
            probation_over=self.probation_left_ns(now) == 0,
        )
        for sign, reading in READINGS.items():
            if (self.state, sign) in TRANSITIONS and reading.holds(at):
                return self._move(sign, _why(sign, primary, backup), now)
        return None

    def order(self, to: Role, primary: Verdict, backup: Verdict, now: int) -> Switch:
        """Carry out somebody's order.

        Raises:
            RefusedError: it is active already, it is unhealthy, or the dwell is not over.
        """
        wanted = primary if to is Role.PRIMARY else backup
        if to is self.active:
            raise RefusedError("it is the active one already")
        if not wanted.healthy:
            raise RefusedError(f"it is unhealthy: {'; '.join(wanted.reasons)}")
        if left_ns := self.dwell_left_ns(now):
            raise RefusedError(f"the last switch is too recent: try again in {left_ns / NS_PER_S:.0f} s")
        switch = self._move(Sign.ORDERED_TO_PRIMARY if to is Role.PRIMARY else Sign.ORDERED_TO_BACKUP, "ordered", now)
        assert switch is not None  # noqa: S101 - the table leads every order to the other side
        return switch

    def dwell_left_ns(self, now: int) -> int:
        """How long no switch may come."""
        return 0 if self.last is None else max(self.last.at + self._dwell_ns - now, 0)

    def probation_left_ns(self, now: int) -> int:
        """How long the present state has to last before it has lasted for the probation."""
        return max(self.since + self._probation_ns - now, 0)

    def _move(self, sign: Sign, reason: str, now: int) -> Switch | None:
        before = self.active
        self.state = TRANSITIONS[self.state, sign]
        self.since = now
        if self.active is before:
            return None
        self.last = Switch(self.active, sign, reason, now)
        return self.last


def _why(sign: Sign, primary: Verdict, backup: Verdict) -> str:
    blamed = {Sign.PRIMARY_FAILED: primary, Sign.PRIMARY_RELAPSED: primary, Sign.BACKUP_FAILED: backup}.get(sign)
    return sign.value if blamed is None else f"{sign.value}: {'; '.join(blamed.reasons)}"
