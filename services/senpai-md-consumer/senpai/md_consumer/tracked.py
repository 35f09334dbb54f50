"""Everything that belongs to one symbol: its state, its features, and the rules that watch it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from msgspec import UNSET, Struct

from md_contract.signals import Condition, Direction, Signal, Trust
from md_contract.units import NS_PER_S
from senpai.md_consumer.counters import Counters
from senpai.md_consumer.features import FEATURES, ROLLING_S, Feature, FeatureSet
from senpai.md_consumer.marks import Input
from senpai.md_consumer.rules import Finding, RuleOptions, RuleSpec, Watch
from senpai.md_consumer.state import SymbolState
from senpai.md_consumer.trust import Cadences, assess, doubts

QUIET_NS: Final = NS_PER_S  # a symbol's clock goes on by itself after this long without an event


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """Settings of the heart.

    Raises:
        ValueError: `window_s` is not above 0 and at most 60.
    """

    window_s: float = ROLLING_S  # length of the "60 s" windows
    features: Mapping[str, Feature] = field(default_factory=lambda: FEATURES)
    return_threshold: float = 0.003  # fraction: 0.003 is 0.3 %
    volume_threshold: float = 1.0  # base units
    spread_threshold_bps: float = 20.0
    rearm_fraction: float = 0.5  # an episode is over when the return is back within this part of its threshold
    signal_valid_s: float = 10.0
    signal_cooldown_s: float = 10.0  # between two signals of one rule, symbol and direction
    withhold: bool = True  # whether a signal whose inputs are not trusted is withheld
    max_symbols: int = 4096
    symbol_expiry_s: float = 3600.0  # a symbol is forgotten after this long without an event

    def __post_init__(self) -> None:
        if not 0 < self.window_s <= ROLLING_S:
            raise ValueError(f"window_s: expected more than 0 and at most {ROLLING_S}, found {self.window_s!r}")


class Withheld(Struct, frozen=True):
    """A signal that was due and has not been told."""

    symbol: str
    rule: str
    direction: Direction
    ts: int  # ns, event time
    reasons: list[str]  # why its inputs were not trusted, or `cooldown`
    conditions: list[Condition]  # as they stood


class RuleWatch:
    """One rule over one symbol, by its name and with what it needs to be trusted."""

    __slots__ = ("begins", "name", "needs", "watch")

    def __init__(self, name: str, spec: RuleSpec, features: FeatureSet, options: PipelineOptions) -> None:
        thresholds = RuleOptions(
            return_threshold=options.return_threshold,
            volume_threshold=options.volume_threshold,
            spread_threshold_bps=options.spread_threshold_bps,
            rearm_fraction=options.rearm_fraction,
        )
        rule = spec.make(features.readers, thresholds)
        self.name = name
        self.begins = rule.begins
        self.needs = needs_of([options.features[feature] for feature in spec.reads], options.window_s)
        self.watch = Watch(rule, round(options.signal_valid_s * NS_PER_S), round(options.signal_cooldown_s * NS_PER_S))


class Tracked:
    """One symbol. The signals it makes are the pipeline's to hand on."""

    __slots__ = (
        "_advanced_ns", "_options", "cadences", "features", "questions", "rules", "signals", "state", "trust",
        "withheld",
    )  # fmt: skip

    def __init__(
        self, symbol: str, counters: Counters, options: PipelineOptions, rules: Mapping[str, RuleSpec]
    ) -> None:
        self.state = SymbolState(symbol, round(options.window_s * NS_PER_S), counters)
        self.features = FeatureSet(self.state, options.features)
        self.rules = [RuleWatch(name, spec, self.features, options) for name, spec in rules.items()]
        self.questions = [(rule.watch, rule.begins, rule) for rule in self.rules]  # asked after every event
        self.cadences = Cadences()
        self.trust: Trust | None = None  # as of the last look at the time
        self.signals: dict[tuple[str, Direction], Signal] = {}  # the last one of each rule and direction
        self.withheld: Withheld | None = None  # the last one
        self._advanced_ns = 0  # monotonic time up to which the clock was moved without an event
        self._options = options

    def on_time(self, mono_ns: int) -> bool:
        """Go on with the time of a quiet symbol; return whether its message changed by that."""
        self.cadences.look(self.state)
        changed = mono_ns - self.state.mono_ns >= QUIET_NS and self._go_on(mono_ns)
        before, self.trust = self.trust, assess(self.state, self.cadences, mono_ns)
        return changed or (before is not None and _shown(before) != _shown(self.trust))

    def look(self, rule: RuleWatch, mono_ns: int, *, event: bool) -> list[Finding]:
        """Look at one rule again; return what is to be told of it."""

        def doubted() -> list[str]:
            return doubts(self.state, self.cadences, rule.needs, mono_ns) if self._options.withhold else []

        return rule.watch.look(self.state.clock.now, doubted, event=event)

    def signal(self, rule: RuleWatch, finding: Finding, mono_ns: int) -> Signal:
        """The message that tells the finding."""
        state = self.state
        made = Signal(
            id=f"{state.symbol}-{rule.name}-{finding.direction}-{finding.began}",
            state="new" if finding.outcome == "new" else "cancel",
            symbol=state.symbol,
            provider=state.provider,
            direction=finding.direction,
            rule=rule.name,
            ts=state.clock.now,
            valid_until=finding.began + round(self._options.signal_valid_s * NS_PER_S),
            reason=finding.reason,
            features=self.features.values(),
            trust=assess(state, self.cadences, mono_ns),
            causes=finding.causes or UNSET,
        )
        self.signals[rule.name, finding.direction] = made
        return made

    def _go_on(self, mono_ns: int) -> bool:
        """Move the clock by the time that went by; return whether that changed what is in a window."""
        state = self.state
        before = state.edges()
        state.clock.now += mono_ns - max(state.mono_ns, self._advanced_ns)
        self._advanced_ns = mono_ns
        return before != state.edges()


def needs_of(features: Iterable[Feature], window_s: float) -> dict[Input, int]:
    """The inputs of these features, each with the longest window that is read, in ns; 0: the latest state alone.

    A feature that asks for a longer warm-up than its window counts as if its window were that long.
    """
    needs: dict[Input, int] = {}
    for feature in features:
        for source, seconds in feature.spans_s.items():
            span_s = window_s if seconds == ROLLING_S else seconds
            span_ns = round(max(span_s, feature.warm_up_s or span_s) * NS_PER_S)
            needs[source] = max(needs.get(source, span_ns), span_ns)
    return needs


def _shown(trust: Trust) -> tuple[bool, bool, bool, list[str]]:
    """What of it is news when it changes."""
    return trust.warm, trust.stale, trust.gap, trust.reasons
