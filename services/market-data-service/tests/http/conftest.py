"""A running HTTP server and the parts behind it; the feeds are never connected, the test says what came."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from app.bus import Bus
from app.feed import Connection, ConnectionState, Feed
from app.http import HttpServer, OrderRules, Parts, create_app, listen
from app.liveness.active import Doors
from app.liveness.provider_watch import LivenessOptions
from app.liveness.watch import Liveness
from app.metrics import ServiceCollector, make_registry, render
from app.providers.binance import Binance
from md_contract.events import Event, Trade
from nats_link import Link, LinkOptions

SYMBOLS = ("BTCUSDT", "ETHUSDT")


class Room:
    def __init__(self, providers: tuple[str, ...], orders: OrderRules, host: str, markets: dict[str, str]) -> None:
        self.shut = False
        self.bus = Bus(lambda _saturated: None)
        self.buffer = self.bus.attach("nats", self.take, 10)
        self.doors = Doors(providers, SYMBOLS, self.bus.publish)
        self.feeds = {name: self._feed(name) for name in providers}
        self.feed = self.feeds[providers[0]]
        self.connection = self.feed.connections[0]
        self.mono_ns = 0
        self.liveness = Liveness(self.feeds, self.doors, LivenessOptions(), self.mono_ns, markets=markets)
        self.link = Link(LinkOptions(url="nats://user:canary@127.0.0.1:1", name="test"))
        registry = make_registry(
            ServiceCollector(SYMBOLS, self.bus, self.feeds, self.liveness, self.link, lambda: 0.001)
        )
        url = "nats://***@127.0.0.1:1"
        self.parts = Parts(SYMBOLS, self.bus, self.feeds, self.liveness, orders, None, url, lambda: render(registry))
        listener = listen(host, 0)
        self.base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.server = HttpServer(create_app(self.parts), listener)

    def _feed(self, name: str) -> Feed:
        publish = self.doors[name].publish
        feed = Feed(Binance(), SYMBOLS, publish=publish, ws_url="ws://127.0.0.1:1", rest_url="http://127.0.0.1:1")
        feed.connections.append(Connection(SYMBOLS, ConnectionState.LIVE))
        return feed

    def take(self, event: Event) -> bool:
        return not self.shut

    async def get(self, path: str, method: str = "GET", **options: Any) -> tuple[int, Any]:
        async with aiohttp.ClientSession() as client, client.request(method, self.base + path, **options) as answer:
            body = await answer.text()
            return answer.status, json.loads(body) if answer.content_type == "application/json" and body else body

    def see(self, symbol: str = "BTCUSDT", provider: str = "binance") -> None:
        self.doors[provider].publish(Trade(provider, symbol, time.time_ns(), "1", "1", "1"))

    def pass_time(self, seconds: int, *speaking: str) -> None:
        """Look at the feeds for so long, while these providers send trades."""
        for _ in range(seconds * 4):
            self.mono_ns += 250_000_000
            for provider in speaking:
                self.see(provider=provider)
            self.liveness.look(self.mono_ns, time.time_ns())


@pytest.fixture
def make_room() -> Callable[..., Any]:
    """`async with make_room("binance", "bybit") as room:`; the first provider is the primary."""

    @contextlib.asynccontextmanager
    async def make(
        *providers: str,
        orders: OrderRules | None = None,
        host: str = "127.0.0.1",
        markets: dict[str, str] | None = None,
    ) -> AsyncIterator[Room]:
        room = Room(providers or ("binance",), orders or OrderRules(), host, markets or {})
        serving = asyncio.create_task(room.server.run_until_stopped())
        try:
            yield room
        finally:
            room.server.stop()
            await serving

    return make


@pytest.fixture
async def room(make_room: Callable[..., Any]) -> AsyncIterator[Room]:
    async with make_room() as room:
        yield room
