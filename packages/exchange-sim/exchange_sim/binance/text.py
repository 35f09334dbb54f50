"""The venue's texts: payloads of its streams, as it writes them."""

from collections.abc import Iterable

from exchange_sim.binance.record import AggregateRow, TradeRow
from exchange_sim.book import Book, Top
from exchange_sim.fixed import format_fixed


def trade(symbol: str, row: TradeRow, sent_ms: int) -> bytes:
    """Return the payload of `<symbol>@trade`."""
    maker = "true" if row.buyer_is_maker else "false"
    return (
        f'{{"e":"trade","E":{sent_ms},"s":"{symbol}","t":{row.trade_id},"p":"{row.price}","q":"{row.size}",'
        f'"T":{row.time_ms},"m":{maker},"M":true}}'
    ).encode()


def aggregate(symbol: str, row: AggregateRow, sent_ms: int) -> bytes:
    """Return the payload of `<symbol>@aggTrade`."""
    maker = "true" if row.buyer_is_maker else "false"
    return (
        f'{{"e":"aggTrade","E":{sent_ms},"s":"{symbol}","a":{row.aggregate_id},"p":"{row.price}","q":"{row.size}",'
        f'"f":{row.first_id},"l":{row.last_id},"T":{row.time_ms},"m":{maker},"M":true}}'
    ).encode()


def book_ticker(symbol: str, top: Top, update_id: int) -> bytes:
    """Return the payload of `<symbol>@bookTicker`."""
    bid, bid_size, ask, ask_size = map(format_fixed, top)
    return f'{{"u":{update_id},"s":"{symbol}","b":"{bid}","B":"{bid_size}","a":"{ask}","A":"{ask_size}"}}'.encode()


def levels(pairs: Iterable[tuple[int, int]]) -> str:
    """Return price levels as the JSON list of pairs of text."""
    return "[" + ",".join(f'["{format_fixed(price)}","{format_fixed(size)}"]' for price, size in pairs) + "]"


def depth_update(
    symbol: str,
    first_id: int,
    last_id: int,
    bids: Iterable[tuple[int, int]],
    asks: Iterable[tuple[int, int]],
    sent_ms: int,
) -> bytes:
    """Return the payload of `<symbol>@depth`: sizes are absolute, 0 removes a level."""
    return (
        f'{{"e":"depthUpdate","E":{sent_ms},"s":"{symbol}","U":{first_id},"u":{last_id},'
        f'"b":{levels(bids)},"a":{levels(asks)}}}'
    ).encode()


def snapshot(book: Book, limit: int) -> bytes:
    """Return the best `limit` levels a side: a REST depth answer, and the payload of `<symbol>@depth<limit>`."""
    return (
        f'{{"lastUpdateId":{book.update_id},"bids":{levels(book.bids.top(limit))},"asks":{levels(book.asks.top(limit))}}}'
    ).encode()
