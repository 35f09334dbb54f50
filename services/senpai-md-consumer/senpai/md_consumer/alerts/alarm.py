"""One alarm: a value against two thresholds, with patience in both directions. The states are a table."""

from enum import Enum
from typing import Final

from md_contract.signals import AlertState
from md_contract.units import NS_PER_S
from senpai.md_consumer.alerts.kinds import Kind


class Level(Enum):
    """Where an alarm is."""

    QUIET = "quiet"
    RISING = "rising"  # bad, but not for long enough
    FIRING = "firing"
    EASING = "easing"  # firing; good, but not for long enough


class Sign(Enum):
    """What the value says."""

    BAD = "at or above the upper threshold"
    BAD_FOR_LONG = "bad for hold_s"
    BETWEEN = "between the thresholds"
    GOOD = "below the lower threshold"
    GOOD_FOR_LONG = "good for quiet_s"


TABLE: Final[dict[tuple[Level, Sign], tuple[Level, AlertState | None]]] = {
    (Level.QUIET, Sign.BAD): (Level.RISING, None),
    (Level.QUIET, Sign.BAD_FOR_LONG): (Level.FIRING, "firing"),
    (Level.RISING, Sign.BAD_FOR_LONG): (Level.FIRING, "firing"),
    (Level.RISING, Sign.BETWEEN): (Level.QUIET, None),
    (Level.RISING, Sign.GOOD): (Level.QUIET, None),
    (Level.RISING, Sign.GOOD_FOR_LONG): (Level.QUIET, None),
    (Level.FIRING, Sign.GOOD): (Level.EASING, None),
    (Level.FIRING, Sign.GOOD_FOR_LONG): (Level.QUIET, "resolved"),
    (Level.EASING, Sign.BAD): (Level.FIRING, None),
    (Level.EASING, Sign.BAD_FOR_LONG): (Level.FIRING, None),
    (Level.EASING, Sign.BETWEEN): (Level.FIRING, None),
    (Level.EASING, Sign.GOOD_FOR_LONG): (Level.QUIET, "resolved"),
}


class Alarm:
    """One kind about one thing."""

    __slots__ = ("_kind", "_level", "_since_ns")

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._level = Level.QUIET
        self._since_ns = 0  # when the present run of bad values, or of good ones, began

    @property
    def is_quiet(self) -> bool:
        """Whether there is nothing to remember."""
        return self._level is Level.QUIET

    @property
    def is_firing(self) -> bool:
        return self._level in (Level.FIRING, Level.EASING)

    def look(self, value: float, now_ns: int) -> AlertState | None:
        """Take the value of the moment; return what has changed, if anything."""
        self._level, change = TABLE.get((self._level, self._sign(value, now_ns)), (self._level, None))
        return change

    def _sign(self, value: float, now_ns: int) -> Sign:
        kind = self._kind
        if value >= kind.fires_at:
            if self._level is not Level.RISING:
                self._since_ns = now_ns
            return Sign.BAD_FOR_LONG if now_ns - self._since_ns >= kind.hold_s * NS_PER_S else Sign.BAD
        if value >= kind.resolves_below:
            return Sign.BETWEEN
        if self._level is not Level.EASING:
            self._since_ns = now_ns
        return Sign.GOOD_FOR_LONG if now_ns - self._since_ns >= kind.quiet_s * NS_PER_S else Sign.GOOD
