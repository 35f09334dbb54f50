"""Binance as the rest of the service sees it."""

import re
from collections.abc import Sequence
from typing import Final

from app.providers.binance.backfill import Backfill
from app.providers.binance.conversation import BinanceConversation
from app.providers.binance.memory import Memory
from app.providers.binance.streams import NAME
from app.providers.binance.wire import read_listing
from app.providers.checks import UNREADABLE
from app.providers.provider import BookOptions, Fetch, Limits, UnreadableListingError

SYMBOLS_PER_CONNECTION: Final = 300  # of three streams each; the venue allows 1024 streams
LISTING_WEIGHT: Final = 20

_SYMBOL: Final = re.compile(r"[A-Z0-9][A-Z0-9._/-]{0,31}", re.ASCII)


class Binance:
    """Binance spot, public market data."""

    name = NAME
    limits = Limits(
        connects_per_5_min=60,
        rest_weight_per_min=3_000,
        rotate_after_s=23 * 3_600.0,  # the venue ends every connection after 24 h
        used_weight=("X-MBX-USED-WEIGHT-1M", 5_000),  # of 6,000 for everybody at this address
    )

    def __init__(self) -> None:
        self._memory = Memory()
        self.errands = Backfill(self._memory, NAME)
        self.counters = self._memory.counters
        self.quarantine = self._memory.quarantine

    def refuse(self, symbol: str) -> str | None:
        return None if _SYMBOL.fullmatch(symbol) else f"{symbol[:40]!r} is no Binance symbol: expected one like BTCUSDT"

    def listing(self) -> Fetch:
        return Fetch("/api/v3/exchangeInfo?showPermissionSets=false", "listing", LISTING_WEIGHT)

    def unlisted(self, body: bytes, symbols: Sequence[str]) -> dict[str, str]:
        try:
            listed = {instrument.symbol for instrument in read_listing(body).symbols}
        except UNREADABLE as error:
            raise UnreadableListingError(
                f"expected Binance's exchangeInfo, found {bytes(body[:80])!r}: {error}"
            ) from None
        return {symbol: "not listed by Binance" for symbol in symbols if symbol not in listed}

    def split(self, symbols: Sequence[str]) -> list[tuple[str, ...]]:
        step = SYMBOLS_PER_CONNECTION
        return [tuple(symbols[start : start + step]) for start in range(0, len(symbols), step)]

    def url(self, ws_url: str, symbols: Sequence[str]) -> str:  # noqa: ARG002 - streams are subscribed by message
        return f"{ws_url.rstrip('/')}/stream"

    def converse(self, symbols: Sequence[str], books: BookOptions) -> BinanceConversation:
        return BinanceConversation(self._memory, self.errands, symbols, books)
