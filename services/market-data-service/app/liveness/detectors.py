"""What exactly has fallen silent on one connection.

Three detectors are kept apart, because three different failures look alike:

    transport   no open, subscribed connection
    data        a connection is open, but no market data comes on it
    symbol      one symbol has lost its voice, where the venue promises that each speaks at a certain cadence

Each also fires when the first sign of life never comes. A finer detector is not asked while a coarser one explains the
silence, and while the market is closed no data is missed. `now` is listening time (`silence.ListeningClock`), ns.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum

from msgspec import Struct

from app.liveness.silence import Change, Limits, Silence
from md_contract.events import Status
from md_contract.units import NS_PER_MS, NS_PER_S


class Detector(StrEnum):
    TRANSPORT = "transport"
    DATA = "data"
    SYMBOL = "symbol"


class Line(Struct, frozen=True):
    """One connection of a provider, as it is now."""

    symbols: tuple[str, ...]
    live: bool  # open, and every subscription answered
    opens: int  # connections that have come about on it so far
    heard: bool  # market data has come since the last look
    spoke: frozenset[str] | None = None  # symbols that gave the promised sign of life since then; None: none promised
    fresh: frozenset[str] = frozenset()  # symbols of which market data has come since then
    refused: Mapping[str, str] = {}  # symbols that the venue would not give, and why


class Finding(Struct, frozen=True):
    """Something has fallen silent, or speaks again."""

    change: Change
    detector: Detector
    symbols: tuple[str, ...]  # those it is about; SYSTEM alone: all of the provider's
    limit_ns: int
    silent_ns: int  # so far, or how long the silence was that is over

    def as_status(self, provider: str, wall_ns: int) -> Iterator[Status]:
        detail = {
            "detector": self.detector.value,
            "threshold_ms": self.limit_ns // NS_PER_MS,
            "silent_for_ms": self.silent_ns // NS_PER_MS,
        }
        for symbol in self.symbols:
            yield Status(provider, symbol, wall_ns, self.change.value, detail)


class LineWatch:
    """The detectors of one connection."""

    def __init__(self, limits: Limits, data_ns: int, now: int) -> None:
        self.last_data = now  # or since when we have waited for it; reconnecting changes nothing about it
        self.last_live = now
        self.transport = Silence(int(limits.transport_s * NS_PER_S), now)
        self.data = Silence(data_ns, now)
        self.by_symbol: dict[str, Silence] = {}
        self._symbol_ns = None if limits.symbol_s is None else int(limits.symbol_s * NS_PER_S)
        self.mute = False  # this connection is no good: another one might be
        self._patient_since = now
        self._opens = 0
        self._heard_since_open = True

    def look(self, line: Line, scope: tuple[str, ...], now: int, *, expected: bool) -> Iterator[Finding]:
        """Take one look; `scope` is what the connection as a whole stands for, `expected` says the market is open."""
        opened = line.opens != self._opens  # then its symbols are given as much time as itself
        self._note(line, now, expected=expected)
        yield from _tell(self.transport, Detector.TRANSPORT, scope, now)
        if line.live:
            yield from _tell(self.data, Detector.DATA, scope, now)
        if self._symbol_ns is not None and line.spoke is not None:
            explained = opened or self.data.stale or not (expected and line.live)
            yield from self._look_at_symbols(line.symbols, line.spoke, self._symbol_ns, now, explained=explained)

    def _note(self, line: Line, now: int, *, expected: bool) -> None:
        if not expected:
            self.last_data = self._patient_since = now
            self.data.restart(now)
        if line.heard:
            self.last_data = self._patient_since = now
            self._heard_since_open = True
            self.data.heard(now)
        if line.live:
            self.last_live = now
            self.transport.heard(now)
        if line.opens != self._opens:
            self._opened(line, now)
        self.mute = line.live and now - self._patient_since > self.data.limit_ns
        if self.mute:
            self._patient_since = now

    def _opened(self, line: Line, now: int) -> None:
        """A new connection is given its time; one that follows a mute one has no more than what that one left."""
        self._opens = line.opens
        self._patient_since = now
        if self._heard_since_open:
            self.data.restart(now)
        self._heard_since_open = False

    def _look_at_symbols(
        self, symbols: Sequence[str], spoke: frozenset[str], limit_ns: int, now: int, *, explained: bool
    ) -> Iterator[Finding]:
        for symbol in self.by_symbol.keys() - symbols:  # no longer carried
            del self.by_symbol[symbol]
        for symbol in symbols:
            silence = self.by_symbol.get(symbol)
            if silence is None:
                silence = self.by_symbol[symbol] = Silence(limit_ns, now)
            if symbol in spoke:
                silence.heard(now)
            elif explained:
                silence.restart(now)
            yield from _tell(silence, Detector.SYMBOL, (symbol,), now)


def _tell(silence: Silence, detector: Detector, symbols: tuple[str, ...], now: int) -> Iterator[Finding]:
    change = silence.look(now)
    if change is not None:
        yield Finding(change, detector, symbols, silence.limit_ns, silence.silent_ns)
