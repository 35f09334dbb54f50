"""What Binance sends, field by field; the letters are Binance's."""

from typing import Final

import msgspec
from msgspec import Struct

from md_contract.events import Level


class TradeData(Struct, gc=False):
    s: str
    t: int
    p: str
    q: str
    T: int  # match time, ms
    m: bool  # the buyer was the maker, so the seller was the aggressor


class QuoteData(Struct, gc=False):
    u: int
    s: str
    b: str
    B: str
    a: str
    A: str


class DepthData(Struct, gc=False):
    E: int  # ms
    s: str
    U: int
    u: int
    b: list[Level]
    a: list[Level]


class SnapshotBody(Struct, gc=False):
    lastUpdateId: int  # noqa: N815 - the venue's name
    bids: list[Level]
    asks: list[Level]


class PastTrade(Struct, gc=False):
    """A row of historicalTrades."""

    id: int
    price: str
    qty: str
    time: int  # ms
    isBuyerMaker: bool  # noqa: N815 - the venue's name


class Aggregate(Struct, gc=False):
    """A row of aggTrades: the trades `f` to `l` of one order at one price, as a sum."""

    a: int
    p: str
    q: str
    f: int
    l: int  # noqa: E741 - the venue's name
    T: int  # ms
    m: bool


class Instrument(Struct, gc=False):
    symbol: str
    status: str = "TRADING"


class Listing(Struct):
    symbols: list[Instrument]


class Refusal(Struct):
    code: int | None = None
    msg: str = ""


class Answer(Struct):
    """Both shapes of an error: `{"code":2,"msg":"...","id":1}` and `{"error":{"code":2,"msg":"..."},"id":1}`."""

    id: int | str | None = None
    code: int | None = None
    msg: str = ""
    error: Refusal | None = None

    def failure(self) -> str | None:
        if self.error is not None:
            return f"code {self.error.code}: {self.error.msg}"
        return f"code {self.code}: {self.msg}" if self.code is not None else None


read_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
read_answer: Final = msgspec.json.Decoder(Answer).decode
read_text: Final = msgspec.json.Decoder(str).decode
read_snapshot: Final = msgspec.json.Decoder(SnapshotBody).decode
read_listing: Final = msgspec.json.Decoder(Listing).decode
read_history: Final = msgspec.json.Decoder(list[PastTrade]).decode
read_aggregates: Final = msgspec.json.Decoder(list[Aggregate]).decode
