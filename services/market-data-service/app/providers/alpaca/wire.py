"""What Alpaca sends, message by message. The letters are the venue's, and mean another thing in each type.

Fields of type `Any` hold numbers: an int as it stands, any other as the `Number` that the decoder's hook made of its
text. What else stands there is found out by whoever reads the field.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, TypeAlias, get_args

import msgspec
from msgspec import Meta, Raw, Struct, field

from app.providers.alpaca.decimals import Number

Code: TypeAlias = Annotated[str, Meta(min_length=1, max_length=8)]


class ShareTrade(Struct, tag_field="T", tag="t", gc=False):
    S: str
    i: int
    x: Code  # the exchange
    p: Any
    s: Any
    t: str


class Correction(Struct, tag_field="T", tag="c", gc=False):
    """Trade `oi` is to be replaced by `ci`."""

    S: str
    x: Code
    oi: int
    op: Any
    os: Any
    ci: int
    cp: Any
    cs: Any
    t: str


class Cancel(Struct, tag_field="T", tag="x", gc=False):
    """Trade `i` is to be taken back."""

    S: str
    x: Code
    i: int
    p: Any
    s: Any
    t: str
    a: str = "C"  # C: cancelled, E: was an error


class CoinTrade(Struct, tag_field="T", tag="t", gc=False):
    S: str
    i: int
    p: Any
    s: Any
    t: str
    tks: str = ""  # the taker's side


class QuoteData(Struct, tag_field="T", tag="q", gc=False):
    S: str
    bp: Any
    bs: Any
    ap: Any
    as_: Any = field(name="as")
    t: str


class LevelData(Struct, gc=False):
    p: Any
    s: Any


class BookData(Struct, tag_field="T", tag="o", gc=False):
    """Order book levels: all there are if `r`, else those that have changed."""

    S: str
    t: str
    b: list[LevelData] = field(default_factory=list)
    a: list[LevelData] = field(default_factory=list)
    r: bool = False


class Success(Struct, tag_field="T", tag="success"):
    msg: str = ""


class Failure(Struct, tag_field="T", tag="error"):
    code: int = 0
    msg: str = ""


class Listing(Struct, tag_field="T", tag="subscription"):
    """All that is subscribed now. A channel without a symbol may be left out, or null."""

    trades: list[str] | None = None
    quotes: list[str] | None = None
    orderbooks: list[str] | None = None

    def topics(self) -> set[tuple[str, str]]:
        channels = {"trades": self.trades, "quotes": self.quotes, "orderbooks": self.orderbooks}
        return {(channel, symbol) for channel, symbols in channels.items() for symbol in symbols or ()}


class _Bar(Struct, tag_field="T", tag="b", gc=False): ...


class _UpdatedBar(Struct, tag_field="T", tag="u", gc=False): ...


class _DailyBar(Struct, tag_field="T", tag="d", gc=False): ...


class _TradingStatus(Struct, tag_field="T", tag="s", gc=False): ...


class _PriceBand(Struct, tag_field="T", tag="l", gc=False): ...


class _Imbalance(Struct, tag_field="T", tag="i", gc=False): ...


class Head(Struct):
    """As much of a message as tells what it would have been, and of whom."""

    T: str = ""
    S: str | None = None


IGNORED: Final = (_Bar, _UpdatedBar, _DailyBar, _TradingStatus, _PriceBand, _Imbalance)

_Control: TypeAlias = Success | Failure | Listing
_Ignored: TypeAlias = _Bar | _UpdatedBar | _DailyBar | _TradingStatus | _PriceBand | _Imbalance
_Shares: TypeAlias = ShareTrade | QuoteData | Correction | Cancel | _Control | _Ignored
_Coins: TypeAlias = CoinTrade | QuoteData | BookData | _Control | _Ignored

read_parts: Final = msgspec.json.Decoder(list[Raw]).decode
read_head: Final = msgspec.json.Decoder(Head).decode


class Reader:
    """Decodes the frames of one kind of feed: all messages of a frame at once, or one of them."""

    def __init__(self, number: Callable[[str], Number], *, coins: bool) -> None:
        message: Any = _Coins if coins else _Shares
        frame: Any = list[message]
        self.tags: frozenset[str] = frozenset(shape.__struct_config__.tag for shape in get_args(message))
        self.all: Callable[[bytes], Sequence[Any]] = msgspec.json.Decoder(frame, float_hook=number).decode
        self.one: Callable[[Raw], Any] = msgspec.json.Decoder(message, float_hook=number).decode
