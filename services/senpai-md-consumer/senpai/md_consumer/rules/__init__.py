"""The rules: each looks at features after every event and says when there is something to say.

A rule is a class in a file of its own with an entry in RULES. It is made once for each symbol and keeps that symbol's
episode. It sees nothing but the features it asks for, so the same events give the same signals live and offline.
"""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from senpai.md_consumer.features import Reader
from senpai.md_consumer.rules.finding import Finding, RuleOptions
from senpai.md_consumer.rules.momentum import Momentum


class Rule(Protocol):
    """A finder of one kind of episode in one symbol."""

    def evaluate(self) -> Finding | None:
        """Look at the features after an event; return a finding when an episode begins, else None."""


RULES: Final[dict[str, Callable[[Mapping[str, Reader], RuleOptions], Rule]]] = {
    "momentum": Momentum,
}

__all__ = ["RULES", "Finding", "Rule", "RuleOptions"]
