"""How far a symbol's numbers can be trusted."""

from typing import Final

from md_contract.signals import Trust
from md_contract.units import NS_PER_MS, NS_PER_S
from senpai.md_consumer.state import SymbolState

LEAST_SILENCE_NS: Final = 5 * NS_PER_S
SILENCE_IN_GAPS: Final = 10  # Poisson arrivals are silent for longer than this many mean gaps once in 22,000 gaps
_WEIGHT: Final = 0.2  # of what came since the last look, in the mean gap

# What may disturb a symbol, and whether something is then missing from its windows.
MISSING: Final[dict[str, bool]] = {
    "trade_gap": True,
    "quote_gap": True,
    "book_l2_gap": True,
    "new_epoch": True,
    "reconnect": True,
    "correction": True,
    "clock_jump": True,
    "clock_restart": True,
    "event_time_began": False,
    "source_switch": False,
}


class Cadence:
    """How often a symbol usually speaks, looked at about once a second, so that events themselves cost nothing."""

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
        """The silence beyond which the symbol is stale; `otherwise_ns` while its cadence is unknown."""
        if self._mean_gap_ns is None:
            return otherwise_ns
        return max(LEAST_SILENCE_NS, SILENCE_IN_GAPS * self._mean_gap_ns)


def assess(state: SymbolState, cadence: Cadence, mono_ns: int) -> Trust:
    """Trust in a symbol that has had at least one event."""
    now, span_ns = state.clock.now, state.trades.span_ns
    silence_ns = max(mono_ns - state.mono_ns, 0)
    disturbed = sorted(reason for reason, at in state.marks.items() if now - at < span_ns) if state.marks else []
    warm = state.history_ns >= span_ns
    stale = silence_ns > cadence.most_silence_ns(span_ns) or state.said_stale_ns > state.mono_ns
    return Trust(
        warm=warm,
        stale=stale,
        gap=any(MISSING.get(reason, True) for reason in disturbed),
        age_ms=silence_ns / NS_PER_MS,
        trades_60s=state.trades.window(state.span_ns).count,
        source=state.provider,
        reasons=([] if warm else ["warming_up"]) + (["stale"] if stale else []) + disturbed,
    )
