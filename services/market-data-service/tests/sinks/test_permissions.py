"""deploy/nats/permissions.conf on a real server: the producer gets along with it, and may do no more."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from app.sinks.jetstream import JetStreamSink
from md_contract.events import Trade
from nats_link import Link, LinkOptions, NotPermittedError
from nats_link.jetstream import StreamOptions
from nats_link.testing import NatsServer

FILE = Path(__file__).resolve().parents[4] / "deploy" / "nats" / "permissions.conf"
Eventually = Callable[..., Awaitable[None]]


@pytest.fixture
def guarded_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[NatsServer]:
    for user in ("PRODUCER", "CONSUMER", "READER"):
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
    assert link.publish("senpai.signals.BTCUSDT", b"{}")
    await eventually(lambda: link.errors == errors + 1)
    assert "permissions violation" in str(link.last_error).lower()
    await sink.close(2)
    await running
