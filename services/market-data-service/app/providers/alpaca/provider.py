"""Alpaca as the rest of the service sees it."""

from collections.abc import Sequence

from app.providers.alpaca.conversation import AlpacaConversation
from app.providers.alpaca.credentials import Credentials
from app.providers.alpaca.feeds import FEEDS, FeedName
from app.providers.alpaca.memory import NAME, Memory
from app.providers.provider import BookOptions, Counters, Limits


class Alpaca:
    """One feed of Alpaca. Whichever it is, a symbol means the same instrument, so all have one name.

    `market` names the market whose sessions the feed keeps: outside them its silence is no fault.
    """

    name = NAME
    limits = Limits(connects_per_5_min=30, rest_weight_per_min=200)
    errands = None  # missed trades are only to be had with the keys, which no REST request carries

    def __init__(self, credentials: Credentials, feed: FeedName = "iex") -> None:
        """Describe one feed.

        Args:
            credentials: what the venue knows us by; its free keys are good for `iex`, `test` and `crypto`.
            feed: one of FEEDS.

        Raises:
            ValueError: there is no feed of that name.
        """
        if feed not in FEEDS:
            raise ValueError(f"expected an Alpaca feed of {', '.join(FEEDS)}, found {feed!r}")
        self.feed = feed
        self.market = FEEDS[feed].market
        self._memory = Memory(credentials, FEEDS[feed])
        self.counters: Counters = self._memory.counters
        self.quarantine = self._memory.quarantine

    def refuse(self, symbol: str) -> str | None:
        shape = FEEDS[self.feed]
        if shape.symbol.fullmatch(symbol):
            return None
        return f"{symbol[:40]!r} is no symbol of Alpaca's feed {self.feed!r}: expected one like {shape.example}"

    def listing(self) -> None:
        """Alpaca's list of instruments is to be had with the keys only; what it does not know it does not subscribe."""
        return

    def unlisted(self, body: bytes, symbols: Sequence[str]) -> dict[str, str]:  # noqa: ARG002 - there is no listing
        return {}

    def split(self, symbols: Sequence[str]) -> list[tuple[str, ...]]:
        """One connection for all: the venue allows no second one."""
        return [tuple(symbols)] if symbols else []

    def url(self, ws_url: str, symbols: Sequence[str]) -> str:  # noqa: ARG002 - symbols are subscribed by message
        return f"{ws_url.rstrip('/')}/{FEEDS[self.feed].path}"

    def converse(self, symbols: Sequence[str], books: BookOptions) -> AlpacaConversation:
        return AlpacaConversation(self._memory, symbols, books)
