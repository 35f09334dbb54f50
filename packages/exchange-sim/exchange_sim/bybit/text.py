"""The venue's texts: its messages, as each category writes them. They differ in the order of keys and in decimals."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, TypeAlias

from exchange_sim.bybit.topics import BookTopic
from exchange_sim.fixed import decimals_of, format_decimals, format_fixed, format_trimmed
from exchange_sim.market import Instrument

MAX_TRADES: Final = 1024  # in one message
DELETED: Final = "0"

Level: TypeAlias = tuple[str, str]


class BookView(NamedTuple):
    """Levels of an order book, best first, with the numbers and times that go with them."""

    bids: Sequence[Level]
    asks: Sequence[Level]
    update_id: int
    seq: int
    sent_ms: int
    made_ms: int  # by the matching engine


class TradeRow(NamedTuple):
    """One trade, as the venue writes it."""

    trade_id: str
    price: str
    size: str
    side: str  # of the taker
    time_ms: int
    seq: int
    tick: str = ""  # linear: which way the price went


class Digits:
    """How a category writes prices and sizes of a symbol: spot without needless zeros, linear with fixed decimals."""

    def __init__(self, category: str, what: Instrument) -> None:
        self._trimmed = category == "spot"
        self._price_decimals = decimals_of(format_fixed(what.tick))
        self._size_decimals = decimals_of(format_fixed(what.lot))

    def price(self, value: int) -> str:
        return format_trimmed(value) if self._trimmed else format_decimals(value, self._price_decimals)

    def size(self, value: int) -> str:
        return format_trimmed(value) if self._trimmed else format_decimals(value, self._size_decimals)

    def levels(self, pairs: Iterable[tuple[int, int]]) -> list[Level]:
        """Return levels as text; size 0 deletes."""
        return [(self.price(price), self.size(size) if size else DELETED) for price, size in pairs]


def book(topic: BookTopic, kind: str, view: BookView) -> bytes:
    """Return a message of an `orderbook` topic; `kind` is snapshot or delta."""
    head = f'"ts":{view.sent_ms},"type":"{kind}"'
    if topic.category == "linear" and topic.depth > 1:
        head = f'"type":"{kind}","ts":{view.sent_ms}'
    return (
        f'{{"topic":"{topic.name}",{head},"data":{{"s":"{topic.symbol}","b":{_levels(view.bids)},'
        f'"a":{_levels(view.asks)},"u":{view.update_id},"seq":{view.seq}}},"cts":{view.made_ms}}}'
    ).encode()


def trades(category: str, symbol: str, rows: Sequence[TradeRow], sent_ms: int) -> list[bytes]:
    """Return the messages of `publicTrade` for trades in match order: one, unless there are very many."""
    write = _spot_trade if category == "spot" else _linear_trade
    head = f'"ts":{sent_ms},"type":"snapshot"' if category == "spot" else f'"type":"snapshot","ts":{sent_ms}'
    return [
        f'{{"topic":"publicTrade.{symbol}",{head},"data":[{",".join(write(symbol, row) for row in part)}]}}'.encode()
        for part in (rows[start : start + MAX_TRADES] for start in range(0, len(rows), MAX_TRADES))
    ]


def _levels(levels: Iterable[Level]) -> str:
    return "[" + ",".join([f'["{price}","{size}"]' for price, size in levels]) + "]"


def _spot_trade(symbol: str, row: TradeRow) -> str:
    return (
        f'{{"i":"{row.trade_id}","T":{row.time_ms},"p":"{row.price}","v":"{row.size}","S":"{row.side}",'
        f'"seq":{row.seq},"s":"{symbol}","BT":false,"RPI":false}}'
    )


def _linear_trade(symbol: str, row: TradeRow) -> str:
    return (
        f'{{"T":{row.time_ms},"s":"{symbol}","S":"{row.side}","v":"{row.size}","p":"{row.price}","L":"{row.tick}",'
        f'"i":"{row.trade_id}","BT":false,"RPI":false,"seq":{row.seq}}}'
    )
