"""The sink on JetStream over a real server: what the ledger calls delivered is in the stream, or kept."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import nats
import pytest

from app.bus import Buffer, Bus
from app.sinks.jetstream import JetStreamSink, message_id
from app.sinks.sink import drain
from app.sinks.stamp import UndeliverableError
from md_contract.codec import decode_event
from md_contract.events import BookL2, Event, Quote, Status, Trade
from nats_link import Link, LinkOptions
from nats_link.jetstream import NoJetStreamError, StreamOptions
from nats_link.testing import NatsServer

Eventually = Callable[..., Awaitable[None]]
Lines = Callable[..., Any]


def trade(number: int, symbol: str = "BTCUSDT") -> Trade:
    return Trade("binance", symbol, number, "100.10", "0.5", str(number), "buy", number)


class Line:
    """Bus, buffer, sink and link of one sink, as the service wires them."""

    def __init__(self, url: str, epoch: int, options: StreamOptions) -> None:
        writable = asyncio.Event()
        link_options = LinkOptions(url=url, name="test", replies=True, reconnect_wait_s=0.01, reconnect_wait_max_s=0.1)
        self.link = Link(link_options, on_writable=writable.set)
        self.sink = JetStreamSink(self.link, writable, options, epoch=epoch)
        self.bus = Bus(lambda _saturated: None)
        self.buffer: Buffer = self.bus.attach(self.sink.name, self.sink.take, 100_000)
        self.left: list[Event] = []


@pytest.fixture
def line() -> Lines:
    @asynccontextmanager
    async def make(
        url: str, epoch: int = 7, options: StreamOptions | None = None, close_s: float = 5
    ) -> AsyncIterator[Line]:
        line = Line(url, epoch, options or StreamOptions(max_bytes=256 << 20))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(line.sink.run())
            drains = tasks.create_task(drain(line.buffer, line.sink))
            yield line
            drains.cancel()
            line.left += await line.sink.close(close_s)

    return make


async def stream(url: str) -> list[tuple[str, str, Event]]:
    """The id, the subject and the event of everything in the stream, read by plain nats-py."""
    client = await nats.connect(url)
    try:
        jetstream = client.jetstream()
        count = (await jetstream.stream_info("MD_EVENTS")).state.messages
        subscription = await jetstream.subscribe(">", stream="MD_EVENTS", ordered_consumer=True)
        messages = [await subscription.next_msg(timeout=10) for _ in range(count)]
        return [((one.headers or {}).get("Nats-Msg-Id", ""), one.subject, decode_event(one.data)) for one in messages]
    finally:
        await client.close()


async def test_each_event_is_in_the_stream_once_with_its_id_and_the_next_seq(
    nats_server: NatsServer, line: Lines, eventually: Eventually
) -> None:
    async with line(nats_server.url) as out:
        for number in range(1, 101):
            out.bus.publish(trade(number))
            out.bus.publish(Quote("binance", "BTCUSDT", number, "1", "1", "2", "1"))
            out.bus.publish(BookL2("binance", "BTC/USD", number, [("1", "2")], []))
            out.bus.publish(Status("binance", "BTCUSDT", number, "gap", {}))
        await eventually(lambda: out.sink.acks.acked == 400)
        said = out.sink.describe()
    assert out.left == []
    found = await stream(nats_server.url)
    by_subject: dict[str, list[Event]] = {}
    for _, subject, event in found:
        by_subject.setdefault(subject, []).append(event)
    assert len(by_subject) == 4
    for events in by_subject.values():
        assert [event.seq for event in events] == [event.ts_recv for event in events] == list(range(1, 101))
    ids = [name for name, _, _ in found]
    assert ids[:4] == [
        "binance:BTCUSDT:trade:1",
        "binance:BTCUSDT:quote:7-1",
        "binance:BTC/USD:book_l2:7-1",
        "binance:BTCUSDT:status:7-1",
    ]
    assert len(set(ids)) == 400
    assert (said["published"], said["acked"], said["pending"], said["state"]) == (400, 400, 0, "open")
    assert said["ack_latency_ms"]["p99"] > 0
    assert "sync_interval" in said["an_ack_means"]


async def test_killing_nats_under_load_loses_and_doubles_nothing(
    nats_server: NatsServer, line: Lines, eventually: Eventually
) -> None:
    number = 0
    flowing = True

    async def flow(out: Line) -> None:
        nonlocal number
        while flowing:
            for _ in range(20):
                number += 1
                out.bus.publish(trade(number, ("BTCUSDT", "ETHUSDT")[number % 2]))
            await asyncio.sleep(0.0005)

    async with line(nats_server.url) as out:
        feeding = asyncio.create_task(flow(out))
        for _ in range(3):
            goal = out.sink.acks.acked + 1_000
            await eventually(lambda goal=goal: out.sink.acks.acked > goal)
            nats_server.kill()
            await eventually(lambda: not out.link.connected)
            nats_server.start()
        await eventually(lambda: out.sink.reachable)
        flowing = False
        await feeding
        await eventually(lambda: len(out.buffer) == 0)
        account = out.buffer.accounts[Trade]
    assert out.left == []
    assert account.delivered == account.received == number
    acks = out.sink.acks
    assert (acks.published, acks.acked, acks.pending, acks.suppressed) == (number, number, 0, 0)
    found = [event for _, _, event in await stream(nats_server.url)]
    for symbol, rest in (("BTCUSDT", 0), ("ETHUSDT", 1)):
        events = [event for event in found if event.symbol == symbol]
        assert [event.ts_recv for event in events] == [each for each in range(1, number + 1) if each % 2 == rest]
        assert [event.seq for event in events] == list(range(1, len(events) + 1))


async def test_trades_published_again_by_a_later_run_are_in_the_stream_once(
    nats_server: NatsServer, line: Lines, eventually: Eventually
) -> None:
    for epoch, last in ((7, 100), (8, 150)):
        async with line(nats_server.url, epoch=epoch) as out:
            for number in range(1, last + 1):
                out.bus.publish(trade(number))
            await eventually(lambda last=last: out.sink.acks.acked == last)
        if epoch == 8:
            assert out.sink.acks.suppressed == out.sink.acks.duplicates == 100
    counts = Counter(event.ts_recv for _, _, event in await stream(nats_server.url))
    assert counts == dict.fromkeys(range(1, 151), 1)


async def test_what_is_not_acknowledged_at_the_end_is_given_back(
    nats_server: NatsServer, line: Lines, eventually: Eventually
) -> None:
    async with line(nats_server.url, close_s=0.7) as out:
        out.bus.publish(trade(1))
        await eventually(lambda: out.sink.acks.acked == 1)
        nats_server.pause()
        for number in range(2, 102):
            out.bus.publish(trade(number))
        assert out.sink.acks.pending == 100
    nats_server.resume()
    assert [event.ts_recv for event in out.left] == list(range(2, 102))
    assert all(isinstance(event, Trade) for event in out.left)


async def test_a_full_store_keeps_the_events_here_and_says_why(line: Lines, eventually: Eventually) -> None:
    with NatsServer(jetstream_limits="max_file_store: 1MB") as server:
        async with line(server.url, options=StreamOptions(max_bytes=-1)) as out:
            number = 0
            while out.sink.trouble is None:
                for _ in range(20):
                    number += 1
                    out.bus.publish(trade(number))
                await asyncio.sleep(0.001)
            assert "insufficient resources" in out.sink.trouble
            assert not out.sink.reachable
            assert out.sink.describe()["refused_by_the_stream"]["10023"] >= 1
            client = await nats.connect(server.url)
            seen: list[int] = []
            while True:
                await eventually(lambda: out.sink.acks.acked == number or out.sink.trouble is not None)
                seen += [event.ts_recv for _, _, event in await stream(server.url)]
                acked = out.sink.acks.acked
                if acked == number:
                    break
                await client.jetstream().purge_stream("MD_EVENTS")
                await eventually(lambda acked=acked: out.sink.acks.acked > acked)
            await client.close()
        assert out.buffer.accounts[Trade].delivered == number
    assert seen == list(range(1, number + 1))


async def test_an_event_that_can_never_be_stored_is_dropped_and_holds_no_other(
    line: Lines, eventually: Eventually
) -> None:
    with NatsServer("max_payload: 65536") as server:
        async with line(server.url) as out:
            await eventually(lambda: out.sink.reachable)
            out.bus.publish(Status("binance", "BTCUSDT", 1, "gap", {"text": "x" * 70_000}))
            out.bus.publish(Trade("binance", "BTCUSDT", 2, "1", "1", "7\r\nNats-Rollup: all"))
            out.bus.publish(trade(3))
            await eventually(lambda: out.sink.acks.acked == 1)
        assert (out.buffer.failures, out.buffer.accounts[Trade].delivered) == (2, 1)
        assert [event.ts_recv for _, _, event in await stream(server.url)] == [3]


def test_an_id_is_one_line() -> None:
    with pytest.raises(UndeliverableError, match="one line"):
        message_id(Trade("binance", "BTCUSDT", 1, "1", "1", "7\n"))
    assert message_id(Trade("binance", "BTCUSDT", 1, "1", "1", "", seq=3, epoch=9)) == "binance:BTCUSDT:trade:9-3"


async def test_a_server_without_jetstream_ends_the_sink_with_what_to_do(line: Lines) -> None:
    with NatsServer(jetstream=False) as server:
        writable = asyncio.Event()
        link = Link(LinkOptions(url=server.url, name="test", replies=True), on_writable=writable.set)
        sink = JetStreamSink(link, writable, StreamOptions(), epoch=1)
        with pytest.raises(NoJetStreamError, match="nats-server -js"):
            await sink.run()
        assert not link.connected
