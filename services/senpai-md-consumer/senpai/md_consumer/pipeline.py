"""Events in, features and signals out: the pure heart of the service, one object for all symbols.

Synchronous and without a clock of its own: every time is an argument, so the same input gives the same output live and
offline. `mono_ns` is a monotonic clock's reading, `wall_ns` UTC; both in nanoseconds.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from md_contract.events import STATUS_KINDS, BookL2, Event, Quote, Status, Trade
from md_contract.signals import FeatureVector, Signal, Trust
from md_contract.subjects import SYSTEM
from md_contract.units import NS_PER_S
from senpai.md_consumer.counters import Counters
from senpai.md_consumer.marks import INPUT_OF, NEW_EPOCH
from senpai.md_consumer.rules import RULES, Finding, RuleSpec
from senpai.md_consumer.state import LatestState, SymbolState
from senpai.md_consumer.tracked import PipelineOptions, RuleWatch, Tracked, Withheld
from senpai.md_consumer.trust import assess

__all__ = ["Counters", "LatestState", "Pipeline", "PipelineOptions", "Withheld"]

MOST_PROVIDER_CHARS: Final = 64
MARKET_TYPES: Final = ("trade", "quote", "book_l2")
LOSSES: Final = ("gap", "drop")  # kinds of status that say that events are missing for good
MOST_TOLD: Final = 10**12  # missing events; nobody loses more
CONFLATED_TYPES: Final = ("quote", "book_l2")


class Pipeline:
    """State, features and rules of every symbol."""

    def __init__(self, options: PipelineOptions, rules: Mapping[str, RuleSpec] = RULES) -> None:
        self.counters = Counters()
        self.withheld: dict[tuple[str, str, str], int] = {}  # (rule, direction, reason) -> signals withheld
        self.expired = 0  # symbols forgotten
        self._options = options
        self._rules = rules
        self._tracked: dict[str, Tracked] = {}
        self._feed_gaps: dict[str, str] = {}  # of tracked symbols: what was lost since it was last asked

    @property
    def symbols(self) -> Collection[str]:
        """The tracked symbols, in no order."""
        return self._tracked.keys()

    def on_event(self, event: Event, mono_ns: int) -> list[Signal] | tuple[()]:
        """Apply one event; return the signals that fire now (normally none)."""
        tracked = self._tracked.get(event.symbol)
        if tracked is None:
            return self._on_untracked(event, mono_ns)
        if type(event) is Trade:
            applied = tracked.state.on_trade(event, mono_ns)
        elif type(event) is Quote:
            applied = tracked.state.on_quote(event, mono_ns)
        elif type(event) is BookL2:
            applied = tracked.state.on_book(event, mono_ns)
        else:
            return self._on_notice(event, mono_ns)
        if not applied:
            return ()
        signals: list[Signal] | tuple[()] = ()
        for watch, begins, rule in tracked.questions:
            if watch.is_due(tracked.state.clock.now) if watch.busy else begins() is not None:
                signals = [*signals, *self._look(tracked, rule, mono_ns)]
        return signals

    def on_bus_gap(self, event_type: str, symbol: str, missing: int, mono_ns: int) -> None:  # noqa: ARG002  # the seam
        """Take note that the bus lost `missing` events before the next one (-1: nobody knows how many)."""
        tracked = self._tracked.get(symbol)
        if tracked is not None:
            _lose(tracked.state, event_type, NEW_EPOCH if missing == -1 else f"{event_type}_gap")
            for rule in tracked.rules:
                rule.watch.hurry()

    def on_time(self, mono_ns: int) -> list[str]:
        """Advance quiet symbols; return those whose message changed by that. Called about once a second."""
        return [symbol for symbol, tracked in self._tracked.items() if tracked.on_time(mono_ns)]

    def features(self, symbol: str, mono_ns: int, wall_ns: int) -> FeatureVector | None:
        """The symbol's feature message, `seq` and `epoch` unfilled; None for an unknown symbol."""
        tracked = self._tracked.get(symbol)
        if tracked is None:
            return None
        state = tracked.state
        trust = assess(state, tracked.cadences, mono_ns)
        return FeatureVector(symbol, state.provider, state.clock.now, wall_ns, tracked.features.values(), trust)

    def review(self, mono_ns: int) -> list[Signal]:
        """Look again at every episode under way; return the cancels that time has brought. For after `on_time`."""
        return [signal for tracked in self._tracked.values() for signal in self._look_at_busy(tracked, mono_ns)]

    def expire(self, mono_ns: int) -> list[str]:
        """Forget the symbols that have been silent for long enough to be no symbols any more; return which.

        Nothing of interest goes with them: their windows have long been empty and their signals out of date.
        """
        silent_ns = round(self._options.symbol_expiry_s * NS_PER_S)
        over = [symbol for symbol, tracked in self._tracked.items() if mono_ns - tracked.state.mono_ns >= silent_ns]
        for symbol in over:
            del self._tracked[symbol]
        self.expired += len(over)
        return over

    def trust(self, symbol: str, mono_ns: int) -> Trust | None:
        """How far the symbol's numbers can be trusted; None for an unknown symbol."""
        tracked = self._tracked.get(symbol)
        return None if tracked is None else assess(tracked.state, tracked.cadences, mono_ns)

    def latest(self, symbol: str) -> LatestState | None:
        """The last trade, quote and book of the symbol; None for an unknown symbol."""
        tracked = self._tracked.get(symbol)
        return None if tracked is None else tracked.state.latest

    def last_signals(self, symbol: str | None = None) -> list[Signal]:
        """The last signal of each rule and direction as it was told last, newest first: of one symbol, or of all."""
        tracked = self._tracked.values() if symbol is None else filter(None, [self._tracked.get(symbol)])
        found = [signal for one in tracked for signal in one.signals.values()]
        return sorted(found, key=lambda signal: signal.ts, reverse=True)

    def withheld_samples(self, limit: int) -> list[Withheld]:
        """The last withheld signal of each symbol, newest first."""
        found = [tracked.withheld for tracked in self._tracked.values() if tracked.withheld is not None]
        return sorted(found, key=lambda withheld: withheld.ts, reverse=True)[:limit]

    def silences(self, mono_ns: int) -> dict[str, float]:
        """The symbols that were stale when `on_time` last looked, and for how many seconds they have been silent."""
        return {
            symbol: (mono_ns - tracked.state.mono_ns) / NS_PER_S
            for symbol, tracked in self._tracked.items()
            if tracked.trust is not None and tracked.trust.stale
        }

    def take_feed_gaps(self) -> dict[str, str]:
        """The symbols of which the producer has said since the last call that events are missing; and which ones."""
        gaps, self._feed_gaps = self._feed_gaps, {}
        return gaps

    def switched(self) -> dict[str, str]:
        """The symbols whose source had just switched when `on_time` last looked, and to which provider."""
        return {
            symbol: tracked.state.switched_to or tracked.trust.source or ""
            for symbol, tracked in self._tracked.items()
            if tracked.trust is not None and "source_switch" in tracked.trust.reasons
        }

    def _on_untracked(self, event: Event, mono_ns: int) -> list[Signal] | tuple[()]:
        """Track a new symbol from its first usable event on."""
        if not isinstance(event, (Trade, Quote, BookL2)):
            return self._on_notice(event, mono_ns)
        if event.symbol == SYSTEM or len(self._tracked) >= self._options.max_symbols:
            self.counters.refused += 1
            return ()
        tracked = Tracked(event.symbol, self.counters, self._options, self._rules)
        self._tracked[event.symbol] = tracked
        signals = self.on_event(event, mono_ns)
        if not tracked.state.events:
            del self._tracked[event.symbol]
        return signals

    def _on_notice(self, event: Event, mono_ns: int) -> list[Signal] | tuple[()]:
        """Apply what the producer says about the data itself; a heartbeat says nothing about any symbol's data."""
        if not isinstance(event, Status):
            return ()
        kind = event.kind if event.kind in STATUS_KINDS else "other"
        self.counters.statuses[kind] = self.counters.statuses.get(kind, 0) + 1
        signals: list[Signal] = []
        for tracked in self._meant(event):
            if kind in LOSSES:
                self._feed_gaps[tracked.state.symbol] = _lost_events(event.detail)
            _note(tracked.state, event, mono_ns)
            signals += self._look_at_busy(tracked, mono_ns)
        return signals

    def _meant(self, event: Status) -> list[Tracked]:
        """The symbols a status is about: all of its provider when it is not about one."""
        if event.symbol == SYSTEM:
            return [tracked for tracked in self._tracked.values() if tracked.state.provider == event.provider]
        tracked = self._tracked.get(event.symbol)
        return [] if tracked is None else [tracked]

    def _look_at_busy(self, tracked: Tracked, mono_ns: int) -> Iterable[Signal]:
        """What comes of a symbol's episodes without an event of the market."""
        for rule in tracked.rules:
            if rule.watch.busy:
                yield from self._look(tracked, rule, mono_ns, event=False)

    def _look(self, tracked: Tracked, rule: RuleWatch, mono_ns: int, *, event: bool = True) -> list[Signal]:
        """Look at one rule; count what is withheld, and return the signals to be told."""
        signals = []
        for finding in tracked.look(rule, mono_ns, event=event):
            if finding.outcome == "withheld":
                self._withhold(tracked, rule.name, finding)
            else:
                signals.append(tracked.signal(rule, finding, mono_ns))
        return signals

    def _withhold(self, tracked: Tracked, rule: str, finding: Finding) -> None:
        symbol, direction = tracked.state.symbol, finding.direction
        tracked.withheld = Withheld(symbol, rule, direction, finding.began, finding.causes, finding.reason)
        for reason in finding.causes:
            key = (rule, direction, reason)
            self.withheld[key] = self.withheld.get(key, 0) + 1


def _note(state: SymbolState, status: Status, mono_ns: int) -> None:
    """Apply a status event to one symbol. A switch of source shows in the events themselves."""
    if status.kind in LOSSES:
        event_type = status.detail.get("type", "trade")
        if event_type in CONFLATED_TYPES and status.detail.get("latest_kept") is True:
            state.thin(INPUT_OF[event_type], f"{event_type}_gap")
        elif event_type in MARKET_TYPES:
            _lose(state, event_type, f"{event_type}_gap")
    elif status.kind in ("reconnect", "correction", "source_switch"):
        state.mark(status.kind)
        if status.kind == "source_switch":
            state.switched_to = _provider_named(status.detail.get("to"))
    elif status.kind == "backfill":
        _note_backfill(state, status.detail)
    elif status.kind == "stale":
        state.said_stale_ns = mono_ns
    elif status.kind == "recovered":
        state.said_stale_ns = -1


def _note_backfill(state: SymbolState, detail: dict[str, Any]) -> None:
    """A hole in the trades was found and is being filled, or is filled. What is lost for good comes as a `gap`."""
    missing, name = detail.get("missing"), str(detail.get("from"))
    if not isinstance(missing, int) or missing < 0:
        return
    if missing:
        state.open_hole(name)
    else:
        state.fill_hole(name)


def _lost_events(detail: dict[str, Any]) -> str:
    """What a status says is missing, in words."""
    event_type, missing = detail.get("type", "trade"), detail.get("missing")
    known = isinstance(missing, int) and not isinstance(missing, bool) and 0 < missing <= MOST_TOLD
    return f"{missing if known else 'some'} {event_type if event_type in MARKET_TYPES else 'other'} events"


def _provider_named(name: object) -> str | None:
    """What a status calls a provider, if that can be shown to people."""
    return name if isinstance(name, str) and name.isprintable() and len(name) <= MOST_PROVIDER_CHARS else None


def _lose(state: SymbolState, event_type: str, reason: str) -> None:
    """Events of one type are missing before the next: what looks back at them restarts."""
    if event_type == "trade":
        state.lose_trades(reason)
    elif event_type == "quote":
        state.lose_quotes(reason)
    else:
        state.lose_books(reason)
