"""The venues this service can connect to. Add one: write its file, add its line to PROVIDERS."""

from collections.abc import Callable, Iterable
from typing import Final

from app.providers.binance import Binance
from app.providers.provider import Provider

PROVIDERS: Final[dict[str, Callable[[], Provider]]] = {
    "binance": Binance,
}


class UnknownProviderError(ValueError):
    """No provider has this name."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        self.known = sorted(known)
        super().__init__(f"unknown provider {name!r}: expected one of {', '.join(self.known)}")


def make_provider(name: str) -> Provider:
    """Return a new provider.

    Raises:
        UnknownProviderError: there is none of that name.
    """
    try:
        make = PROVIDERS[name]
    except KeyError:
        raise UnknownProviderError(name, PROVIDERS) from None
    return make()
