"""The specification's heartbeat monitor: says of one provider whether it is alive.

`now` is listening time (`silence.ListeningClock`), ns; `wall_ns` only stamps events.
"""

from collections.abc import Iterator, Sequence

from app.liveness.detectors import Detector, Finding, Line, LineWatch
from app.liveness.refused import RefusalWatch
from app.liveness.silence import Change, Limits
from md_contract.events import Event, Heartbeat, HeartbeatStatus, Status
from md_contract.subjects import SYSTEM
from md_contract.units import NS_PER_MS, NS_PER_S


class HeartbeatMonitor:
    """All detectors of one provider, and its heartbeats."""

    def __init__(
        self,
        provider: str,
        symbols: Sequence[str],
        limits: Limits,
        now: int,
        *,
        interval_s: float,
        silence_s: float | None = None,
    ) -> None:
        """Begin to watch; what has never been heard counts as silent from `now` on.

        Args:
            provider: its name in every event.
            symbols: all that it is asked for.
            limits: of the venue.
            now: listening time.
            interval_s: between two heartbeats.
            silence_s: replaces the venue's limits for market data.
        """
        self.provider = provider
        self.lines: list[LineWatch] = []
        self.refusals = RefusalWatch(provider)
        self.heard = False  # there has been market data
        self._limits = limits
        self._silence_s = silence_s
        self._interval_ns = int(interval_s * NS_PER_S)
        self._last_data = now
        self._waiting_since = now
        self._silence_ns = limits.data_ns(symbols, silence_s)
        self._said: HeartbeatStatus | None = None
        self._said_at = now
        self._looked_at = now

    def look(self, lines: Sequence[Line], now: int, wall_ns: int, *, expected: bool = True) -> list[Event]:
        """Take one look at all connections; return what has to be said now. `expected`: the market is open."""
        self._looked_at = now
        if not expected:
            self._waiting_since = now
        findings: list[Finding] = []
        for index, line in enumerate(lines):
            if index == len(self.lines):
                data_ns = self._limits.data_ns(line.symbols, self._silence_s)
                self.lines.append(LineWatch(self._limits, data_ns, now))
            scope = (SYSTEM,) if len(lines) == 1 else line.symbols
            findings += self.lines[index].look(line, scope, now, expected=expected)
            if line.heard:
                self.heard = True
                self._last_data = self._waiting_since = now
        events: list[Event] = [status for one in findings for status in one.as_status(self.provider, wall_ns)]
        events += self.refusals.look(lines, wall_ns)
        events += self._heartbeat(now, wall_ns)
        return events

    def silent_ns(self, now: int) -> int:
        """How long no market data has come from this provider."""
        return now - self._last_data

    def silence(self) -> str | None:
        """In words: whether market data was missing altogether, or on a connection, at the last look."""
        now = self._looked_at
        if now - self._waiting_since > self._silence_ns:
            return f"no market data for {(now - self._waiting_since) / NS_PER_S:.0f} s"
        mute = sum(now - line.last_data > line.data.limit_ns for line in self.lines)
        return f"no market data on {mute} of {len(self.lines)} connections" if mute else None

    def stale_symbols(self) -> list[str]:
        """The symbols that have lost their voice, or are refused by the venue."""
        silent = [symbol for line in self.lines for symbol, silence in line.by_symbol.items() if silence.stale]
        return list(dict.fromkeys([*silent, *self.refusals.standing]))

    def stale(self, wall_ns: int) -> list[Status]:
        """What has been said of single symbols and still holds, for who did not hear it then."""
        findings = [
            Finding(Change.STALE, Detector.SYMBOL, (symbol,), silence.limit_ns, silence.silent_ns)
            for line in self.lines
            for symbol, silence in line.by_symbol.items()
            if silence.stale
        ]
        silent = [status for one in findings for status in one.as_status(self.provider, wall_ns)]
        return [*silent, *self.refusals.stale(wall_ns)]

    def _heartbeat(self, now: int, wall_ns: int) -> Iterator[Heartbeat]:
        silent_ns = self.silent_ns(now)
        silent = now - self._waiting_since > self._silence_ns
        if not silent and not self.heard:
            return
        status: HeartbeatStatus = "silent" if silent else "live"
        if status == self._said and now - self._said_at < self._interval_ns:
            return
        self._said, self._said_at = status, now
        yield Heartbeat(self.provider, SYSTEM, wall_ns, status, silent_ns // NS_PER_MS, synthetic=silent)
