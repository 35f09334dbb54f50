"""What Bybit sends, field by field, and the limits that every value is held to."""

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Raw, Struct, field

from app.providers.decimals import Decimals
from md_contract.events import Level, Side
from md_contract.units import NS_PER_MS, NS_PER_S

EARLIEST_NS: Final = 1_230_768_000 * NS_PER_S  # 2009-01-01
DAY_NS: Final = 86_400 * NS_PER_S
MAX_ID: Final = 2**63 - 1

TradeId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]

AGGRESSOR: Final[dict[str, Side]] = {"Buy": "buy", "Sell": "sell"}  # `S` is the taker's side

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class BadFieldError(ValueError):
    """A field holds what it must not; `reason` is one of the quarantine's."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class TradeData(Struct, gc=False):
    T: int  # match time, ms
    s: str
    v: str
    p: str
    i: TradeId
    S: str = ""


class BookData(Struct, gc=False):
    s: str
    b: list[Level]
    a: list[Level]
    u: int


class TradesFrame(Struct, gc=False):
    """`publicTrade`: trades in match order. Its `type` is always "snapshot" and means nothing."""

    data: list[TradeData]


class BookFrame(Struct, gc=False):
    """`orderbook`, any depth."""

    data: BookData
    ts: int  # ms, when the venue sent it
    type: Literal["snapshot", "delta"]
    cts: int | None = None  # ms, when the matching engine made it

    def ts_event(self, ts_recv: int) -> int:
        """The best known time of the event in ns; raises `BadFieldError` when it cannot be right."""
        ts_event = (self.ts if self.cts is None else self.cts) * NS_PER_MS
        if not EARLIEST_NS <= ts_event <= ts_recv + DAY_NS:
            raise BadFieldError("time")
        return ts_event


class Answer(Struct):
    """The answer to a request. Spot says `"ret_msg":"subscribe"`, linear nothing, and either may leave out `req_id`."""

    success: bool | None = None
    ret_msg: str = ""
    req_id: str | int = ""
    op: str = ""

    def is_pong(self) -> bool:
        return self.op == "pong" or (self.op == "ping" and self.ret_msg == "pong")


class PastTrade(Struct, gc=False):
    """One row of `recent-trade`, where every number is text."""

    execId: TradeId  # noqa: N815 - the venue's name
    symbol: str
    price: str
    size: str
    time: int  # match time, ms
    side: str = ""
    seq: int = 0


class _Rows(Struct):
    rows: list[Raw] = field(default_factory=list, name="list")


class Reply(Struct):
    """The body of any REST answer that is a list."""

    retCode: int  # noqa: N815 - the venue's name
    result: _Rows


class _Instrument(Struct, gc=False):
    symbol: str


class _Instruments(Struct):
    instruments: list[_Instrument] = field(name="list")
    nextPageCursor: str | None = None  # noqa: N815 - the venue's name


class Listing(Struct):
    retCode: int  # noqa: N815 - the venue's name
    result: _Instruments


class _LooseTrades(Struct):
    data: list[Raw]


# Not strict: an integer may also come as a string of digits, which the venue's own documentation shows for `ts`.
read_fields: Final = msgspec.json.Decoder(dict[str, Raw]).decode
read_text: Final = msgspec.json.Decoder(str).decode
read_answer: Final = msgspec.json.Decoder(Answer, strict=False).decode
read_trade: Final = msgspec.json.Decoder(TradeData, strict=False).decode
read_loose_trades: Final = msgspec.json.Decoder(_LooseTrades).decode
read_past_trade: Final = msgspec.json.Decoder(PastTrade, strict=False).decode
read_reply: Final = msgspec.json.Decoder(Reply, strict=False).decode
read_listing: Final = msgspec.json.Decoder(Listing, strict=False).decode


def trade_fault(decimals: Decimals, price: str, size: str, ts_event: int, ts_recv: int) -> str:
    """Say which field of an unusable trade, whose symbol is right, is at fault."""
    if not decimals[price] > 0.0:
        return "price"
    if not decimals[size] >= 0.0:
        return "size"
    return "trade_id" if EARLIEST_NS <= ts_event <= ts_recv + DAY_NS else "time"
