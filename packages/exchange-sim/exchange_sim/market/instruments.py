"""What is traded: price, tick, lot and usual sizes of each symbol.

A few well-known ones have figures of recent years; any other symbol gets invented ones that depend only on its name.
"""

import math
import re
from typing import Final, Literal, NamedTuple, TypeAlias
from zlib import crc32

from exchange_sim.fixed import SCALE

QUOTES: Final = (  # longest first
    *("FDUSD", "USDT", "USDC", "TUSD", "BUSD", "USD1", "USDE"),
    *("USD", "DAI", "TRY", "BRL", "EUR", "JPY", "BTC", "ETH", "BNB"),
)
Shape: TypeAlias = Literal["pair", "share", "coin"]
_SHARE: Final = re.compile(r"[A-Z]{1,5}(\.[A-Z]{1,2})?|FAKEPACA")
_SHORTEST_PAIR: Final = 5  # shorter ones, such as FBTC, are shares
_TRADE_NOTIONAL: Final = 1_200.0  # of the mean trade, in the quote currency


class Instrument(NamedTuple):
    """One symbol. Price, tick, lot and sizes in 10^-8."""

    symbol: str
    base: str
    quote: str
    price: int  # where the market opens
    tick: int
    lot: int
    trade_size: int  # mean size of one trade
    level_size: int  # mean size of one level


_KNOWN: Final[dict[str, tuple[float, float, float]]] = {  # price, tick, lot
    "BTCUSDT": (60_000.0, 0.01, 0.00001),
    "ETHUSDT": (2_600.0, 0.01, 0.0001),
    "BNBUSDT": (560.0, 0.01, 0.001),
    "SOLUSDT": (150.0, 0.01, 0.001),
    "XRPUSDT": (0.58, 0.0001, 1.0),
    "ADAUSDT": (0.45, 0.0001, 0.1),
    "DOGEUSDT": (0.12, 0.00001, 1.0),
    "BTC/USD": (60_000.0, 0.01, 0.00001),
    "ETH/USD": (2_600.0, 0.01, 0.0001),
    "AAPL": (241.0, 0.01, 1.0),
    "MSFT": (430.0, 0.01, 1.0),
    "SPY": (651.0, 0.01, 1.0),
}


def shape_of(symbol: str) -> Shape:
    """Tell what a symbol names: `coin` BTC/USD, `share` AAPL or BRK.B, and everything else is a `pair` as BTCUSDT."""
    if "/" in symbol:
        return "coin"
    is_pair = len(symbol) >= _SHORTEST_PAIR and symbol.endswith(QUOTES)
    return "share" if not is_pair and _SHARE.fullmatch(symbol) else "pair"


def split_symbol(symbol: str) -> tuple[str, str]:
    """Return base and quote currency of a venue's symbol, by the longest quote that it ends with."""
    if "/" in symbol:
        base, _, quote = symbol.partition("/")
        return base, quote
    quote = next((quote for quote in QUOTES if symbol.endswith(quote) and symbol != quote), "USDT")
    return symbol.removesuffix(quote), quote


def instrument(symbol: str) -> Instrument:
    """Return the instrument of a symbol; the same symbol always gives the same one."""
    price, tick, lot = _KNOWN.get(symbol) or _invented(symbol)
    size = _TRADE_NOTIONAL / price
    base, quote = split_symbol(symbol)
    lot_units = round(lot * SCALE)
    return Instrument(
        symbol=symbol,
        base=base,
        quote=quote,
        price=round(price * SCALE),
        tick=round(tick * SCALE),
        lot=lot_units,
        trade_size=max(lot_units, round(size * SCALE)),
        level_size=max(lot_units, round(20 * size * SCALE)),
    )


def _invented(symbol: str) -> tuple[float, float, float]:
    chance = crc32(symbol.encode())
    if shape_of(symbol) == "share":
        return 20.0 + chance % 40_000 / 100, 0.01, 1.0  # 20 to 420
    price = round(0.2 * 10 ** (chance % 3_000 / 1_000), 4)  # 0.2 to 200
    tick: float = 10.0 ** (math.floor(math.log10(price)) - 4)  # between 0.1 and 1 basis point of the price
    lot: float = 10.0 ** (math.floor(math.log10(_TRADE_NOTIONAL / price)) - 3)
    return round(price / tick) * tick, tick, max(lot, 0.0001)
