"""Looks at one provider's feed a few times a second: what has come since the last look, and what follows from it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from app.liveness.active import Door
from app.liveness.calendar import expects_data
from app.liveness.detectors import Line
from app.liveness.health import Facts, Health, HealthLimits, Verdict
from app.liveness.heartbeat import HeartbeatMonitor
from app.liveness.silence import RECOVERY_SHARE, limits_of
from md_contract.events import Event, Trade
from md_contract.units import NS_PER_S


class LineView(Protocol):
    """What is to be seen of a connection."""

    @property
    def symbols(self) -> tuple[str, ...]: ...
    @property
    def state(self) -> str: ...  # "live": open and subscribed
    @property
    def opens(self) -> int: ...
    @property
    def last_end(self) -> str | None: ...  # how the last connection or attempt ended
    @property
    def next_attempt_ns(self) -> int | None: ...  # wall clock, while it waits for one
    @property
    def refused(self) -> Mapping[str, str]:
        """Symbols that the venue would not give, or not all of, and why."""

    @property
    def heard(self) -> Callable[[str], int | None] | None:
        """Tells when a symbol last gave the sign of life that the venue promises; None where nothing is promised."""

    @property
    def hang_up(self) -> Callable[[str], None] | None:
        """Ends the connection, for a reason, so that another one is made."""


class FeedView(Protocol):
    """What is to be seen of a feed."""

    @property
    def connections(self) -> Sequence[LineView]: ...
    @property
    def excluded(self) -> Mapping[str, str]: ...
    @property
    def quarantined(self) -> Mapping[str, int]: ...
    @property
    def frames(self) -> int: ...
    @property
    def reconnects(self) -> int: ...
    @property
    def paused(self) -> bool: ...


class LivenessOptions(Struct, frozen=True):
    """Settings, in seconds; a silence of None is the venue's own limit."""

    heartbeat_interval_s: float = 5.0
    heartbeat_silence_s: float | None = None
    failover_silence_s: float | None = None
    failover_lag_s: float = 5.0
    failover_min_dwell_s: float = 30.0
    failover_probation_s: float = 60.0


class ProviderWatch:
    """Everything that is known of the life of one provider."""

    def __init__(
        self, door: Door, symbols: Sequence[str], options: LivenessOptions, now: int, *, market: str, presumed: bool
    ) -> None:
        """Begin to watch.

        Args:
            door: through which its events come.
            symbols: all that it is asked for.
            options: see `LivenessOptions`.
            now: listening time.
            market: whose sessions the provider keeps; see `calendar`.
            presumed: it counts as healthy until the contrary shows.
        """
        self.door = door
        self._symbols = tuple(symbols)
        self._silence_s = options.failover_silence_s
        self._limits = limits_of(door.provider)
        self._market = market
        self._begun = now
        self._seen: list[list[Event | None]] = []  # by connection: the latest event of each type and symbol
        self._signs: list[dict[str, int | None]] = []  # by connection: the promised sign of each symbol
        transport_s = min(self._limits.transport_s, self._silence_s or self._limits.transport_s)
        limits = HealthLimits(
            transport_ns=int(transport_s * NS_PER_S),
            lag_ns=int(options.failover_lag_s * NS_PER_S),
            settle_ns=self._limits.data_ns(symbols, self._silence_s) // RECOVERY_SHARE,
        )
        self.health = Health(limits, now, presumed=presumed)
        self.monitor = HeartbeatMonitor(
            door.provider,
            symbols,
            self._limits,
            now,
            interval_s=options.heartbeat_interval_s,
            silence_s=options.heartbeat_silence_s,
        )

    @property
    def verdict(self) -> Verdict:
        return self.health.verdict

    def look(self, feed: FeedView, now: int, wall_ns: int, *, lag_counts: bool) -> list[Event]:
        """Take one look; return what has to be said. `lag_counts` is False while what comes was held up by us."""
        lines = []
        latencies_ns: list[int] = []
        for index, line in enumerate(feed.connections):
            fresh = self._fresh(index, line.symbols)
            latencies_ns += [event.ts_recv - event.ts_event for event in fresh if event.ts_event is not None]
            spoke = self._spoke(index, line)
            refused = {} if line.state == "subscribing" else line.refused  # known in full when all has been answered
            lines.append(
                Line(
                    line.symbols,
                    line.state == "live",
                    line.opens,
                    bool(fresh or spoke),
                    spoke,
                    frozenset(event.symbol for event in fresh),
                    refused,
                )
            )
        if lag_counts:
            self.health.lag.sample(latencies_ns, now)
        else:
            self.health.lag.forget()
        events = self.monitor.look(lines, now, wall_ns, expected=expects_data(self._market, wall_ns))
        if self._limits.reconnect:
            self._hang_up(feed)
        self.health.judge(self._facts(feed, lines, now, wall_ns), now)
        return events

    def _fresh(self, index: int, symbols: Sequence[str]) -> list[Event]:
        """The events on this connection that are new since the last look; what REST filled in did not come on it."""
        latest = [by_symbol.get(symbol) for by_symbol in self.door.latest.values() for symbol in symbols]
        if index == len(self._seen):
            self._seen.append([None] * len(latest))
        before, self._seen[index] = self._seen[index], latest
        if len(before) != len(latest):  # a symbol has been excluded meanwhile: the next look compares like with like
            return []
        changed = [new for new, old in zip(latest, before, strict=True) if new is not None and new is not old]
        return [event for event in changed if not (isinstance(event, Trade) and event.backfill)]

    def _spoke(self, index: int, line: LineView) -> frozenset[str] | None:
        """The symbols that have given the promised sign of life since the last look; None where none is promised."""
        if index == len(self._signs):
            self._signs.append({})
        if line.heard is None:
            return None
        before = self._signs[index]
        self._signs[index] = signs = {symbol: line.heard(symbol) for symbol in line.symbols}
        return frozenset(symbol for symbol, sign in signs.items() if sign is not None and sign != before.get(symbol))

    def _hang_up(self, feed: FeedView) -> None:
        for line, watch in zip(feed.connections, self.monitor.lines, strict=True):
            if watch.mute and line.hang_up is not None:
                line.hang_up(f"no market data for {watch.data.limit_ns / NS_PER_S:g} s")

    def _facts(self, feed: FeedView, lines: Sequence[Line], now: int, wall_ns: int) -> Facts:
        silences = [
            (now - watch.last_data, self._limits.data_ns(line.symbols, self._silence_s))
            for watch, line in zip(self.monitor.lines, lines, strict=True)
        ] or [(now - self._begun, self._limits.data_ns(self._symbols, self._silence_s))]
        silent_ns, limit_ns = max(silences, key=lambda silence: silence[0] - silence[1])
        put_off_ns, why = max(
            (
                (line.next_attempt_ns - wall_ns, line.last_end or "")
                for line in feed.connections
                if line.next_attempt_ns is not None and line.state != "live"  # a live one may wait for its successor
            ),
            default=(0, ""),
        )
        return Facts(
            heard=self.monitor.heard,
            silent_ns=silent_ns,
            silence_limit_ns=limit_ns,
            unconnected_ns=max((now - watch.last_live for watch in self.monitor.lines), default=0),
            put_off_ns=put_off_ns,
            last_end=why,
            connections=len(lines),
            frames=feed.frames,
            set_aside=sum(feed.quarantined.values()),
            reconnects=feed.reconnects,
        )
