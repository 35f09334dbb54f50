import asyncio
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from pydantic import SecretStr

from md_contract import codec
from md_contract.events import TYPE_OF, Event, Quote, Trade
from md_contract.signals import FeatureVector, Signal
from md_contract.subjects import event_subject
from nats_link.testing import NatsServer
from senpai.md_consumer.pipeline import Pipeline, PipelineOptions
from senpai.md_consumer.service import Service
from senpai.md_consumer.settings import Settings

S = 1_000_000_000
FOLDER = Path(__file__).resolve().parents[2]
Running = Callable[..., AbstractAsyncContextManager["Consumer"]]


async def until(condition: Callable[[], Any], what: str, timeout_s: float = 10.0) -> None:
    """Wait for a condition, not for a time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}"
        await asyncio.sleep(0.005)


class Consumer:
    """A running service and a client of its HTTP server."""

    def __init__(self, service: Service, session: aiohttp.ClientSession) -> None:
        self.service = service
        self._session = session

    async def get(self, path: str, **params: str) -> tuple[int, Any]:
        url = f"http://127.0.0.1:{self.service.http.port}{path}"
        async with self._session.get(url, params=params) as response:
            return response.status, json.loads(await response.text())

    async def delivered(self, count: int) -> None:
        """Wait until so many events went through the queue."""
        await until(lambda: self.service.queue.taken >= count and not len(self.service.queue), f"{count} events")


@asynccontextmanager
async def _running(nats_url: str, **settings: Any) -> AsyncIterator[Consumer]:
    service = Service(Settings.model_construct(nats_url=SecretStr(nats_url), http_port=0, **settings))
    run = asyncio.create_task(service.run())
    try:
        async with aiohttp.ClientSession() as session:
            yield Consumer(service, session)
    finally:
        service.request_stop()
        await run


@pytest.fixture
def running() -> Running:
    return _running


class Bus:
    """The producer's side of NATS, and everything the consumer publishes."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.inbox: list[tuple[float, str, bytes]] = []
        self.start = time.time_ns()
        self._seqs: dict[str, int] = {}

    async def on_message(self, message: Msg) -> None:
        self.inbox.append((time.monotonic(), message.subject, message.data))

    async def send(self, *events: Event, epoch: int = 1) -> None:
        """Publish events with the next `seq` of their subject."""
        for event in events:
            subject = event_subject(TYPE_OF[type(event)], event.symbol)
            event.seq = self._seqs[subject] = self._seqs.get(subject, 0) + 1
            event.epoch = epoch
            await self.client.publish(subject, codec.encode(event))
        await self.client.flush()

    async def send_raw(self, subject: str, payload: bytes) -> None:
        await self.client.publish(subject, payload)
        await self.client.flush()

    def lose(self, event_type: str, symbol: str, count: int = 1) -> None:
        """Let `count` messages of a stream get lost."""
        subject = event_subject(event_type, symbol)
        self._seqs[subject] = self._seqs.get(subject, 0) + count

    def restart(self) -> None:
        """The producer begins again: its next events want another epoch."""
        self._seqs.clear()

    def on(self, subject: str) -> list[bytes]:
        return [payload for _, to, payload in self.inbox if to == subject]

    def times_on(self, subject: str) -> list[float]:
        return [at for at, to, _ in self.inbox if to == subject]

    def trade(self, symbol: str = "BTCUSDT", second: float = 0.0, price: str = "100", size: str = "1") -> Trade:
        at = self.start + round(second * S)
        return Trade("binance", symbol, at + 1_000_000, price, size, f"{second}", "buy", at)

    def quote(self, symbol: str = "BTCUSDT", second: float = 0.0, bid: str = "99.99", ask: str = "100.01") -> Quote:
        at = self.start + round(second * S)
        return Quote("binance", symbol, at + 1_000_000, bid, "1", ask, "1", at)


@asynccontextmanager
async def _bus(url: str) -> AsyncIterator[Bus]:
    client = await nats.connect(url, allow_reconnect=False)
    bus = Bus(client)
    await client.subscribe("senpai.>", cb=bus.on_message)
    await client.flush()
    try:
        yield bus
    finally:
        await client.close()


@pytest.fixture
async def bus(nats_server: NatsServer) -> AsyncIterator[Bus]:
    async with _bus(nats_server.url) as bus:
        yield bus


@pytest.fixture
def connect() -> Callable[[str], AbstractAsyncContextManager[Bus]]:
    return _bus


@pytest.fixture
async def consumer(nats_server: NatsServer, bus: Bus) -> AsyncIterator[Consumer]:
    """A consumer with default settings, connected."""
    async with _running(nats_server.url) as consumer:
        await until(lambda: consumer.service.link.connected, "the connection")
        yield consumer


@pytest.fixture
def wait() -> Callable[..., Any]:
    return until


class Process:
    """`python -m senpai.md_consumer` as a process of its own."""

    def __init__(self, *arguments: str, folder: Path = FOLDER, **env: str) -> None:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "senpai.md_consumer", *arguments],
            cwd=folder,
            env=kept | {"HTTP_PORT": "0", "LOG_FORMAT": "json"} | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[dict[str, Any]] = []
        self.stdout = self.stderr = ""

    def read_until(self, event: str) -> dict[str, Any]:
        """Read log lines until one whose event holds this text comes."""
        assert self.popen.stderr is not None
        for text in self.popen.stderr:
            self.stderr += text
            self.lines.append(json.loads(text))
            if event in self.lines[-1]["event"]:
                return self.lines[-1]
        raise AssertionError(f"no {event!r} in the log:\n{self.stderr}")

    def signal(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def wait(self, timeout_s: float = 20.0) -> int:
        """Wait for the end; `stdout` and `stderr` are complete then."""
        stdout, stderr = self.popen.communicate(timeout=timeout_s)
        self.stdout += stdout
        self.stderr += stderr
        self.lines += [json.loads(text) for text in stderr.splitlines() if text.startswith("{")]
        return self.popen.returncode


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    """Start processes of the service; those that still run at the end of the test are killed."""
    started: list[Process] = []

    def begin(*arguments: str, **env: Any) -> Process:
        started.append(Process(*arguments, **env))
        return started[-1]

    yield begin
    for process in started:
        if process.popen.poll() is None:
            process.popen.kill()
        process.popen.communicate()


class Market:
    """A seeded market: trades, quotes with and without event times, trades out of order, a symbol that seldom speaks.

    Event time runs `speed` times as fast as ours, so that a minute of windows fits into seconds.
    """

    def __init__(self, seed: int = 7, start_ns: int | None = None, speed: float = 20.0) -> None:
        self.start_ns = time.time_ns() if start_ns is None else start_ns
        self.speed = speed
        self.sent: list[Event] = []
        self._random = random.Random(seed)
        self._prices = dict.fromkeys(("BTCUSDT", "ETHUSDT", "BTC/USD", "SLOW"), 100.0)
        self._seqs: dict[str, int] = {}
        self._count = 0

    def next(self, at_ns: int) -> tuple[str, bytes]:
        """The next message, of the event time `at_ns` after the start."""
        draw, number = self._random, self._count
        self._count += 1
        symbol = "SLOW" if number % 997 == 1 else draw.choice(("BTCUSDT", "ETHUSDT", "BTC/USD"))
        ts = self.start_ns + at_ns + number  # no two are alike
        price = self._prices[symbol] = self._prices[symbol] * (1 + draw.gauss(0, 2e-4))
        event: Event
        if symbol == "SLOW" or draw.random() < 0.6:
            late = 50_000_000 if draw.random() < 0.02 else 0
            event = Trade("binance", symbol, ts + 5_000_000, f"{price:.6f}", f"{draw.random() + 0.01:.4f}", f"{number}")
            event.ts_event = ts - late
        else:
            event = Quote("binance", symbol, ts + 5_000_000, f"{price * 0.9999:.6f}", "1", f"{price * 1.0001:.6f}", "2")
            event.ts_event = ts if symbol != "BTCUSDT" else None
        subject = event_subject(TYPE_OF[type(event)], symbol)
        event.seq = self._seqs[subject] = self._seqs.get(subject, 0) + 1
        event.epoch = 1
        self.sent.append(event)
        return subject, codec.encode(event)

    async def run(self, client: Client, seconds: float, rate: int) -> None:
        """Publish for so long, so many a second."""
        began = time.monotonic()
        already = len(self.sent)
        while (passed := time.monotonic() - began) < seconds:
            while len(self.sent) - already < passed * rate:
                at_ns = round(len(self.sent) / rate * self.speed * S)
                await client.publish(*self.next(at_ns))
            await client.flush()
            await asyncio.sleep(0.005)
        await client.flush()


@pytest.fixture
def market() -> type[Market]:
    return Market


class Twin:
    """A consumer that never stops: the pipeline, offline, on every event, and what it says at each of their times."""

    def __init__(self, events: Iterable[Event], **options: Any) -> None:
        self.said: dict[tuple[str, int], list[FeatureVector]] = {}
        self.signals: list[Signal] = []
        pipeline = Pipeline(PipelineOptions(**options))
        mono = S
        for event in events:
            mono += 300_000
            self.signals += pipeline.on_event(event, mono)
            vector = pipeline.features(event.symbol, mono, 0)
            if vector is not None and vector.ts is not None:
                self.said.setdefault((event.symbol, vector.ts), []).append(vector)

    def says(self, vector: FeatureVector) -> bool | None:
        """Whether it said the same; None when it said nothing of that instant, to which a quiet symbol's clock ran."""
        candidates = self.said.get((vector.symbol, vector.ts or 0))
        return None if candidates is None else any(_agree(vector, candidate) for candidate in candidates)


def _agree(one: FeatureVector, other: FeatureVector) -> bool:
    trusts = [(trust.warm, trust.gap, trust.trades_60s, trust.source) for trust in (one.trust, other.trust)]
    if trusts[0] != trusts[1] or one.features.keys() != other.features.keys():
        return False
    for name, value in one.features.items():
        expected = other.features[name]
        if value is None or expected is None:
            if value is not expected:
                return False
        elif not math.isclose(value, expected, rel_tol=1e-9, abs_tol=4e-15 * (name == "vwap_deviation_60s")):
            return False
    return True


@pytest.fixture
def twin() -> type[Twin]:
    return Twin
