import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from md_contract import codec
from md_contract.events import TYPE_OF, BookL2, Event, Quote, Trade
from md_contract.subjects import event_subject
from nats_link.testing import free_port
from senpai.md_consumer.service import Service
from senpai.md_consumer.settings import Settings

NOW = 1_760_000_000_000_000_000
S = 1_000_000_000


class Api:
    """A running service without NATS, fed by hand, and its HTTP server as a client sees it."""

    def __init__(self, service: Service, session: aiohttp.ClientSession) -> None:
        self.service = service
        self.session = session
        self.url = f"http://127.0.0.1:{service.http.port}"
        self.start = NOW

    async def get(self, path: str, method: str = "GET", **params: str) -> tuple[int, Any]:
        async with self.session.request(method, self.url + path, params=params) as response:
            assert response.content_type == "application/json"
            return response.status, json.loads(await response.text())

    async def text(self, path: str) -> str:
        async with self.session.get(self.url + path) as response:
            assert response.status == 200
            return await response.text()

    async def feed(self, *events: Event) -> None:
        for event in events:
            subject = event_subject(TYPE_OF[type(event)], event.symbol)
            self.service.subscriber.on_message(subject, codec.encode(event))
        self.service.subscriber.finish()

    async def move(self) -> None:
        """A price move of 1 % within the 10 s of the rule, after a minute that warms everything up."""
        for half in range(130):
            price = f"{100 + max(0, half - 118) / 11:.4f}"
            bid, ask = f"{float(price) - 0.01:.4f}", f"{float(price) + 0.01:.4f}"
            second = half / 2
            await self.feed(self.quote(second=second, bid=bid, ask=ask), self.trade(second=second, price=price))

    @staticmethod
    def trade(symbol: str = "BTCUSDT", price: str = "100", second: float = 0.0, seq: int = 0, size: str = "2") -> Trade:
        at = NOW + round(second * S)
        return Trade("binance", symbol, at + 5_000_000, price, size, f"{second}", "buy", at, seq, 1 if seq else 0)

    @staticmethod
    def quote(symbol: str = "BTCUSDT", bid: str = "99.99", ask: str = "100.01", second: float = 0.0) -> Quote:
        at = NOW + round(second * S)
        return Quote("binance", symbol, at + 5_000_000, bid, "1", ask, "2", at)

    @staticmethod
    def book(symbol: str = "BTCUSDT") -> BookL2:
        return BookL2("binance", symbol, NOW, [("99.99", "1")], [("100.01", "2")])


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    service = Service(Settings.model_construct(nats_url=SecretStr(f"nats://127.0.0.1:{free_port()}"), http_port=0))
    running = asyncio.create_task(service.run())
    async with aiohttp.ClientSession() as session:
        yield Api(service, session)
    service.request_stop()
    await running
