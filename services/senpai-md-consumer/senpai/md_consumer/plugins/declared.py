"""How a plug-in is declared: `@feature(...)` over a function or a class, `@rule` over a function, or `rule(...)`.

A declaration is only noted here and never raises; `problems` says what is wrong with it, all at once.
"""

import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from numbers import Real
from typing import Any, Final, TypeAlias, TypeVar, overload

from senpai.md_consumer.features import ROLLING_S

API_VERSION: Final = 1
MARK: Final = "__senpai_plugin__"
RUNNING: Final = ("add", "remove", "value")  # methods of a running feature

DeclaredT = TypeVar("DeclaredT", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Above:
    """A condition: the feature is above the threshold. Once it held, it is lost when the feature is below `keep`."""

    feature: str
    threshold: float
    keep: float | None = None  # None: the threshold missed by half of its size

    @property
    def keeps_at(self) -> float:
        return self.threshold - abs(self.threshold) / 2 if self.keep is None else self.keep


@dataclass(frozen=True, slots=True)
class Below:
    """A condition: the feature is below the threshold. Once it held, it is lost when the feature is above `keep`."""

    feature: str
    threshold: float
    keep: float | None = None  # None: the threshold missed by half of its size

    @property
    def keeps_at(self) -> float:
        return self.threshold + abs(self.threshold) / 2 if self.keep is None else self.keep


Limit: TypeAlias = Above | Below


@dataclass(frozen=True, slots=True)
class Conditions:
    """What has to hold for each direction; the first condition is the move itself, with whose loss the episode ends."""

    long: Sequence[Limit] = ()
    short: Sequence[Limit] = ()


class FeatureDeclaration:
    """A feature: what computes it, and from what."""

    def __init__(
        self, name: str | None, made_by: Callable[..., Any], inputs: "Inputs", unit: str, least: int, warm_up_s: int
    ) -> None:
        self.name = name
        self.module: str = made_by.__module__
        self.made_by = made_by
        self.inputs = inputs
        self.unit = unit
        self.least = least
        self.warm_up_s = warm_up_s

    @property
    def is_running(self) -> bool:
        """Whether it is a class that is told what enters and what leaves its window."""
        return inspect.isclass(self.made_by)

    def problems(self) -> list[str]:
        """What is wrong with the declaration."""
        found = self.inputs.problems()
        if not (_is_text(self.unit) and self.unit):
            found.append("give the unit of its values, such as unit='bps'")
        if type(self.least) is not int or self.least < 0:
            found.append(f"least: expected a number of events, 0 or more, found {self.least!r}")
        if type(self.warm_up_s) is not int or not 0 <= self.warm_up_s <= 3_600:
            found.append(f"warm_up: expected whole seconds up to 3600, found {self.warm_up_s!r}")
        if self.inputs.problems():
            return found
        return found + (self._problems_of_class() if self.is_running else self._problems_of_function())

    def _problems_of_function(self) -> list[str]:
        takes, gives = parameters(self.made_by), self.inputs.names
        if takes == gives:
            return []
        return [f"its inputs are {_listed(gives)}, so declare its parameters so; they are {_listed(takes)}"]

    def _problems_of_class(self) -> list[str]:
        if self.inputs.names not in ({"trades"}, {"quotes"}):
            return ["a class follows exactly one window: trades=... or quotes=..."]
        missing = [name for name in RUNNING if not callable(getattr(self.made_by, name, None))]
        return (
            [f"its class needs add(self, events), remove(self, events) and value(self); no {_listed(missing)}"]
            if missing
            else []
        )


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a feature is made of: windows in seconds, and the latest state."""

    trades: int | None
    quotes: int | None
    quote: bool
    book: bool

    @property
    def names(self) -> set[str]:
        return {name for name in ("trades", "quotes", "quote", "book") if getattr(self, name) not in (None, False)}

    def problems(self) -> list[str]:
        found = []
        for name in ("trades", "quotes"):
            span = getattr(self, name)
            if span is not None and (type(span) is not int or not 1 <= span <= ROLLING_S):
                found.append(f"{name}: expected a window of 1 to {ROLLING_S} whole seconds, found {span!r}")
        found += [f"{name}: say {name}=True" for name in ("quote", "book") if type(getattr(self, name)) is not bool]
        return found if found or self.names else ["declare an input: trades=, quotes=, quote= or book="]


class RuleDeclaration:
    """A rule: its conditions, or the function that makes them of the features it names as its parameters."""

    def __init__(
        self, module: str, made_by: Callable[..., Conditions] | None, fixed: Conditions | None, reads: Iterable[str]
    ) -> None:
        self.module = module
        self.made_by = made_by
        self.fixed = fixed
        self.reads = tuple(dict.fromkeys(reads))

    def problems(self) -> list[str]:
        """What is wrong with the declaration, but for the names of features."""
        if self.fixed is not None:
            return problems_of(self.fixed) or ([] if self.reads else ["give conditions for long, short or both"])
        return [] if self.reads else ["name the features it reads as its parameters"]


def feature(
    *,
    unit: str = "",
    name: str | None = None,
    trades: int | None = None,
    quotes: int | None = None,
    quote: bool = False,
    book: bool = False,
    least: int = 1,
    warm_up: int = 0,
) -> Callable[[DeclaredT], DeclaredT]:
    """Declare a feature: the function or class below.

    A function gets its inputs by name and returns a number, or None for no answer. A class is made once for each
    symbol and window; it has `add(events)` and `remove(events)`, told in bulk what enters and what leaves its window in
    any order, and `value()`.

    Args:
        unit: of the value; has to be given.
        name: of the feature, where it is not to be called like the function or class.
        trades: seconds of trades (1 to 60): parameter `trades`, a `Trades`.
        quotes: seconds of quotes (1 to 60): parameter `quotes`, a `Quotes`.
        quote: whether it reads the latest quote: parameter `quote`, a `Quote`; no answer without both sides.
        book: whether it reads the latest book: parameter `book`, a `Book`; no answer without both sides.
        least: no answer while a window holds fewer events.
        warm_up: seconds of history before a rule believes it, if more than its windows.
    """

    def declare(made_by: DeclaredT) -> DeclaredT:
        inputs = Inputs(trades, quotes, quote, book)
        setattr(made_by, MARK, FeatureDeclaration(name, made_by, inputs, unit, least, warm_up))
        return made_by

    return declare


@overload
def rule(made_by: DeclaredT, /) -> DeclaredT: ...
@overload
def rule(*, long: Sequence[Limit] = (), short: Sequence[Limit] = ()) -> RuleDeclaration: ...
def rule(
    made_by: Callable[..., Any] | None = None, /, *, long: Sequence[Limit] = (), short: Sequence[Limit] = ()
) -> Callable[..., Any] | RuleDeclaration:
    """Declare a rule by its conditions, or by the function below `@rule` that makes them.

    The function's parameters are names of features; it is called when all of them have a value, and returns
    `Conditions` made of these.
    """
    if made_by is None:
        fixed = Conditions(long, short)
        module = sys._getframe(1).f_globals.get("__name__", "")
        reads = [limit.feature for limit in _limits(fixed) if isinstance(limit, Limit)]
        return RuleDeclaration(module, None, fixed, reads)
    setattr(made_by, MARK, RuleDeclaration(made_by.__module__, made_by, None, sorted(parameters(made_by))))
    return made_by


def problems_of(conditions: object) -> list[str]:
    """What is wrong with conditions, as declared or as a function returned them."""
    if type(conditions) is not Conditions:
        return [f"expected Conditions(long=[...], short=[...]), found {type(conditions).__name__}"]
    sides: dict[str, object] = {"long": conditions.long, "short": conditions.short}
    found = [f"{side}: expected a list" for side, limits in sides.items() if not isinstance(limits, Sequence)]
    for limit in _limits(conditions):
        if type(limit) not in (Above, Below) or not isinstance(limit.feature, str):
            found.append(f"expected Above(...) or Below(...) of a feature's name, found {limit!r:.80}")
        elif not (_is_finite(limit.threshold) and (limit.keep is None or _is_finite(limit.keep))):
            found.append(f"{limit.feature}: expected numbers for threshold and keep, found {limit!r:.80}")
        elif (limit.keeps_at > limit.threshold) if isinstance(limit, Above) else (limit.keeps_at < limit.threshold):
            found.append(f"{limit.feature}: keep={limit.keep!r} is on the wrong side of the threshold")
    return found


def parameters(function: Callable[..., Any]) -> set[str]:
    """The names of a function's parameters; empty for one that does not tell."""
    try:
        return set(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return set()


def _limits(conditions: Conditions) -> list[Any]:
    """Whatever a user has put where limits belong."""
    sides: tuple[object, object] = (conditions.long, conditions.short)
    return [limit for side in sides if isinstance(side, Sequence) for limit in side]


def _is_text(thing: object) -> bool:
    return isinstance(thing, str)


def plain(conditions: Conditions) -> Conditions:
    """The same, of plain texts and numbers that nobody else holds, fit to be published."""
    return Conditions(*[[_plain(limit) for limit in side] for side in (conditions.long, conditions.short)])


def _plain(limit: Limit) -> Limit:
    return type(limit)(str(limit.feature), float(limit.threshold), float(limit.keeps_at))


def _is_finite(number: object) -> bool:
    return not isinstance(number, bool) and isinstance(number, Real) and isfinite(number)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
