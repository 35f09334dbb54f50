"""What the endpoints show, as plain objects; no HTTP in here."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from md_contract.signals import FeatureVector, Signal
from md_contract.subjects import BadTokenError, escape
from md_contract.units import NS_PER_MS, NS_PER_S
from nats_link import Link
from senpai.md_consumer.http.bodies import (
    Health,
    Nats,
    Ready,
    SignalNow,
    Signals,
    Standing,
    State,
    Symbols,
    TrackedSymbol,
)
from senpai.md_consumer.http.errors import BadQueryError, UnknownSymbolError
from senpai.md_consumer.pipeline import Pipeline
from senpai.md_consumer.plugins.loaded import Plugins
from senpai.md_consumer.publisher import Publisher
from senpai.md_consumer.queue import EventQueue
from senpai.md_consumer.stream import KINDS, Hub, Wish
from senpai.md_consumer.subscriber import Subscriber
from service_http import Gate

EVERYTHING: Final = ("", "*", "all")
SYMBOLS_PER_TURN: Final = 128  # of the event loop: about two milliseconds


def _none() -> list[str]:
    return []


def _core_mode() -> dict[str, Any]:
    return {"phase": "off"}


@dataclass(slots=True)
class Views:
    """Reads the parts of the service for people; `nats_url` must be fit to be shown."""

    queue: EventQueue
    subscriber: Subscriber
    publisher: Publisher
    pipeline: Pipeline
    link: Link
    hub: Hub
    gate: Gate
    firing: Callable[[], list[str]]
    nats_url: str
    mono_ns: Callable[[], int]
    not_ready: Callable[[], list[str]] = _none  # further reasons not to use the service yet, as a warm-up that goes on
    jetstream: Callable[[], dict[str, Any]] = _core_mode  # what the reader of the stream has counted
    plugins: Plugins = field(default_factory=Plugins)
    stopping: bool = False
    started_ns: int = field(init=False)

    def __post_init__(self) -> None:
        self.started_ns = self.mono_ns()

    def reasons(self) -> list[str]:
        """Why the service does not do its work; empty when it does."""
        reasons = []
        if self.stopping:
            reasons.append("the service is stopping")
        if not self.link.connected:
            reasons.append(f"no connection to NATS at {self.nats_url}: start it, or set NATS_URL; retrying by itself")
        return reasons

    def health(self) -> Health:
        reasons = self.reasons()
        last_ns = self.subscriber.last_received_ns
        return Health(
            status="not_ready" if reasons else "ready",
            reasons=reasons,
            nats=Nats(connected=self.link.connected, url=self.nats_url, last_error=self.link.last_error),
            symbols=sorted(self.pipeline.symbols),
            alerts=self.firing(),
            warming_up=self.not_ready(),
            last_event_age_ms=None if last_ns is None else (self.mono_ns() - last_ns) / NS_PER_MS,
            uptime_s=self.uptime_s,
            notices=self.plugins.notices(),
        )

    def ready(self) -> Ready:
        reasons = self.reasons() + self.not_ready()
        return Ready("not_ready" if reasons else "ready", reasons)

    async def symbols(self) -> Symbols:
        """Every tracked symbol, by name; with thousands of them the loop goes on in between."""
        mono_ns, rows = self.mono_ns(), list[TrackedSymbol]()
        for number, name in enumerate(sorted(self.pipeline.symbols), start=1):
            if number % SYMBOLS_PER_TURN == 0:
                await asyncio.sleep(0)
            if (trust := self.pipeline.trust(name, mono_ns)) is not None:
                age_ms, source = trust.age_ms, trust.source
                rows.append(TrackedSymbol(name, source, age_ms, trust.warm, trust.stale, trust.gap, trust.reasons))
        return Symbols(rows)

    def state(self, symbol: str) -> State:
        """The last trade, quote and book. Raises `UnknownSymbolError`."""
        name = self._tracked(symbol)
        latest = self.pipeline.latest(name)
        if latest is None:
            raise UnknownSymbolError(symbol, sorted(self.pipeline.symbols))
        return State(name, latest.trade, latest.quote, latest.book)

    def features(self, symbol: str) -> FeatureVector:
        """The feature message as of now. Raises `UnknownSymbolError`."""
        vector = self.publisher.features_now(self._tracked(symbol))
        if vector is None:
            raise UnknownSymbolError(symbol, sorted(self.pipeline.symbols))
        return vector

    def signals(self, symbol: str) -> Signals:
        """The last signal of each rule and direction, newest first. Raises `UnknownSymbolError`."""
        now = self.features(symbol)
        made = self.pipeline.last_signals(now.symbol)
        return Signals(now.symbol, now.ts, [SignalNow(_standing(signal, now.ts), signal) for signal in made])

    def wish(self, symbols: str, kinds: str) -> tuple[Wish, list[str]]:
        """What `symbols=` and `types=` ask for, and which of the symbols are not known yet. Raises `BadQueryError`."""
        wanted = frozenset(kind.strip().lower() for kind in kinds.split(",") if kind.strip()) or frozenset(KINDS)
        if strange := sorted(wanted.difference(KINDS)):
            raise BadQueryError("types", strange[0], f"take one or more of {', '.join(KINDS)}, with commas between")
        if symbols.strip().lower() in EVERYTHING:
            return Wish(wanted, None), []
        named = list(dict.fromkeys(name.strip() for name in symbols.split(",") if name.strip()))
        if not named:
            raise BadQueryError("symbols", symbols, "try symbols=BTCUSDT,ETHUSDT, or leave it out: all")
        for name in named:
            _check(name)
        found = self._find_each(named)
        names = frozenset(known or name.upper() for name, known in found.items())
        return Wish(wanted, names), sorted(name.upper() for name, known in found.items() if known is None)

    def _tracked(self, symbol: str) -> str:
        """The tracked symbol that is meant, whatever its case. Raises `UnknownSymbolError`."""
        wanted = symbol.strip()
        found = self._find_each([wanted])[wanted]
        if found is None:
            raise UnknownSymbolError(wanted, sorted(self.pipeline.symbols))
        return found

    def _find_each(self, wanted: list[str]) -> dict[str, str | None]:
        """The tracked symbol that each of these means: as it is written, in capitals, or else in any case.

        All tracked symbols are gone through once at most, however many are asked for.
        """
        symbols = self.pipeline.symbols
        found = {one: next((name for name in (one, one.upper()) if name in symbols), None) for one in wanted}
        if None in found.values():
            by_capitals = {name.upper(): name for name in reversed(list(symbols))}  # the first of several
            found = {one: name or by_capitals.get(one.upper()) for one, name in found.items()}
        return found

    @property
    def uptime_s(self) -> float:
        """Since the service was put together."""
        return round((self.mono_ns() - self.started_ns) / NS_PER_S, 3)


def _check(symbol: str) -> None:
    try:
        escape(symbol.upper())
    except BadTokenError as error:
        raise BadQueryError("symbols", symbol, f"{error}; try symbols=BTCUSDT,ETHUSDT") from None


def _standing(signal: Signal, now: int | None) -> Standing:
    if signal.state == "cancel":
        return "cancelled"
    return "expired" if now is not None and now >= signal.valid_until else "valid"
