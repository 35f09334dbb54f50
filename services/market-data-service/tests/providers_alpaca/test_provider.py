"""What Alpaca tells the rest of the service of itself."""

from typing import Any, cast

import pytest

from app.providers.alpaca import Alpaca, Credentials
from app.providers.alpaca.feeds import FeedName
from app.providers.provider import Provider

KEYS = Credentials("key", "secret")


@pytest.mark.parametrize(
    ("feed", "path", "market"),
    [
        ("iex", "/v2/iex", "us_equity"),
        ("sip", "/v2/sip", "us_equity"),
        ("test", "/v2/test", "test"),
        ("crypto", "/v1beta3/crypto/us", "crypto"),
    ],
)
def test_each_feed_has_its_address_and_market(feed: Any, path: str, market: str) -> None:
    alpaca = Alpaca(KEYS, feed)
    provider: Provider = alpaca
    assert provider.name == "alpaca"
    assert provider.url("wss://stream.data.alpaca.markets/", ["AAPL"]) == f"wss://stream.data.alpaca.markets{path}"
    assert alpaca.market == market


def test_a_feed_that_is_not_offered_is_refused() -> None:
    with pytest.raises(ValueError, match="expected an Alpaca feed of iex, sip, test, crypto, found 'otc'"):
        Alpaca(KEYS, cast("FeedName", "otc"))


@pytest.mark.parametrize(
    ("feed", "symbol"), [("iex", "AAPL"), ("sip", "BRK.B"), ("test", "FAKEPACA"), ("crypto", "BTC/USD"), ("iex", "F")]
)
def test_symbols_of_a_feed_are_accepted(feed: Any, symbol: str) -> None:
    assert Alpaca(KEYS, feed).refuse(symbol) is None


@pytest.mark.parametrize(
    ("feed", "symbol"),
    [
        ("iex", "BTC/USD"),
        ("iex", "*"),
        ("iex", ""),
        ("sip", "aapl"),
        ("iex", "AAPL\n"),
        ("sip", "BRK."),
        ("iex", "ÄAPL"),
        ("test", "AAPL"),
        ("crypto", "BTCUSDT"),
        ("crypto", "AAPL"),
        ("crypto", "*"),
        ("crypto", "BTC/"),
    ],
)
def test_symbols_that_cannot_be_are_refused(feed: Any, symbol: str) -> None:
    assert "expected one like" in str(Alpaca(KEYS, feed).refuse(symbol))


def test_all_symbols_share_the_one_connection_the_venue_allows() -> None:
    symbols = [f"A{number}" for number in range(700)]
    assert Alpaca(KEYS).split(symbols) == [tuple(symbols)]
    assert Alpaca(KEYS).split([]) == []


def test_there_is_no_listing_to_check_against() -> None:
    provider: Provider = Alpaca(KEYS)
    assert provider.listing() is None
    assert provider.unlisted(b"", ["AAPL"]) == {}
