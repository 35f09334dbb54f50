"""What can be chosen about a provider, as plain values; each reads only its own."""

from msgspec import Struct

from app.providers.alpaca import Credentials, FeedName


class ProviderOptions(Struct, frozen=True):
    """Choices for all providers."""

    bybit_orderbook_depth: int = 50  # levels a side of the topic that books are kept from
    alpaca_feed: FeedName = "iex"
    alpaca_credentials: Credentials | None = None
