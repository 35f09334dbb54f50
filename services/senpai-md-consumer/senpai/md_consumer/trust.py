"""How far a symbol's numbers can be trusted: as a whole, for its messages, and for a rule, by the inputs it reads."""

from collections.abc import Mapping
from typing import Final

from md_contract.signals import Trust
from md_contract.units import NS_PER_MS, NS_PER_S
from senpai.md_consumer.marks import BACKFILL, IMPLAUSIBLE, INPUTS, NEW_EPOCH, Input
from senpai.md_consumer.state import MarketEvent, SymbolState

LEAST_SILENCE_NS: Final = 5 * NS_PER_S
SILENCE_IN_GAPS: Final = 10  # Poisson arrivals are silent for longer than this many mean gaps once in 22,000 gaps
_WEIGHT: Final = 0.2  # of what came since the last look, in the mean gap

WARMING_UP: Final = "warming_up"
STALE: Final = "stale"

# What may disturb a symbol, and whether something is then missing from its windows, or wrong in them.
MISSING: Final[dict[str, bool]] = {
    "trade_gap": True,
    BACKFILL: True,
    "quote_gap": True,
    "book_l2_gap": True,
    NEW_EPOCH: True,
    "reconnect": True,
    "correction": True,
    "clock_jump": True,
    "clock_restart": True,
    "event_time_began": False,
    "source_switch": False,
    IMPLAUSIBLE: False,
}


class Cadence:
    """How often something usually comes, looked at about once a second, so that events themselves cost nothing."""

    __slots__ = ("_events", "_mean_gap_ns", "_mono_ns")

    def __init__(self) -> None:
        self._mean_gap_ns: float | None = None
        self._events = 0
        self._mono_ns = 0

    def look(self, events: int, mono_ns: int) -> None:
        """Take note that `events` have been seen in all, the last of them at `mono_ns`."""
        new = events - self._events
        if not new:
            return
        if self._events:
            gap = (mono_ns - self._mono_ns) / new
            mean = self._mean_gap_ns
            self._mean_gap_ns = gap if mean is None else mean + _WEIGHT * (gap - mean)
        self._events = events
        self._mono_ns = mono_ns

    def most_silence_ns(self, otherwise_ns: int) -> float:
        """The silence beyond which it is stale; `otherwise_ns` while the cadence is unknown."""
        if self._mean_gap_ns is None:
            return otherwise_ns
        return max(LEAST_SILENCE_NS, SILENCE_IN_GAPS * self._mean_gap_ns)


class Cadences:
    """Of a symbol as a whole (`delays`: every event counts) and of each of its inputs."""

    __slots__ = ("_by_input", "_events")

    def __init__(self) -> None:
        self._by_input: dict[Input, Cadence] = {source: Cadence() for source in INPUTS}
        self._events = 0

    def __getitem__(self, source: Input) -> Cadence:
        return self._by_input[source]

    def look(self, state: SymbolState) -> None:
        """Take note of what has come so far."""
        if state.events == self._events:
            return
        self._events = state.events
        by_input, latest, mono_ns = self._by_input, state.latest, state.mono_ns
        by_input["delays"].look(state.events, mono_ns)
        ahead_ns = mono_ns - _newest_ns(state)
        if latest.trade is not None:
            by_input["trades"].look(state.trades_seen, latest.trade.ts_recv + ahead_ns)
        if latest.quote is not None:
            by_input["quotes"].look(state.quotes_seen, latest.quote.ts_recv + ahead_ns)
        if latest.book is not None:
            by_input["books"].look(state.books_seen, latest.book.ts_recv + ahead_ns)


def assess(state: SymbolState, cadences: Cadences, mono_ns: int) -> Trust:
    """Trust in a symbol that has had at least one event."""
    now, span_ns = state.clock.now, state.trades.span_ns
    silence_ns = max(mono_ns - state.mono_ns, 0)
    disturbed = state.marks.since(now - span_ns) if state.marks else []
    if (_is_doubtful(state, "trades") or _is_doubtful(state, "quotes")) and IMPLAUSIBLE not in disturbed:
        disturbed.append(IMPLAUSIBLE)
    warm = state.history_ns >= span_ns
    stale = silence_ns > cadences["delays"].most_silence_ns(span_ns) or state.said_stale_ns > state.mono_ns
    return Trust(
        warm=warm,
        stale=stale,
        gap=any(MISSING.get(reason, True) for reason in disturbed),
        age_ms=silence_ns / NS_PER_MS,
        trades_60s=state.trades.window(state.span_ns).count,
        source=state.provider,
        reasons=([] if warm else [WARMING_UP]) + ([STALE] if stale else []) + disturbed,
    )


def doubts(state: SymbolState, cadences: Cadences, needs: Mapping[Input, int], mono_ns: int) -> list[str]:
    """Why a rule should not be believed now; empty when nothing speaks against it.

    `needs` is the longest window, in ns, that the rule reads of each input; 0 where it reads the latest state alone.
    """
    now, reasons = state.clock.now, []
    if any(_history_ns(state, source) < span_ns for source, span_ns in needs.items()):
        reasons.append(WARMING_UP)
    if state.said_stale_ns > state.mono_ns or any(_is_stale(state, cadences, source, mono_ns) for source in needs):
        reasons.append(STALE)
    if state.marks:
        reasons += state.marks.against(needs, now, state.seen)
    if IMPLAUSIBLE not in reasons and any(_is_doubtful(state, source) for source in needs):
        reasons.append(IMPLAUSIBLE)
    return reasons


def _history_ns(state: SymbolState, source: Input) -> int:
    """Event time for which windows over the input are known to hold everything."""
    return state.history_ns if source == "trades" else state.clock.now - state.began


def _is_stale(state: SymbolState, cadences: Cadences, source: Input, mono_ns: int) -> bool:
    """Whether the input has been silent for longer than it usually is."""
    own = _latest(state, source)
    behind_ns = 0 if own is None else _newest_ns(state) - own.ts_recv
    silence_ns = mono_ns - state.mono_ns + behind_ns
    return silence_ns > cadences[source].most_silence_ns(state.trades.span_ns)


def _newest_ns(state: SymbolState) -> int:
    """When the last event of any kind was received, by the clock of who received it."""
    newest_ns, latest = 0, state.latest
    for event in (latest.trade, latest.quote, latest.book):
        if event is not None and event.ts_recv > newest_ns:
            newest_ns = event.ts_recv
    return newest_ns


def _latest(state: SymbolState, source: Input) -> MarketEvent | None:
    if source == "trades":
        return state.latest.trade
    if source == "quotes":
        return state.latest.quote
    return state.latest.book if source == "books" else None


def _is_doubtful(state: SymbolState, source: Input) -> bool:
    """Whether the latest price of the input still waits to be confirmed."""
    if source == "trades":
        return state.prices.is_doubtful("trade", state.trades_seen)
    return source == "quotes" and state.prices.is_doubtful("quote", state.quotes_seen)
