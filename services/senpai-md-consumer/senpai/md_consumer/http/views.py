"""What the endpoints show, as plain objects; no HTTP in here."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from md_contract.signals import FeatureVector
from md_contract.units import NS_PER_MS, NS_PER_S
from nats_link import Link
from senpai.md_consumer.http.errors import UnknownSymbolError
from senpai.md_consumer.pipeline import Pipeline
from senpai.md_consumer.publisher import Publisher
from senpai.md_consumer.queue import EventQueue
from senpai.md_consumer.subscriber import Subscriber


@dataclass(slots=True)
class Views:
    """Reads the parts of the service for people; `nats_url` must be fit to be shown."""

    queue: EventQueue
    subscriber: Subscriber
    publisher: Publisher
    pipeline: Pipeline
    link: Link
    firing: Callable[[], list[str]]
    nats_url: str
    mono_ns: Callable[[], int]
    stopping: bool = False
    started_ns: int = field(init=False)

    def __post_init__(self) -> None:
        self.started_ns = self.mono_ns()

    def reasons(self) -> list[str]:
        """Why the service is not ready; empty when it is."""
        reasons = []
        if self.stopping:
            reasons.append("the service is stopping")
        if not self.link.connected:
            reasons.append(f"no connection to NATS at {self.nats_url}: start it, or set NATS_URL; retrying by itself")
        return reasons

    def health(self) -> dict[str, Any]:
        """The body of /health."""
        reasons = self.reasons()
        last_ns = self.subscriber.last_received_ns
        return {
            "status": "ready" if not reasons else "not_ready",
            "reasons": reasons,
            "nats": {"connected": self.link.connected, "url": self.nats_url, "last_error": self.link.last_error},
            "symbols": sorted(self.pipeline.symbols),
            "alerts": self.firing(),
            "last_event_age_ms": None if last_ns is None else (self.mono_ns() - last_ns) / NS_PER_MS,
            "uptime_s": self.uptime_s,
        }

    def state(self, symbol: str) -> dict[str, Any]:
        """The last trade, quote and book. Raises `UnknownSymbolError`."""
        name = self._tracked(symbol)
        latest = self.pipeline.latest(name)
        if latest is None:
            raise UnknownSymbolError(symbol, sorted(self.pipeline.symbols))
        return {"symbol": name, "trade": latest.trade, "quote": latest.quote, "book": latest.book}

    def features(self, symbol: str) -> FeatureVector:
        """The feature message as of now. Raises `UnknownSymbolError`."""
        vector = self.publisher.features_now(self._tracked(symbol))
        if vector is None:
            raise UnknownSymbolError(symbol, sorted(self.pipeline.symbols))
        return vector

    def _tracked(self, symbol: str) -> str:
        """The tracked symbol that is meant, whatever its case. Raises `UnknownSymbolError`."""
        symbols = self.pipeline.symbols
        wanted = symbol.strip()
        for name in (wanted, wanted.upper()):
            if name in symbols:
                return name
        for name in symbols:
            if name.upper() == wanted.upper():
                return name
        raise UnknownSymbolError(wanted, sorted(symbols))

    @property
    def uptime_s(self) -> float:
        """Since the service was put together."""
        return round((self.mono_ns() - self.started_ns) / NS_PER_S, 3)
