"""deploy/nats/permissions.conf on a real server: producer and recorder get along with it, and may do no more."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import nats
import pytest

from app.record.recorder import FromStream, Recorder
from app.sinks.jetstream import JetStreamSink
from app.storage.opening import open_store
from md_contract.codec import encode
from md_contract.events import Trade
from md_contract.signals import FeatureVector, Trust
from nats_link import Link, LinkOptions, NotPermittedError
from nats_link.jetstream import StreamOptions
from nats_link.testing import NatsServer

FILE = Path(__file__).resolve().parents[4] / "deploy" / "nats" / "permissions.conf"
NOW = 1_790_000_000_000_000_000
TRADE = Trade("binance", "BTCUSDT", NOW, "1", "1", "1")
FEATURES = FeatureVector("BTCUSDT", None, None, NOW, {"mid": 1.5}, Trust(True, False, False, 1.5, 12, "binance"))
Eventually = Callable[..., Awaitable[None]]


@pytest.fixture
def guarded_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[NatsServer]:
    for user in ("PRODUCER", "CONSUMER", "RECORDER", "READER"):
        monkeypatch.setenv(f"MD_{user}_PASSWORD", f"pass-{user.lower()}")
    with NatsServer(FILE.read_text()) as server:
        yield server


@pytest.mark.parametrize("jetstream", [False, True])
async def test_the_producer_may_publish_and_little_else(
    guarded_server: NatsServer, eventually: Eventually, jetstream: bool
) -> None:
    writable = asyncio.Event()
    url = f"nats://producer:pass-producer@127.0.0.1:{guarded_server.port}"
    link = Link(LinkOptions(url=url, name="test", replies=True), on_writable=writable.set)
    sink = JetStreamSink(link, writable, StreamOptions(max_bytes=1_000_000), epoch=1)
    running = asyncio.create_task(sink.run() if jetstream else link.run())
    await eventually(lambda: sink.reachable if jetstream else link.connected)
    if jetstream:
        assert sink.take(Trade("binance", "BTCUSDT", 1, "1", "1", "1"))
        await eventually(lambda: sink.acks.acked == 1)
        with pytest.raises(NotPermittedError):
            await link.request("$JS.API.STREAM.DELETE.MD_EVENTS", b"", 5)
    else:
        assert link.publish("md.events.trade.BTCUSDT", b"{}")
        assert await link.flush(5)
    errors = link.errors
    assert errors == int(jetstream)
    await refused(link, "senpai.signals.BTCUSDT", eventually)
    await sink.close(2)
    await running


@pytest.mark.parametrize("jetstream", [False, True])
async def test_the_recorder_may_listen_and_little_else(
    guarded_server: NatsServer, eventually: Eventually, tmp_path: Path, jetstream: bool
) -> None:
    at = f"127.0.0.1:{guarded_server.port}"
    link = Link(LinkOptions(url=f"nats://recorder:pass-recorder@{at}", name="test", replies=True))
    store = await open_store(f"sqlite+aiosqlite:///{tmp_path / 'market.db'}")
    stream = FromStream(StreamOptions(max_bytes=1_000_000), "market-data-recorder") if jetstream else None
    subjects = ["md.events.>", "senpai.>"]
    recorder = Recorder(link, store, None, subjects=subjects, queue="", capacity=100, jetstream=stream)
    running = asyncio.create_task(recorder.run())
    producer = await nats.connect(f"nats://producer:pass-producer@{at}")
    consumer = await nats.connect(f"nats://consumer:pass-consumer@{at}")
    account = recorder.sink.writer.account
    try:
        async with asyncio.timeout(20):
            while account.stored < 2:  # what comes before the recorder or its stream is there goes nowhere
                await producer.publish("md.events.trade.BTCUSDT", encode(TRADE))
                await consumer.publish("senpai.features.BTCUSDT", encode(FEATURES))
                await asyncio.gather(producer.flush(), consumer.flush())
                await asyncio.sleep(0.05)
        assert link.errors == 0
        await refused(link, "md.events.trade.BTCUSDT", eventually)
    finally:
        await asyncio.gather(producer.close(), consumer.close())
        recorder.request_stop()
        assert await running == 0


async def refused(link: Link, subject: str, eventually: Eventually) -> None:
    errors = link.errors
    assert link.publish(subject, b"{}")
    await eventually(lambda: link.errors == errors + 1)
    assert "permissions violation" in str(link.last_error).lower()
