"""What Bybit tells the rest of the service of itself."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.providers.bybit import Bybit
from app.providers.provider import Provider, UnreadableListingError


def test_it_is_a_provider() -> None:
    provider: Provider = Bybit()
    assert provider.name == "bybit"
    assert provider.url("wss://stream.bybit.com/", ["BTCUSDT"]) == "wss://stream.bybit.com/v5/public/spot"


def test_linear_has_its_own_name_address_and_listing() -> None:
    provider = Bybit("linear")
    assert provider.name == "bybit_linear"
    assert provider.url("wss://stream.bybit.com", ["BTCUSDT"]) == "wss://stream.bybit.com/v5/public/linear"
    assert provider.listing().path == "/v5/market/instruments-info?category=linear&limit=1000"


@pytest.mark.parametrize(("category", "depth"), [("inverse", 50), ("spot", 500), ("spot", 20)])
def test_a_category_or_depth_that_is_not_offered_is_refused(category: Any, depth: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        Bybit(category, depth)


@pytest.mark.parametrize("symbol", ["BTCUSDT", "1INCHUSDT", "BTCUSDT-25DEC26", "BTCPERP"])
def test_symbols_of_the_venue_are_accepted(symbol: str) -> None:
    assert Bybit().refuse(symbol) is None


@pytest.mark.parametrize(
    "symbol", ["", "btcusdt", "BTC/USD", "BTC.USDT", "BTC USDT", "BTC>", "A" * 33, "BTÇUSDT", "X\n"]
)
def test_symbols_that_cannot_be_are_refused(symbol: str) -> None:
    assert "expected one like BTCUSDT" in str(Bybit().refuse(symbol))


def listing(*symbols: str, cursor: str = "", code: int = 0) -> bytes:
    instruments = [{"symbol": symbol, "status": "Trading"} for symbol in symbols]
    result = {"category": "linear", "list": instruments, "nextPageCursor": cursor}
    return json.dumps({"retCode": code, "retMsg": "OK", "result": result}).encode()


def test_a_listing_that_goes_on_on_another_page_proves_nothing_unlisted() -> None:
    provider = Bybit("linear")
    wanted = ["BTCUSDT", "NOSUCHUSDT"]
    assert provider.unlisted(listing("BTCUSDT"), wanted) == {"NOSUCHUSDT": "not listed by Bybit (linear)"}
    assert provider.unlisted(listing("BTCUSDT", cursor="first%3DLTC"), wanted) == {}


@pytest.mark.parametrize("body", [b"", b"[]", b'{"symbols":[]}', listing(code=10001), b'{"retCode":0,"result":{}}'])
def test_a_body_that_is_no_listing_is_told(body: bytes) -> None:
    with pytest.raises(UnreadableListingError, match="instruments-info"):
        Bybit().unlisted(body, ["BTCUSDT"])


@given(st.lists(st.text("ABCDEFUSDT0123456789-", min_size=1, max_size=32), unique=True, max_size=700))
def test_symbols_are_shared_out_within_the_length_limit_of_a_connection(symbols: list[str]) -> None:
    shares = Bybit(orderbook_depth=1000).split(symbols)
    assert [symbol for share in shares for symbol in share] == symbols
    for share in shares:
        args = [f"{kind}.{s}" for s in share for kind in ("publicTrade", "orderbook.1", "orderbook.1000")]
        assert 0 < len(json.dumps(args, separators=(",", ":"))) <= 21_000
    assert len(shares) <= 1 + sum(map(len, symbols)) // 5_000 + len(symbols) // 150
