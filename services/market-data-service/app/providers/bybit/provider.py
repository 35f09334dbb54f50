"""Bybit as the rest of the service sees it."""

import re
from collections.abc import Sequence
from typing import Final, Literal

from app.providers.bybit.backfill import LIMITS
from app.providers.bybit.conversation import BybitConversation
from app.providers.bybit.memory import Memory
from app.providers.bybit.wire import UNREADABLE, read_listing
from app.providers.provider import BookOptions, Counters, Fetch, Limits, UnreadableListingError

DEPTHS: Final = (1, 50, 200, 1000)  # levels a side that the venue has a topic for
MAX_SYMBOLS_PER_CONNECTION: Final = 200  # of three topics each
MAX_ARGS_CHARACTERS: Final = 20_000  # on one connection; the venue allows 21,000
LISTING_WEIGHT: Final = 1

_SYMBOL: Final = re.compile(r"[A-Z0-9][A-Z0-9-]{0,31}", re.ASCII)


class Bybit:
    """Bybit V5, public market data of one category.

    A perpetual of `linear` is another instrument than the spot pair of the same name, so its events carry another
    provider name, `bybit_linear`.
    """

    limits = Limits(connects_per_5_min=60, rest_weight_per_min=3_000)
    errands = None  # missed trades are asked for by the connection that shows them

    def __init__(self, category: Literal["spot", "linear"] = "spot", orderbook_depth: int = 50) -> None:
        """Describe one category.

        Args:
            category: the market.
            orderbook_depth: levels a side of the topic that books are kept from, one of DEPTHS.

        Raises:
            ValueError: the category or the depth is none that is offered.
        """
        if category not in LIMITS:
            raise ValueError(f"expected a Bybit category of {', '.join(LIMITS)}, found {category!r}")
        if orderbook_depth not in DEPTHS:
            raise ValueError(f"expected an order book depth of {', '.join(map(str, DEPTHS))}, found {orderbook_depth}")
        self.name = "bybit" if category == "spot" else f"bybit_{category}"
        self.category = category
        self._memory = Memory(self.name, category, orderbook_depth)
        self.counters: Counters = self._memory.counters
        self.quarantine = self._memory.quarantine

    def refuse(self, symbol: str) -> str | None:
        return None if _SYMBOL.fullmatch(symbol) else f"{symbol[:40]!r} is no Bybit symbol: expected one like BTCUSDT"

    def listing(self) -> Fetch:
        return Fetch(f"/v5/market/instruments-info?category={self.category}&limit=1000", "listing", LISTING_WEIGHT)

    def unlisted(self, body: bytes, symbols: Sequence[str]) -> dict[str, str]:
        """As `Provider.unlisted`. When the listing goes on on a further page, nobody is called unlisted for it."""
        try:
            listing = read_listing(body)
        except UNREADABLE as error:
            raise UnreadableListingError(_not_a_listing(body, str(error))) from None
        if listing.retCode != 0:
            raise UnreadableListingError(_not_a_listing(body, f"retCode {listing.retCode}"))
        if listing.result.nextPageCursor:
            return {}
        listed = {instrument.symbol for instrument in listing.result.instruments}
        return {symbol: f"not listed by Bybit ({self.category})" for symbol in symbols if symbol not in listed}

    def split(self, symbols: Sequence[str]) -> list[tuple[str, ...]]:
        shares: list[list[str]] = []
        room = 0
        for symbol in symbols:
            cost = _args_characters(symbol)
            if not shares or cost > room or len(shares[-1]) == MAX_SYMBOLS_PER_CONNECTION:
                shares.append([])
                room = MAX_ARGS_CHARACTERS
            shares[-1].append(symbol)
            room -= cost
        return [tuple(share) for share in shares]

    def url(self, ws_url: str, symbols: Sequence[str]) -> str:  # noqa: ARG002 - topics are subscribed by message
        return f"{ws_url.rstrip('/')}/v5/public/{self.category}"

    def converse(self, symbols: Sequence[str], books: BookOptions) -> BybitConversation:
        return BybitConversation(self._memory, symbols, books)


def _args_characters(symbol: str) -> int:
    """The length of a symbol's topics at most, with quotes and commas."""
    topics = (f"publicTrade.{symbol}", f"orderbook.1.{symbol}", f"orderbook.1000.{symbol}")
    return sum(len(topic) + len('"",') for topic in topics)


def _not_a_listing(body: bytes, why: str) -> str:
    return f"expected Bybit's instruments-info, found {bytes(body[:80])!r}: {why}"
