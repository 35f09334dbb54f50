"""The venues this service can connect to. Add one: write its file, add its line to PROVIDERS."""

from collections.abc import Callable, Iterable
from typing import Final

from app.providers.alpaca import Alpaca
from app.providers.binance import Binance
from app.providers.bybit import Bybit
from app.providers.options import ProviderOptions
from app.providers.provider import Provider


def _alpaca(options: ProviderOptions) -> Provider:
    if options.alpaca_credentials is None:
        raise ValueError("alpaca needs your keys: set ALPACA_API_KEY and ALPACA_API_SECRET, or their *_FILE twins")
    return Alpaca(options.alpaca_credentials, options.alpaca_feed)


PROVIDERS: Final[dict[str, Callable[[ProviderOptions], Provider]]] = {
    "alpaca": _alpaca,
    "binance": lambda _: Binance(),
    "bybit": lambda options: Bybit("spot", options.bybit_orderbook_depth),
    "bybit_linear": lambda options: Bybit("linear", options.bybit_orderbook_depth),
}

__all__ = ["PROVIDERS", "Provider", "ProviderOptions", "UnknownProviderError", "make_provider"]


class UnknownProviderError(ValueError):
    """No provider has this name."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        self.known = sorted(known)
        super().__init__(f"unknown provider {name!r}: expected one of {', '.join(self.known)}")


def make_provider(name: str, options: ProviderOptions | None = None) -> Provider:
    """Return a new provider.

    Raises:
        UnknownProviderError: there is none of that name.
        ValueError: the options are none it can work with; the text says which and what to do.
    """
    try:
        make = PROVIDERS[name]
    except KeyError:
        raise UnknownProviderError(name, PROVIDERS) from None
    return make(options or ProviderOptions())
