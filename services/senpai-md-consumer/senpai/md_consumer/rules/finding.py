"""What rules are given and what they find."""

from dataclasses import dataclass
from typing import NamedTuple

from md_contract.signals import Condition, Direction


@dataclass(frozen=True, slots=True)
class RuleOptions:
    """Thresholds of the rules."""

    return_threshold: float = 0.003  # fraction: 0.003 is 0.3 %
    volume_threshold: float = 1.0  # base units
    spread_threshold_bps: float = 20.0
    rearm_fraction: float = 0.5  # an episode is over when the return is back within this part of its threshold


class Finding(NamedTuple):
    """The beginning of an episode, and why."""

    direction: Direction
    reason: list[Condition]
