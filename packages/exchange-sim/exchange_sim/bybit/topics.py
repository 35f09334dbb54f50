"""The names of Bybit's topics, and of the streams made of them.

The same topic is another stream in another category: `spot:publicTrade.BTCUSDT`, `linear:publicTrade.BTCUSDT`.
"""

import re
from typing import Final, NamedTuple

NAME: Final = "bybit"
CATEGORIES: Final = ("spot", "linear")
PUSH_MS: Final = {1: 10, 50: 20, 200: 100, 1000: 200}  # how often an order book may speak, by its depth

_STREAMS: Final = tuple(f"{category}:" for category in CATEGORIES)
_BOOK: Final = re.compile(rf"({'|'.join(CATEGORIES)}):orderbook\.({'|'.join(map(str, PUSH_MS))})\.(.+)")
_KINDS: Final = (
    rf"publicTrade|orderbook\.(?:{'|'.join(map(str, PUSH_MS))})|tickers|kline\.(?:1|3|5|15|30|60|120|240|360|720|D|W|M)"
)
_TOPICS: Final = {
    "spot": re.compile(rf"(?:{_KINDS})\.(.+)"),
    "linear": re.compile(rf"(?:{_KINDS}|allLiquidation)\.(.+)"),
}


class BookTopic(NamedTuple):
    """An `orderbook` topic of a category."""

    category: str
    depth: int
    symbol: str

    @property
    def name(self) -> str:
        return f"orderbook.{self.depth}.{self.symbol}"

    @property
    def stream(self) -> str:
        return f"{self.category}:{self.name}"


def stream_of(category: str, topic: str) -> str:
    """Return the stream of a topic."""
    return f"{category}:{topic}"


def trade_stream(category: str, symbol: str) -> str:
    """Return the stream of a symbol's trades."""
    return f"{category}:publicTrade.{symbol}"


def is_stream(stream: str) -> bool:
    """Tell whether a stream has a name as they have here."""
    return stream.startswith(_STREAMS)


def book_topic(stream: str) -> BookTopic | None:
    """Return what an order book's stream is of; None for any other stream."""
    found = _BOOK.fullmatch(stream)
    return None if found is None else BookTopic(found[1], int(found[2]), found[3])


def symbol_of(category: str, topic: str) -> str | None:
    """Return the symbol in a topic's name; None when the category has no such topic."""
    found = _TOPICS[category].fullmatch(topic)
    return None if found is None else found[1]
