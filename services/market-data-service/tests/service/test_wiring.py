"""The composition root itself: what it refuses, and what it does when a part dies."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from app import service
from app.http import listen
from app.providers import PROVIDERS
from app.providers.binance import Binance
from app.service import Service
from app.settings import BadSettingsError, Settings, load
from app.storage.opening import open_store


@pytest.fixture
def listener() -> Iterator[Any]:
    with listen("127.0.0.1", 0) as taken:
        yield taken


def settings(**values: object) -> Settings:
    return load(None, **({"nats_enabled": False, "binance_ws_url": "ws://127.0.0.1:1"} | values))


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_every_provider_that_is_known_can_be_wired(provider: str, listener: Any) -> None:
    symbols = ("AAPL", "SPY") if provider == "alpaca" else ("BTCUSDT", "ETHUSDT")
    keys = {"alpaca_api_key": "key", "alpaca_api_secret": "secret"}
    feeds = Service(settings(provider=provider, symbols=",".join(symbols), **keys), listener).feeds
    assert [(name, feed.symbols) for name, feed in feeds.items()] == [(provider, symbols)]


def test_a_provider_that_lacks_its_keys_says_which(listener: Any) -> None:
    with pytest.raises(BadSettingsError) as refused:
        Service(settings(provider="alpaca", symbols="AAPL", alpaca_api_key="key"), listener)
    assert refused.value.problems == [
        "PROVIDER: alpaca needs your keys: set ALPACA_API_KEY and ALPACA_API_SECRET, or their *_FILE twins"
    ]


def test_a_symbol_the_provider_refuses_is_told_with_its_reason(listener: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Choosy(Binance):
        def refuse(self, symbol: str) -> str | None:
            return f"{symbol!r} is not for us" if symbol.startswith("E") else None

    monkeypatch.setitem(PROVIDERS, "binance", lambda _: Choosy())
    with pytest.raises(BadSettingsError) as refused:
        Service(settings(), listener)
    assert refused.value.problems == ["SYMBOLS: 'ETHUSDT' is not for us"]


@pytest.mark.parametrize("end", ["raises", "returns"])
async def test_a_part_that_dies_ends_the_service_with_code_1_and_the_ledger(
    end: str, listener: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = Service(settings(), listener)

    async def die() -> None:
        await asyncio.sleep(0)
        if end == "raises":
            raise OSError("no more sockets")

    monkeypatch.setattr(part.feeds["binance"], "run", die)
    with capture_logs() as logs:
        async with asyncio.timeout(5):
            assert await part.run() == 1
    assert [entry["event"] for entry in logs] == ["service failed", "ledger"]
    assert {"raises": "OSError: no more sockets", "returns": "RuntimeError: feed binance ended by itself"}[end] == logs[
        0
    ]["why"]


async def test_the_ledger_is_the_last_word_also_when_the_database_engine_does_not_close(
    listener: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await open_store(f"sqlite+aiosqlite:///{tmp_path}/market.db")
    part = Service(settings(), listener, store)

    async def hang() -> None:
        await asyncio.Event().wait()

    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr(store, "dispose", hang)
        patched.setattr(service, "DISPOSE_S", 0.01)
        part.request_stop()
        assert await part.run() == 0
    await store.dispose()
    assert [entry["event"] for entry in logs][-3:] == ["storage did not close in time", "ledger", "ledger"]
