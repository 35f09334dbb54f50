"""Market data events: what market-data-service publishes on `md.events.{type}.{symbol}`.

Every event carries two clocks. `ts_event` is the venue's own time and is null where the venue gives none; `ts_recv` is
when our socket read the frame. Neither ever stands in for the other.

`seq` and `epoch` belong to the way over the bus, not to the market: the publishing sink writes them when it hands the
message to NATS. Within one `epoch` (one producer run) `seq` grows by one per message and subject, so a reader that sees
a hole knows exactly how much was lost.

Prices and sizes are the venue's own decimal text, exact to the last digit.
"""

from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

VERSION: Final = 1

Side: TypeAlias = Literal["buy", "sell"]
Level: TypeAlias = tuple[str, str]
HeartbeatStatus: TypeAlias = Literal["live", "silent"]

STATUS_KINDS: Final = ("gap", "backfill", "stale", "recovered", "reconnect", "source_switch", "drop", "correction")


class Trade(Struct, tag_field="type", tag="trade", gc=False):
    """One public execution."""

    provider: str
    symbol: str
    ts_recv: int  # ns
    price: str
    size: str  # base units
    trade_id: str
    side: Side | None = None  # the aggressor's side
    ts_event: int | None = None  # ns
    seq: int = 0
    epoch: int = 0
    v: int = VERSION
    backfill: bool = False  # fetched by REST because the stream had missed it; younger trades went before it


class Quote(Struct, tag_field="type", tag="quote", gc=False):
    """Best bid and offer."""

    provider: str
    symbol: str
    ts_recv: int
    bid: str
    bid_size: str
    ask: str
    ask_size: str
    ts_event: int | None = None
    seq: int = 0
    epoch: int = 0
    v: int = VERSION


class BookL2(Struct, tag_field="type", tag="book_l2", gc=False):
    """The top levels of a synchronised book, best first: always a snapshot, never a change."""

    provider: str
    symbol: str
    ts_recv: int
    bids: list[Level]  # [[price, size], ...]
    asks: list[Level]
    ts_event: int | None = None
    seq: int = 0
    epoch: int = 0
    v: int = VERSION


class Heartbeat(Struct, tag_field="type", tag="heartbeat", gc=False):
    """A sign of life of one provider, on `md.events.heartbeat.__system__`. It does not make data fresh."""

    provider: str
    symbol: str
    ts_recv: int
    status: HeartbeatStatus
    silent_for_ms: int
    synthetic: bool  # true: made by us because the provider said nothing
    ts_event: int | None = None
    seq: int = 0
    epoch: int = 0
    v: int = VERSION


class Status(Struct, tag_field="type", tag="status", gc=False):
    """Something a reader must know about the data itself; `kind` is one of STATUS_KINDS, or a newer one."""

    provider: str
    symbol: str
    ts_recv: int
    kind: str
    detail: dict[str, Any]
    ts_event: int | None = None
    seq: int = 0
    epoch: int = 0
    v: int = VERSION


Event: TypeAlias = Trade | Quote | BookL2 | Heartbeat | Status

EVENT_TYPES: Final[dict[str, type[Event]]] = {
    "trade": Trade,
    "quote": Quote,
    "book_l2": BookL2,
    "heartbeat": Heartbeat,
    "status": Status,
}
TYPE_OF: Final[dict[type[Event], str]] = {cls: name for name, cls in EVENT_TYPES.items()}
