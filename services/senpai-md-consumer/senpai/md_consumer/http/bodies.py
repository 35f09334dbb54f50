"""What the endpoints answer. The descriptions are shown in /docs."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from md_contract.events import BookL2, Quote, Trade
from md_contract.signals import Signal

Readiness = Literal["ready", "not_ready"]
Standing = Annotated[
    Literal["valid", "expired", "cancelled"],
    Meta(description="valid: `ts` is before its `valid_until`; cancelled: its cause vanished before that"),
]


class Index(Struct):
    """What there is."""

    service: str
    version: str
    endpoints: dict[str, str]


class Nats(Struct):
    """The connection to NATS."""

    connected: bool
    url: str  # without its password
    last_error: str | None


class Health(Struct):
    """Whether the service does its work, and why not."""

    status: Readiness
    reasons: Annotated[list[str], Meta(description="why it is not ready; empty when it is")]
    nats: Nats
    symbols: Annotated[list[str], Meta(description="tracked: at least one event has come")]
    alerts: Annotated[list[str], Meta(description="what is firing now")]
    last_event_age_ms: Annotated[float | None, Meta(description="null before the first event")]
    uptime_s: float
    warming_up: Annotated[list[str], Meta(description="why its results may not be used yet, as /ready says it")] = []
    notices: Annotated[list[str], Meta(description="worth a look, and no reason not to be ready")] = []


class Ready(Struct):
    """Whether the service may be used now."""

    status: Readiness
    reasons: list[str]


class State(Struct):
    """The last trade, quote and book of a symbol, as received; null where none has come yet."""

    symbol: str
    trade: Trade | None
    quote: Quote | None
    book: BookL2 | None


class SignalNow(Struct):
    """The last signal of one rule and direction, and what it is worth now."""

    status: Standing
    signal: Signal


class Signals(Struct):
    """The last signals of a symbol, newest first."""

    symbol: str
    ts: Annotated[int | None, Meta(description="ns: the symbol's event time now, for `valid_until`")]
    signals: list[SignalNow]


class TrackedSymbol(Struct):
    """One symbol and how far its numbers can be trusted."""

    symbol: str
    provider: Annotated[str | None, Meta(description="where its events come from")]
    last_event_age_ms: float | None
    warm: bool
    stale: bool
    gap: bool
    reasons: list[str]


class Symbols(Struct):
    """Every tracked symbol, by name."""

    symbols: list[TrackedSymbol]


class Stats(Struct):
    """What every part has counted since the start; there may be more than is named here."""

    uptime_s: float
    events_per_second: float
    queue: dict[str, Any]
    ledger: Annotated[dict[str, dict[str, int]], Meta(description="by type; `difference` is 0, or there is a fault")]
    drops: dict[str, dict[str, int]]
    bad_input: dict[str, Any]
    bus: dict[str, Any]
    processing_latency_ms: dict[str, float | int | None]
    pipeline: dict[str, Any]
    publisher: dict[str, Any]
    signals: dict[str, Any]
    alerts: dict[str, Any]
    plugins: Annotated[list[dict[str, Any]], Meta(description="the user's own features and rules, and how they do")]
    nats: dict[str, Any]
    stream: dict[str, int]
    http: dict[str, int]


class Error(Struct):
    """What is wrong, and what to do next."""

    error: str
    hint: str
    symbols: Annotated[list[str], Meta(description="the tracked symbols, where one was not found")] | UnsetType = UNSET
    endpoints: Annotated[list[str], Meta(description="what there is, where a path was not found")] | UnsetType = UNSET
