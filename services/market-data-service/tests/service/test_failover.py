"""Failover in the running service: two simulated exchanges in front, real NATS behind."""

import asyncio
import contextlib
import itertools
import re
from collections.abc import AsyncIterator, Callable
from typing import Any, get_args

import aiohttp
import pytest

from app.http import listen
from app.providers import PROVIDERS
from app.providers.binance import Binance
from app.service import Service
from app.settings import load
from exchange_sim import ExchangeSim, MarketModel
from md_contract.events import Event, Heartbeat, Status, Trade
from md_contract.units import NS_PER_S
from nats_link.testing import NatsServer

SYMBOLS = ("BTCUSDT", "ETHUSDT")
SILENCE_S, PROBATION_S = 1.0, 1.5
TOKEN = "open sesame"


class Renamed:
    """Something of Binance's whose events carry another provider's name."""

    name = "bybit"

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        return self._renaming(value) if callable(value) else value

    def _renaming(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            result = method(*args, **kwargs)
            if isinstance(result, (list, tuple)):
                for event in result:
                    if isinstance(event, get_args(Event)):
                        event.provider = self.name
            return Renamed(result) if method.__name__ == "converse" else result

        return call


class Running:
    """The service in this process, and questions to it."""

    def __init__(self, service: Service, base: str) -> None:
        self.service = service
        self._base = base

    async def get(self, path: str) -> Any:
        async with aiohttp.ClientSession() as client, client.get(self._base + path) as answer:
            return await answer.json()

    async def order(self, to: str) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with (
            aiohttp.ClientSession(headers=headers) as client,
            client.post(self._base + "/failover", json={"to": to}) as answer,
        ):
            return answer.status, await answer.json()

    async def until(self, condition: Callable[[Any], bool], timeout_s: float = 10) -> Any:
        """Wait until /providers says so."""
        body: Any = None
        try:
            async with asyncio.timeout(timeout_s):
                while not condition(body := await self.get("/providers")):  # noqa: ASYNC110 - HTTP wakes nobody
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"never, last: {body}") from None
        return body

    async def both_healthy(self) -> None:
        await self.until(lambda body: all(one["healthy"] for one in body["providers"].values()))


@contextlib.asynccontextmanager
async def running(**values: Any) -> AsyncIterator[Running]:
    usual = {
        "backup": "bybit",
        "symbols": ",".join(SYMBOLS),
        "failover_token": TOKEN,
        "failover_silence_s": SILENCE_S,
        "failover_min_dwell_s": 0.5,
        "failover_probation_s": PROBATION_S,
        "heartbeat_silence_s": SILENCE_S,
        "heartbeat_interval_s": 0.5,
    }
    with listen("127.0.0.1", 0) as listener:
        service = Service(load(None, **(usual | values)), listener)
        task = asyncio.create_task(service.run())
        try:
            yield Running(service, f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            service.request_stop()
            async with asyncio.timeout(10):
                assert await task == 0


@pytest.fixture(autouse=True)
def _a_stand_in_for_bybit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROVIDERS, "bybit", lambda _: Renamed(Binance()))


@contextlib.asynccontextmanager
async def exchanges() -> AsyncIterator[tuple[ExchangeSim, ExchangeSim, dict[str, Any]]]:
    """Two exchanges whose trade ids cannot be mistaken for each other's, and the settings that lead to them."""
    async with (
        ExchangeSim(MarketModel(seed=1, symbols=SYMBOLS, rate=300.0)) as first,
        ExchangeSim(MarketModel(seed=2, symbols=SYMBOLS, rate=300.0)) as second,
    ):
        urls = {
            "binance_ws_url": first.ws_url,
            "binance_rest_url": first.rest_url,
            "bybit_ws_url": second.ws_url,
            "bybit_rest_url": second.rest_url,
        }
        yield first, second, urls


def sources(events: list[Event]) -> list[str]:
    """The providers of these events, each as often as it takes over from another."""
    return [provider for provider, _ in itertools.groupby(event.provider for event in events)]


async def test_a_mute_primary_is_left_in_time_and_takes_over_again_and_no_trade_is_lost_or_doubled(
    nats_server: NatsServer, wiretap: Any
) -> None:
    async with (
        exchanges() as (first, _, urls),
        wiretap(nats_server.url) as tap,
        running(nats_url=nats_server.url, heartbeat_silence_s=2.5, **urls) as run,
    ):
        failover = run.service.liveness.failover

        def trades(symbol: str, provider: str) -> list[Trade]:
            return [event for event in tap.on(f"md.events.trade.{symbol}") if event.provider == provider]

        await run.both_healthy()
        first.faults.mute()
        await tap.until(lambda: all(trades(symbol, "bybit") for symbol in SYMBOLS))
        sent_until_mute = {symbol: first.sent["trade", symbol] for symbol in SYMBOLS}
        counted = {symbol: len(trades(symbol, "binance")) for symbol in SYMBOLS}
        assert counted == sent_until_mute
        assert first.clients == 1, "the connection stands, and its pings are answered"

        health = await run.get("/health")
        assert (health["status"], health["active"]) == ("ready", "bybit")
        await tap.until(lambda: any(beat.synthetic for beat in heartbeats(tap, "binance")))
        first.faults.unmute()
        await run.until(lambda body: body["state"] == "probing")
        probing = failover.since
        await run.until(lambda body: body["active"] == "binance")
        assert failover.last is not None
        assert failover.last.at - probing >= PROBATION_S * NS_PER_S
        await tap.until(lambda: all(len(trades(symbol, "binance")) > counted[symbol] + 20 for symbol in SYMBOLS))
        switches = (await run.get("/providers"))["switches"]

    assert switches == 2
    for symbol in SYMBOLS:
        on_symbol = [event for _, event in tap.messages if event.symbol == symbol]
        assert sources(on_symbol) == ["binance", "bybit", "binance"], "no event of one amid those of the other"
        told = [event for event in on_symbol if isinstance(event, Status) and event.kind == "source_switch"]
        assert [(event.detail["from"], event.detail["to"]) for event in told] == [
            ("binance", "bybit"),
            ("bybit", "binance"),
        ]
        silent = re.fullmatch(r"primary failed: no market data for ([\d.]+) s", told[0].detail["reason"])
        assert silent is not None, told[0].detail
        assert SILENCE_S <= float(silent[1]) < SILENCE_S + 1, "by its clock, for which a stall of its own is short"
        for _, period in itertools.groupby(on_symbol, key=lambda event: event.provider):
            events = list(period)
            assert events[0].provider != "bybit" or events[0] is told[0], "the switch is told before anything else"
            ids = [int(event.trade_id) for event in events if isinstance(event, Trade)]
            assert ids == list(range(ids[0], ids[0] + len(ids)))


def heartbeats(tap: Any, provider: str) -> list[Heartbeat]:
    return [beat for beat in tap.on("md.events.heartbeat.__system__") if beat.provider == provider]


async def test_an_order_rehearses_the_switch_and_metrics_tell(nats_server: NatsServer, wiretap: Any) -> None:
    async with (
        exchanges() as (_, _, urls),
        wiretap(nats_server.url) as tap,
        running(nats_url=nats_server.url, **urls) as run,
    ):
        await run.both_healthy()
        assert await run.order("bybit") == (200, {"from": "binance", "to": "bybit", "state": "standby"})
        await tap.until(lambda: any(event.provider == "bybit" for event in tap.on("md.events.book_l2.BTCUSDT")))
        metrics = run.service.parts.metrics().decode()
        assert 'md_active_provider{provider="bybit"} 1.0' in metrics
        assert 'md_failover_switches_total{from="binance",to="bybit"} 1.0' in metrics
        await run.until(lambda body: body["active"] == "binance")
        assert (await run.get("/providers"))["last_switch"]["reason"] == "probation passed"


async def test_a_cold_standby_connects_when_it_is_needed_and_goes_when_it_is_not(nats_server: NatsServer) -> None:
    async with (
        exchanges() as (first, second, urls),
        running(nats_url=nats_server.url, backup_cold=True, **urls) as run,
    ):
        await run.until(lambda body: body["providers"]["binance"]["healthy"])
        assert second.clients == 0
        first.faults.mute()
        await run.until(lambda body: body["active"] == "bybit")
        assert second.clients == 1
        first.faults.unmute()
        await run.until(lambda body: body["active"] == "binance")
        cold = ["on cold standby: connects when it is needed"]
        await run.until(lambda body: body["providers"]["bybit"]["reasons"] == cold)
        assert second.clients == 0
