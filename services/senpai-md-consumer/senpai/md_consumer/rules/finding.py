"""What a rule is given, what is said of it, and what comes of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, TypeAlias

from md_contract.signals import Condition, Direction
from senpai.md_consumer.features import Reader

Outcome: TypeAlias = Literal["new", "cancel", "withheld"]


@dataclass(frozen=True, slots=True)
class RuleOptions:
    """Thresholds of the rules.

    Raises:
        ValueError: `rearm_fraction` is not above 0 and at most 1.
    """

    return_threshold: float = 0.003  # fraction: 0.003 is 0.3 %
    volume_threshold: float = 1.0  # base units
    spread_threshold_bps: float = 20.0
    rearm_fraction: float = 0.5  # a condition that held is kept until it is missed by as much as this: see `Rule.lost`

    def __post_init__(self) -> None:
        if not 0 < self.rearm_fraction <= 1:
            raise ValueError(f"rearm_fraction: expected more than 0 and at most 1, found {self.rearm_fraction!r}")


class Rule(Protocol):
    """Looks at the features of one symbol. It keeps nothing: what has been said is the episode's to know."""

    def begins(self) -> Direction | None:
        """The direction in which every condition holds, or None. Asked after every event, so it must be quick."""

    def lost(self, direction: Direction) -> list[str]:
        """The conditions of this direction that no longer hold, by name.

        With hysteresis, so that a value that flutters about its threshold loses nothing. A value that is not known is
        lost.
        """

    def is_over(self, direction: Direction) -> bool:
        """Whether the move is over, and the rule may speak of this direction again; False while it is not known.

        It is over in any case when the conditions of the other direction hold. Asked after every event of an episode.
        """

    def conditions(self, direction: Direction) -> list[Condition]:
        """Each condition with its value and its threshold; without those whose value is not known."""


class RuleSpec(NamedTuple):
    """One entry of the table of rules."""

    make: Callable[[Mapping[str, Reader], RuleOptions], Rule]  # called once for each symbol
    reads: tuple[str, ...]  # the features it reads; its inputs, and what has to be warm, follow from them


class Finding(NamedTuple):
    """What is to be told of an episode."""

    outcome: Outcome
    direction: Direction
    began: int  # event time of the signal, ns; of a withheld one: when it would have been
    reason: list[Condition]  # as they stand
    causes: list[str]  # of a cancel or a withheld one: the conditions lost, or why the inputs are not trusted
