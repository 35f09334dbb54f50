"""What tests of the recorder with JetStream share: a publisher, recorders in this process, and waiting for them."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from nats.aio.client import Client
from nats.js import JetStreamContext
from stored import Rows

from app.record.recorder import FromStream, Recorder
from app.storage.opening import open_store
from md_contract.codec import encode
from md_contract.events import Quote, Trade
from md_contract.signals import FeatureVector, Trust
from md_contract.subjects import event_subject, feature_subject
from nats_link import Link, LinkOptions
from nats_link.jetstream import StreamOptions

NOW = 1_790_000_000_000_000_000
TRUST = Trust(True, False, False, 1.5, 12, "binance")
STREAM, CONSUMER = "MD_EVENTS", "market-data-recorder"


class Publisher:
    """Another client, which publishes as the service does and sees what the server knows of the stream."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.jetstream: JetStreamContext = client.jetstream()

    async def send(self, first: int, last: int) -> None:
        """A trade, a quote and a feature vector of each number."""
        for number in range(first, last + 1):
            common: dict[str, Any] = {"provider": "binance", "symbol": "BTCUSDT", "ts_recv": NOW + number}
            order: dict[str, Any] = {"seq": number, "epoch": 5}
            trade = Trade(**common, **order, price="1.5", size="2", trade_id=str(number))
            quote = Quote(**common, **order, bid="1", bid_size="1", ask="2", ask_size="1")
            features = FeatureVector("BTCUSDT", None, None, NOW + number, {"mid": 1.5}, TRUST, **order)
            await self.client.publish(event_subject("trade", "BTCUSDT"), encode(trade))
            await self.client.publish(event_subject("quote", "BTCUSDT"), encode(quote))
            await self.client.publish(feature_subject("BTCUSDT"), encode(features))
        await self.client.flush()  # nats-py's ping overtakes what it has to send: this one lets it out,
        await self.client.flush()  # and this one comes behind it

    async def reading(self) -> Any:
        """What the server knows of the recorder's consumer."""
        return await self.jetstream.consumer_info(STREAM, CONSUMER)


async def made(url: str, rows: Rows, *subjects: str, capacity: int = 1_000) -> Recorder:
    """A recorder as the process makes it."""
    options = LinkOptions(url=url, name="test", replies=True, reconnect_wait_s=0.01, reconnect_wait_max_s=0.1)
    jetstream, store = FromStream(StreamOptions(), CONSUMER), await open_store(rows.url)
    wanted = subjects or ("md.events.>", "senpai.>")
    return Recorder(Link(options), store, None, subjects=wanted, queue="", capacity=capacity, jetstream=jetstream)


async def until(log: list[Any], event: str, times: int = 1) -> None:
    """Wait until it has been said so often."""
    async with asyncio.timeout(60):
        while len([entry for entry in log if entry["event"] == event]) < times:  # noqa: ASYNC110 - a list wakes nobody
            await asyncio.sleep(0.01)


@contextmanager
def locked(rows: Rows) -> Iterator[None]:
    """The store takes nothing."""
    lock = sqlite3.connect(rows.path, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        lock.execute("ROLLBACK")
        lock.close()


async def holds(condition: Callable[[], bool]) -> None:
    """Wait until it does."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - counters wake nobody
            await asyncio.sleep(0.01)
