"""The same invented market for every contender: events and Binance frames of recorded shape, ids and prices varying."""

import random
from collections.abc import Iterator
from typing import Final

from md_contract.events import Event, Quote, Trade

SYMBOLS: Final = tuple(f"{coin}USDT" for coin in ("BTC", "ETH", "SOL", "XRP", "ADA", "BNB", "LTC", "DOT", "TRX", "UNI"))
START_NS: Final = 1_767_225_600_000_000_000  # 2026-01-01, so that archived hours are whole and over
STEP_NS: Final = 1_000_000
FIRST_ID: Final = 3_000_000_000


def prices(seed: int) -> Iterator[tuple[int, float, float]]:
    """(symbol's number, price, size) for ever: a random walk for each symbol, sizes as people trade."""
    rng = random.Random(seed)  # noqa: S311 - a market, no secret
    walk = [60_000.0 / 2**number for number in range(len(SYMBOLS))]
    while True:
        for number in range(len(SYMBOLS)):
            walk[number] *= 1 + rng.uniform(-1e-4, 1e-4)
            yield number, walk[number], rng.lognormvariate(-4, 1.5)


def trades(count: int, seed: int = 1) -> list[Trade]:
    """Trades of all symbols in turn, a millisecond apart."""
    found = []
    for index, (number, price, size) in zip(range(count), prices(seed), strict=False):
        ts = START_NS + index * STEP_NS
        found.append(
            Trade(
                "binance",
                SYMBOLS[number],
                ts + 50_000_000,
                f"{price:.2f}000000",
                f"{size:.5f}000",
                str(FIRST_ID + index),
                "buy" if index % 3 else "sell",
                ts,
            )
        )
    return found


def events(count: int, seed: int = 1) -> list[Event]:
    """Trades and quotes in turn, `seq` growing by one for each subject."""
    found: list[Event] = []
    for index, (number, price, size) in zip(range(count), prices(seed), strict=False):
        ts, symbol, seq = START_NS + index * STEP_NS, SYMBOLS[number], index // len(SYMBOLS) // 2 + 1
        if index // len(SYMBOLS) % 2:
            quote = (f"{price:.2f}000000", f"{size:.5f}000", f"{price * 1.0001:.2f}000000", f"{size:.5f}000")
            found.append(Quote("binance", symbol, ts, *quote, ts, seq=seq, epoch=1))
        else:
            numbers = (f"{price:.2f}000000", f"{size:.5f}000", str(FIRST_ID + index))
            found.append(Trade("binance", symbol, ts + 50_000_000, *numbers, "buy", ts, seq=seq, epoch=1))
    return found


def frames(count: int, seed: int = 1) -> list[bytes]:
    """What Binance's combined stream sends for the same market: `trade` and `bookTicker` in turn."""
    found = []
    for index, (number, price, size) in zip(range(count), prices(seed), strict=False):
        symbol, ms = SYMBOLS[number], (START_NS + index * STEP_NS) // 1_000_000
        if index // len(SYMBOLS) % 2:
            kind = "bookTicker"
            data = (
                f'"u":{FIRST_ID + index},"s":"{symbol}","b":"{price:.2f}000000","B":"{size:.5f}000",'
                f'"a":"{price * 1.0001:.2f}000000","A":"{size:.5f}000"'
            )
        else:
            kind = "trade"
            data = (
                f'"e":"trade","E":{ms + 1},"s":"{symbol}","t":{FIRST_ID + index // len(SYMBOLS) // 2},'
                f'"p":"{price:.2f}000000","q":"{size:.5f}000","T":{ms},"m":true,"M":true'
            )
        text = f'{{"stream":"{symbol.lower()}@{kind}","data":{{{data}}}}}'
        found.append(text.encode())
    return found
