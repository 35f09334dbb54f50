import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import nats
import pytest
from nats.aio.client import Client as Nats

from md_contract import codec
from md_contract.signals import Alert, FeatureVector, Signal, Trust
from md_contract.subjects import ALERTS, feature_subject, signal_subject
from nats_link.testing import NatsServer

S = 1_000_000_000
EPOCH = 7


class Publisher:
    """The consumer service's side of NATS."""

    def __init__(self, client: Nats) -> None:
        self.client = client

    async def send(self, *messages: FeatureVector | Signal | Alert) -> None:
        for message in messages:
            if isinstance(message, FeatureVector):
                subject = feature_subject(message.symbol)
            else:
                subject = ALERTS if isinstance(message, Alert) else signal_subject(message.symbol)
            await self.client.publish(subject, codec.encode(message))
        await self.client.flush()

    async def send_raw(self, subject: str, payload: bytes) -> None:
        await self.client.publish(subject, payload)
        await self.client.flush()

    @staticmethod
    def signal(symbol: str = "BTCUSDT", state: Any = "new", lasts_s: float = 60, trusted: bool = True) -> Signal:
        now = time.time_ns()
        trust = Trust(trusted, False, False, 1.0, 5, "binance")
        until = now + round(lasts_s * S)
        return Signal(f"{symbol}-{now}", state, symbol, "binance", "long", "momentum", now, until, [], {}, trust)

    @staticmethod
    def features(symbol: str = "BTCUSDT", seq: int = 0, mid: float = 1.0, **trust: Any) -> FeatureVector:
        shown: dict[str, Any] = {
            "warm": True,
            "stale": False,
            "gap": False,
            "age_ms": 1.0,
            "trades_60s": 5,
            "source": "binance",
        }
        return FeatureVector(symbol, "binance", 1, 2, {"mid": mid}, Trust(**(shown | trust)), seq, EPOCH if seq else 0)

    @staticmethod
    def alert(state: Any = "firing") -> Alert:
        return Alert("1", "gap", state, "warning", None, None, 1.0, 0.0, "a hole", 1)


@pytest.fixture
def connect(nats_server: NatsServer) -> Callable[[], Awaitable[Publisher]]:
    async def connect() -> Publisher:
        return Publisher(await nats.connect(nats_server.url, allow_reconnect=False))

    return connect


@pytest.fixture
async def publisher(connect: Callable[[], Awaitable[Publisher]]) -> AsyncIterator[Publisher]:
    publisher = await connect()
    yield publisher
    await publisher.client.close()


@pytest.fixture
def until() -> Callable[[Callable[[], object]], Awaitable[None]]:
    async def wait(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(15):
            while not condition():  # noqa: ASYNC110  # conditions of all kinds
                await asyncio.sleep(0.005)

    return wait
