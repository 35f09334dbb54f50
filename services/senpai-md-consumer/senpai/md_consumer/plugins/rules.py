"""Rules of plug-ins as the heart knows rules. Episodes, cooldown, trust and withholding are the heart's, as for all."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from md_contract.signals import Condition, Direction, FeatureValue
from senpai.md_consumer.features import Reader
from senpai.md_consumer.plugins.declared import Above, Conditions, Limit, RuleDeclaration, plain, problems_of
from senpai.md_consumer.plugins.guard import Failed, Guard
from senpai.md_consumer.rules import RuleOptions, RuleSpec

OFF: Final = "plugin_off"
FAILED: Final = "plugin_failed"
_NOTHING: Final = Conditions()  # of a feature that has no value


def rule_of(declared: RuleDeclaration, guard: Guard) -> RuleSpec:
    """The entry for the table of rules."""
    return RuleSpec(partial(DeclaredRule, declared, guard), declared.reads)


class DeclaredRule:
    """Compares features with limits, which are fixed or made by a guarded function of the features."""

    def __init__(
        self,
        declared: RuleDeclaration,
        guard: Guard,
        readers: Mapping[str, Reader],
        options: RuleOptions,  # noqa: ARG002  # the thresholds of the rules that come with the service
    ) -> None:
        self._function = declared.made_by
        self._fixed = None if declared.fixed is None else plain(declared.fixed)
        self._guard = guard
        self._readers = {name: readers[name] for name in declared.reads}
        self._values: list[FeatureValue] = []
        self._made: Conditions | None = None  # of these values; None: it failed

    def begins(self) -> Direction | None:
        """The direction whose conditions all hold; None when those of both do."""
        conditions = self._conditions()
        if conditions is None:
            return None
        long, short = self._hold(conditions.long), self._hold(conditions.short)
        if long is short:
            return None
        return "long" if long else "short"

    def lost(self, direction: Direction) -> list[str]:
        if self._guard.why_off is not None:
            return [OFF]
        unknown = [name for name, read in self._readers.items() if read() is None]
        if self._fixed is None and unknown:
            return unknown
        conditions = self._conditions()
        if conditions is None:
            return [FAILED]
        limits = getattr(conditions, direction)
        return [limit.feature for limit in limits if not self._is_kept(limit)] if limits else list(self._readers)

    def is_over(self, direction: Direction) -> bool:
        """Whether the first condition is lost, or nobody can tell any more."""
        if self._guard.why_off is not None:
            return True
        conditions = self._conditions()
        if conditions is None:
            return False
        limits = getattr(conditions, direction)
        if not limits:
            return conditions is not _NOTHING
        return self._readers[limits[0].feature]() is not None and not self._is_kept(limits[0])

    def conditions(self, direction: Direction) -> list[Condition]:
        conditions = self._conditions() or _NOTHING
        found = []
        for limit in getattr(conditions, direction):
            value = self._readers[limit.feature]()
            if value is not None:
                found.append(Condition(limit.feature, value, ">" if isinstance(limit, Above) else "<", limit.threshold))
        return found

    def _hold(self, limits: Sequence[Limit]) -> bool:
        for limit in limits:
            value = self._readers[limit.feature]()
            if value is None:
                return False
            if not (value > limit.threshold if isinstance(limit, Above) else value < limit.threshold):
                return False
        return bool(limits)

    def _is_kept(self, limit: Limit) -> bool:
        value = self._readers[limit.feature]()
        if value is None:
            return False
        return value >= limit.keeps_at if isinstance(limit, Above) else value <= limit.keeps_at

    def _conditions(self) -> Conditions | None:
        """The limits as of now: _NOTHING while a feature is unknown, None when the plug-in gives none."""
        if self._fixed is not None:
            return self._fixed
        values = [read() for read in self._readers.values()]
        if None in values:
            return _NOTHING
        if values != self._values:
            self._values = values
            made = self._guard.call(self._ask)
            self._made = None if isinstance(made, Failed) else made
        return self._made

    def _ask(self) -> Conditions:
        """The function's answer for these values.

        Raises:
            TypeError: it is no set of conditions.
        """
        if self._function is None:
            return _NOTHING
        made = self._function(**dict(zip(self._readers, self._values, strict=True)))
        if made is None:
            return Conditions()
        for problem in problems_of(made):
            raise TypeError(problem)
        for limit in (*made.long, *made.short):
            if limit.feature not in self._readers:
                raise TypeError(f"a condition on {limit.feature!r}, which is not among its parameters")
        return plain(made)
