"""The venue's texts: messages as it writes them, numbers as JSON numbers, times with as many digits as they need."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from exchange_sim.book import Top
from exchange_sim.fixed import SCALE, format_trimmed
from exchange_sim.market import Fill

EXCHANGES: Final = "KZPQVD"
_NS_PER_S: Final = 1_000_000_000
_COIN_IDS: Final = 7_310_000_000_000_000_000  # far above 2^53, as the venue's are
_SHARE_IDS: Final = 100_000_000


def time(ts_ns: int) -> str:
    """Return a time without needless zeros: from no digits to nine after the second."""
    seconds, ns = divmod(ts_ns, _NS_PER_S)
    fraction = f".{ns:09d}".rstrip("0") if ns else ""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"


def _shares(size: int) -> int:
    return max(1, size // SCALE)


def share_trade(symbol: str, fill: Fill, ts_ns: int) -> bytes:
    exchange = EXCHANGES[fill.trade_id % len(EXCHANGES)]
    return (
        f'{{"T":"t","S":"{symbol}","i":{fill.trade_id % _SHARE_IDS},"x":"{exchange}","p":{format_trimmed(fill.price)},'
        f'"s":{_shares(fill.size)},"c":["@"],"z":"C","t":"{time(ts_ns)}"}}'
    ).encode()


def coin_trade(symbol: str, fill: Fill, ts_ns: int, *, buyer_is_maker: bool) -> bytes:
    return (
        f'{{"T":"t","S":"{symbol}","p":{format_trimmed(fill.price)},"s":{format_trimmed(fill.size)},"t":"{time(ts_ns)}",'
        f'"i":{_COIN_IDS + fill.trade_id},"tks":"{"S" if buyer_is_maker else "B"}"}}'
    ).encode()


def cancel(symbol: str, fill: Fill, ts_ns: int) -> bytes:
    """Return the message that takes a trade of shares back."""
    exchange = EXCHANGES[fill.trade_id % len(EXCHANGES)]
    return (
        f'{{"T":"x","S":"{symbol}","i":{fill.trade_id % _SHARE_IDS},"x":"{exchange}","p":{format_trimmed(fill.price)},'
        f'"s":{_shares(fill.size)},"a":"C","z":"C","t":"{time(ts_ns)}"}}'
    ).encode()


def correction(symbol: str, old: Fill, new: Fill, ts_ns: int) -> bytes:
    """Return the message that replaces a trade of shares by another."""
    exchange = EXCHANGES[old.trade_id % len(EXCHANGES)]
    return (
        f'{{"T":"c","S":"{symbol}","x":"{exchange}","oi":{old.trade_id % _SHARE_IDS},"op":{format_trimmed(old.price)},'
        f'"os":{_shares(old.size)},"oc":["@"],"ci":{new.trade_id % _SHARE_IDS},"cp":{format_trimmed(new.price)},'
        f'"cs":{_shares(new.size)},"cc":["@"],"z":"C","t":"{time(ts_ns)}"}}'
    ).encode()


def share_quote(symbol: str, top: Top, ts_ns: int) -> bytes:
    return (
        f'{{"T":"q","S":"{symbol}","bx":"Q","bp":{format_trimmed(top.bid)},"bs":{_shares(top.bid_size)},"ax":"P",'
        f'"ap":{format_trimmed(top.ask)},"as":{_shares(top.ask_size)},"c":["R"],"z":"C","t":"{time(ts_ns)}"}}'
    ).encode()


def coin_quote(symbol: str, top: Top, ts_ns: int) -> bytes:
    return (
        f'{{"T":"q","S":"{symbol}","bp":{format_trimmed(top.bid)},"bs":{format_trimmed(top.bid_size)},'
        f'"ap":{format_trimmed(top.ask)},"as":{format_trimmed(top.ask_size)},"t":"{time(ts_ns)}"}}'
    ).encode()


def book(
    symbol: str, bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]], ts_ns: int, *, whole: bool
) -> bytes:
    """Return levels of an order book: all of them, or those that have changed."""
    mark = ',"r":true' if whole else ""
    return (f'{{"T":"o","S":"{symbol}","t":"{time(ts_ns)}","b":{_levels(bids)},"a":{_levels(asks)}{mark}}}').encode()


def _levels(levels: Iterable[tuple[int, int]]) -> str:
    parts = [f'{{"p":{format_trimmed(price)},"s":{format_trimmed(size)}}}' for price, size in levels]
    return f"[{','.join(parts)}]"
