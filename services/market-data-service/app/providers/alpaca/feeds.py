"""The feeds Alpaca offers, each an endpoint of its own."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from msgspec import Struct

FeedName = Literal["iex", "sip", "test", "crypto"]

_SHARE: Final = re.compile(r"[A-Z][A-Z0-9]{0,9}(?:\.[A-Z]{1,4})?", re.ASCII)


class FeedShape(Struct, frozen=True):
    """One endpoint."""

    path: str
    market: str  # whose sessions it keeps
    channels: tuple[str, ...]
    symbol: re.Pattern[str]
    example: str

    @property
    def has_books(self) -> bool:
        return BOOKS in self.channels


BOOKS: Final = "orderbooks"

FEEDS: Final[Mapping[str, FeedShape]] = MappingProxyType(
    {
        "iex": FeedShape("v2/iex", "us_equity", ("trades", "quotes"), _SHARE, "AAPL or BRK.B"),
        "sip": FeedShape("v2/sip", "us_equity", ("trades", "quotes"), _SHARE, "AAPL or BRK.B"),
        "test": FeedShape("v2/test", "test", ("trades", "quotes"), re.compile("FAKEPACA"), "FAKEPACA"),
        "crypto": FeedShape(
            "v1beta3/crypto/us",
            "crypto",
            ("trades", "quotes", BOOKS),
            re.compile(r"[A-Z0-9]{1,12}/[A-Z0-9]{2,8}", re.ASCII),
            "BTC/USD",
        ),
    }
)
