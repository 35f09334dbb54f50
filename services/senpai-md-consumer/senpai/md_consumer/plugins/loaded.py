"""The plug-ins of this run: their entries for the heart's tables, and how they do."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from senpai.md_consumer.features import Feature
from senpai.md_consumer.plugins.guard import Guard, Stopwatch
from senpai.md_consumer.rules import RuleSpec


@dataclass(frozen=True, slots=True)
class Plugins:
    """Nothing at all, unless there are some."""

    features: Mapping[str, Feature] = field(default_factory=dict)
    rules: Mapping[str, RuleSpec] = field(default_factory=dict)
    guards: tuple[Guard, ...] = ()
    watch: Stopwatch = field(default_factory=Stopwatch)

    def off(self) -> dict[str, str]:
        """Those that are switched off, and why."""
        return {guard.name: guard.why_off for guard in self.guards if guard.why_off is not None}

    def notices(self) -> list[str]:
        """For people, about what is switched off."""
        return [f"the plug-in {name} is off: {why}" for name, why in self.off().items()]

    def stats(self) -> list[dict[str, Any]]:
        """What each has done and cost."""
        return list(self._rows())

    def look(self, *, counts: bool) -> None:
        """Called once a second: see what part of the time each takes.

        `counts`: False while the past is worked off as fast as can be, where a part of the time says nothing.
        """
        for guard in self.guards:
            guard.look_at_share(counts=counts)

    def _rows(self) -> Iterator[dict[str, Any]]:
        for guard in self.guards:
            yield {
                "name": guard.name,
                "kind": guard.kind,
                "module": guard.module,
                "state": "on" if guard.why_off is None else "off",
                "why_off": guard.why_off,
                "calls": guard.calls,
                "failures": guard.failures,
                "not_finite": guard.not_finite,
                "slow_calls": guard.slow_calls,
                "mean_us": None if guard.mean_us is None else round(guard.mean_us, 1),
                "longest_us": round(guard.longest_ns / 1_000, 1),
                "last_error": guard.last_error,
            }
