"""Events in, features and signals out: the pure heart of the service, one object for all symbols.

Synchronous and without a clock of its own: every time is an argument, so the same input gives the same output live and
offline. `mono_ns` is a monotonic clock's reading, `wall_ns` UTC; both in nanoseconds.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from md_contract.events import STATUS_KINDS, BookL2, Event, Quote, Status, Trade
from md_contract.signals import FeatureVector, Signal
from md_contract.subjects import SYSTEM
from md_contract.units import NS_PER_S
from senpai.md_consumer.features import ROLLING_S, FeatureSet
from senpai.md_consumer.rules import RULES, Finding, RuleOptions
from senpai.md_consumer.state import Counters, LatestState, SymbolState
from senpai.md_consumer.trust import Cadence, assess

__all__ = ["Counters", "LatestState", "Pipeline", "PipelineOptions"]

MARKET_TYPES: Final = ("trade", "quote", "book_l2")
QUIET_NS: Final = NS_PER_S  # a symbol's clock goes on by itself after this long without an event


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """Settings of the heart.

    Raises:
        ValueError: `window_s` is not above 0 and at most 60.
    """

    window_s: float = ROLLING_S  # length of the "60 s" windows
    return_threshold: float = 0.003  # fraction: 0.003 is 0.3 %
    volume_threshold: float = 1.0  # base units
    spread_threshold_bps: float = 20.0
    rearm_fraction: float = 0.5  # an episode is over when the return is back within this part of its threshold
    signal_valid_s: float = 10.0
    max_symbols: int = 4096

    def __post_init__(self) -> None:
        if not 0 < self.window_s <= ROLLING_S:
            raise ValueError(f"window_s: expected more than 0 and at most {ROLLING_S}, found {self.window_s!r}")


class _Tracked:
    """Everything that belongs to one symbol."""

    __slots__ = ("advanced_ns", "cadence", "features", "flags", "rules", "state")

    def __init__(self, symbol: str, counters: Counters, options: PipelineOptions) -> None:
        self.state = SymbolState(symbol, round(options.window_s * NS_PER_S), counters)
        self.features = FeatureSet(self.state)
        thresholds = RuleOptions(
            return_threshold=options.return_threshold,
            volume_threshold=options.volume_threshold,
            spread_threshold_bps=options.spread_threshold_bps,
            rearm_fraction=options.rearm_fraction,
        )
        self.rules = [(name, rule(self.features.readers, thresholds).evaluate) for name, rule in RULES.items()]
        self.cadence = Cadence()
        self.advanced_ns = 0  # monotonic time up to which the clock was moved without an event
        self.flags = (False, False, False)  # of trust, as of the last look at the time

    def on_time(self, mono_ns: int) -> bool:
        """Go on with the time of a quiet symbol; return whether its message changed by that."""
        state = self.state
        self.cadence.look(state.events, state.mono_ns)
        changed = mono_ns - state.mono_ns >= QUIET_NS and self._go_on(mono_ns)
        trust = assess(state, self.cadence, mono_ns)
        before, self.flags = self.flags, (trust.warm, trust.stale, trust.gap)
        return changed or before != self.flags

    def _go_on(self, mono_ns: int) -> bool:
        """Move the clock by the time that went by; return whether anything left a window."""
        state = self.state
        windows = [*state.trades.windows.values(), *state.delays.windows.values()]
        before = [window.advance() for window in windows]
        state.clock.now += max(mono_ns - max(state.mono_ns, self.advanced_ns), 0)
        self.advanced_ns = mono_ns
        return before != [window.advance() for window in windows]


class Pipeline:
    """State, features and rules of every symbol."""

    def __init__(self, options: PipelineOptions) -> None:
        self.counters = Counters()
        self._options = options
        self._valid_ns = round(options.signal_valid_s * NS_PER_S)
        self._tracked: dict[str, _Tracked] = {}

    @property
    def symbols(self) -> Collection[str]:
        """The tracked symbols, in no order."""
        return self._tracked.keys()

    def on_event(self, event: Event, mono_ns: int) -> list[Signal] | tuple[()]:
        """Apply one event; return the signals that fire now (normally none)."""
        tracked = self._tracked.get(event.symbol)
        if tracked is None:
            self._on_untracked(event, mono_ns)
            return ()
        if type(event) is Trade:
            applied = tracked.state.on_trade(event, mono_ns)
        elif type(event) is Quote:
            applied = tracked.state.on_quote(event, mono_ns)
        elif type(event) is BookL2:
            applied = tracked.state.on_book(event, mono_ns)
        else:
            self._on_notice(event, mono_ns)
            return ()
        if not applied:
            return ()
        signals: list[Signal] | tuple[()] = ()
        for name, evaluate in tracked.rules:
            finding = evaluate()
            if finding is not None:
                signals = [*signals, self._signal(tracked, name, finding, mono_ns)]
        return signals

    def on_bus_gap(self, event_type: str, symbol: str, missing: int, mono_ns: int) -> None:  # noqa: ARG002  # the seam
        """Take note that the bus lost `missing` events before the next one (-1: nobody knows how many)."""
        tracked = self._tracked.get(symbol)
        if tracked is not None:
            _lose(tracked.state, event_type, "new_epoch" if missing < 0 else f"{event_type}_gap")

    def on_time(self, mono_ns: int) -> list[str]:
        """Advance quiet symbols; return those whose message changed by that. Called about once a second."""
        return [symbol for symbol, tracked in self._tracked.items() if tracked.on_time(mono_ns)]

    def features(self, symbol: str, mono_ns: int, wall_ns: int) -> FeatureVector | None:
        """The symbol's feature message, `seq` and `epoch` unfilled; None for an unknown symbol."""
        tracked = self._tracked.get(symbol)
        if tracked is None:
            return None
        state = tracked.state
        trust = assess(state, tracked.cadence, mono_ns)
        return FeatureVector(symbol, state.provider, state.clock.now, wall_ns, tracked.features.values(), trust)

    def latest(self, symbol: str) -> LatestState | None:
        """The last trade, quote and book of the symbol; None for an unknown symbol."""
        tracked = self._tracked.get(symbol)
        return None if tracked is None else tracked.state.latest

    def _on_untracked(self, event: Event, mono_ns: int) -> None:
        """Track a new symbol from its first usable event on."""
        if not isinstance(event, (Trade, Quote, BookL2)):
            self._on_notice(event, mono_ns)
        elif event.symbol == SYSTEM or len(self._tracked) >= self._options.max_symbols:
            self.counters.refused += 1
        else:
            tracked = _Tracked(event.symbol, self.counters, self._options)
            self._tracked[event.symbol] = tracked
            self.on_event(event, mono_ns)
            if not tracked.state.events:
                del self._tracked[event.symbol]

    def _on_notice(self, event: Event, mono_ns: int) -> None:
        """Apply what the producer says about the data itself; a heartbeat says nothing about any symbol's data."""
        if not isinstance(event, Status):
            return
        kind = event.kind if event.kind in STATUS_KINDS else "other"
        self.counters.statuses[kind] = self.counters.statuses.get(kind, 0) + 1
        for tracked in self._meant(event):
            _note(tracked.state, event, mono_ns)

    def _meant(self, event: Status) -> list[_Tracked]:
        """The symbols a status is about: all of its provider when it is not about one."""
        if event.symbol == SYSTEM:
            return [tracked for tracked in self._tracked.values() if tracked.state.provider == event.provider]
        tracked = self._tracked.get(event.symbol)
        return [] if tracked is None else [tracked]

    def _signal(self, tracked: _Tracked, rule: str, finding: Finding, mono_ns: int) -> Signal:
        state = tracked.state
        ts = state.clock.now
        return Signal(
            id=f"{state.symbol}-{rule}-{finding.direction}-{ts}",
            state="new",
            symbol=state.symbol,
            provider=state.provider,
            direction=finding.direction,
            rule=rule,
            ts=ts,
            valid_until=ts + self._valid_ns,
            reason=finding.reason,
            features=tracked.features.values(),
            trust=assess(state, tracked.cadence, mono_ns),
        )


def _note(state: SymbolState, status: Status, mono_ns: int) -> None:
    """Apply a status event to one symbol. A switch of source shows in the events themselves."""
    if status.kind in ("gap", "drop"):
        event_type = status.detail.get("type", "trade")
        if event_type in MARKET_TYPES:
            _lose(state, event_type, f"{event_type}_gap")
    elif status.kind in ("reconnect", "correction", "source_switch"):
        state.mark(status.kind)
    elif status.kind == "stale":
        state.said_stale_ns = mono_ns
    elif status.kind == "recovered":
        state.said_stale_ns = -1


def _lose(state: SymbolState, event_type: str, reason: str) -> None:
    """Events of one type are missing before the next: trade windows restart, what has no history just goes on."""
    if event_type == "trade":
        state.lose_trades(reason)
    else:
        state.mark(reason)
