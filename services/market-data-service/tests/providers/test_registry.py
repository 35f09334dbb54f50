"""The registry as a whole, and what every provider in it must say of itself."""

import pytest

from app.providers import PROVIDERS, ProviderOptions, UnknownProviderError, make_provider
from app.providers.alpaca import Credentials

OPTIONS = ProviderOptions(alpaca_credentials=Credentials("key", "secret"))


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_a_provider_bears_the_name_it_is_registered_under(name: str) -> None:
    assert make_provider(name, OPTIONS).name == name


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_two_feeds_share_no_state(name: str) -> None:
    one, other = make_provider(name, OPTIONS), make_provider(name, OPTIONS)
    assert one.counters is not other.counters
    assert one.quarantine is not other.quarantine


def test_an_unknown_name_is_told_what_is_known() -> None:
    with pytest.raises(UnknownProviderError, match=r"unknown provider 'binanse': expected one of .*binance") as caught:
        make_provider("binanse")
    assert caught.value.name == "binanse"
    assert "binance" in caught.value.known
