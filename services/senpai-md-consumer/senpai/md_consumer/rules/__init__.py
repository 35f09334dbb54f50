"""The rules: each looks at features after every event and says in which direction all its conditions hold.

A rule is a class in a file of its own with an entry in RULES. It is made once for each symbol and sees nothing but the
features it reads, so the same events give the same signals live and offline. What is made of it (one signal an episode,
taken back when its cause is gone, withheld while its inputs are not to be trusted) is the same for every rule: see
`episode`.
"""

from typing import Final

from senpai.md_consumer.rules import momentum
from senpai.md_consumer.rules.episode import Watch
from senpai.md_consumer.rules.finding import Finding, Rule, RuleOptions, RuleSpec

RULES: Final[dict[str, RuleSpec]] = {
    "momentum": RuleSpec(momentum.Momentum, momentum.READS),
}

__all__ = ["RULES", "Finding", "Rule", "RuleOptions", "RuleSpec", "Watch"]
