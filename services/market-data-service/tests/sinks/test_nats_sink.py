"""Events through the bus and the NATS sink to a real server, read back by a client that is not ours."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.bus import Buffer, Bus
from app.sinks.nats import NatsSink
from app.sinks.sink import drain
from md_contract.events import BookL2, Heartbeat, Quote, Status, Trade
from nats_link import Link, LinkOptions
from nats_link.testing import NatsServer

EPOCH = 1_700_000_000_000


def trade(number: int, symbol: str = "BTCUSDT") -> Trade:
    return Trade("binance", symbol, number, "100.10", "0.5", str(number), "buy", number)


def quote(number: int, symbol: str = "BTCUSDT") -> Quote:
    return Quote("binance", symbol, number, "1", "1", "2", "1")


def heartbeat(number: int) -> Heartbeat:
    return Heartbeat("binance", "__system__", number, "silent", 1, True)


class Line:
    """Bus, buffer, sink and link of one sink, as the service wires them."""

    def __init__(self, url: str, capacity: int, max_streams: int) -> None:
        writable = asyncio.Event()
        options = LinkOptions(url=url, name="test", max_pending_bytes=65_536)
        self.link = Link(options, on_writable=writable.set)
        self.sink = NatsSink(self.link, writable, epoch=EPOCH, max_streams=max_streams)
        self.told: list[bool] = []
        self.bus = Bus(self.told.append)
        self.buffer: Buffer = self.bus.attach(self.sink.name, self.sink.take, capacity)


Lines = Callable[..., Any]


@pytest.fixture
def line() -> Lines:
    @asynccontextmanager
    async def make(url: str, capacity: int = 1000, max_streams: int = 100) -> AsyncIterator[Line]:
        line = Line(url, capacity, max_streams)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(line.sink.run())
            drains = tasks.create_task(drain(line.buffer, line.sink))
            yield line
            drains.cancel()
            await line.sink.close(2)

    return make


Eventually = Callable[..., Awaitable[None]]


async def test_each_event_arrives_once_with_the_next_seq_of_its_subject(
    nats_server: NatsServer, wiretap: Any, line: Lines, eventually: Eventually
) -> None:
    async with wiretap(nats_server.url) as tap, line(nats_server.url) as out:
        await eventually(lambda: out.link.connected)
        for number in range(1, 101):
            out.bus.publish(trade(number))
            out.bus.publish(quote(number, "BTC/USD"))
            out.bus.publish(BookL2("binance", "BTCUSDT", number, [("1", "2")], []))
            out.bus.publish(Status("binance", "BTCUSDT", number, "gap", {"from": 1}))
        out.bus.publish(heartbeat(1))
        await tap.until(lambda: len(tap.messages) == 401)
    assert tap.subjects == {
        "md.events.trade.BTCUSDT",
        "md.events.quote.BTC_2FUSD",
        "md.events.book_l2.BTCUSDT",
        "md.events.status.BTCUSDT",
        "md.events.heartbeat.__system__",
    }
    for subject in tap.subjects - {"md.events.heartbeat.__system__"}:
        events = tap.on(subject)
        assert [event.seq for event in events] == list(range(1, 101))
        assert [event.ts_recv for event in events] == list(range(1, 101))
        assert {event.epoch for event in events} == {EPOCH}
    assert tap.on("md.events.trade.BTCUSDT")[4] == Trade(
        "binance", "BTCUSDT", 5, "100.10", "0.5", "5", "buy", 5, seq=5, epoch=EPOCH
    )
    assert out.buffer.accounts[Trade].delivered == 100


async def test_what_came_before_nats_was_there_goes_out_in_order_when_it_appears(
    wiretap: Any, line: Lines, eventually: Eventually
) -> None:
    with NatsServer() as server:
        server.stop()
        async with line(server.url) as out:
            for number in range(1, 301):
                out.bus.publish(trade(number))
            assert out.buffer.accounts[Trade].queued == 300
            server.start()
            await eventually(lambda: len(out.buffer) == 0)
            async with wiretap(server.url) as tap:
                out.bus.publish(trade(301))
                await tap.until(lambda: bool(tap.messages) and tap.messages[-1][1].ts_recv == 301)
    assert all(event.seq == event.ts_recv for _, event in tap.messages), "each took its seq on the way out, in order"
    assert out.buffer.accounts[Trade].delivered == 301


async def test_a_stalled_server_conflates_quotes_keeps_trades_and_leaves_no_hole_in_seq(
    nats_server: NatsServer, wiretap: Any, line: Lines, eventually: Eventually
) -> None:
    async with wiretap(nats_server.url) as tap, line(nats_server.url, capacity=1000) as out:
        await eventually(lambda: out.link.connected)
        nats_server.pause()
        number = 0
        while not out.bus.saturated:
            for _ in range(100):
                number += 1
                out.bus.publish(trade(number))
                for symbol in ("BTCUSDT", "ETHUSDT"):
                    out.bus.publish(quote(number, symbol))
            out.bus.publish(heartbeat(number))
            await asyncio.sleep(0)
        accounts = out.buffer.accounts
        assert out.told == [True]
        assert accounts[Quote].queued == 2
        assert accounts[Quote].conflated > 100
        assert accounts[Heartbeat].dropped > 0
        assert accounts[Trade].conflated == accounts[Trade].dropped == 0
        assert all(account.difference == 0 for account in accounts.values())
        nats_server.resume()
        delivered = number + accounts[Quote].received - accounts[Quote].conflated
        await eventually(lambda: len(out.buffer) == 0)
        assert out.told == [True, False]
        last = ("md.events.quote.BTCUSDT", "md.events.quote.ETHUSDT", "md.events.trade.BTCUSDT")
        await tap.until(lambda: sum(len(tap.on(subject)) for subject in last) == delivered)
    assert [event.ts_recv for event in tap.on("md.events.trade.BTCUSDT")] == list(range(1, number + 1))
    for subject in last:
        events = tap.on(subject)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert events[-1].ts_recv == number, "the latest of each always arrives"
    assert all(account.difference == account.queued == 0 for account in accounts.values())


async def test_an_event_no_server_would_take_is_dropped_and_does_not_hold_the_others(
    wiretap: Any, line: Lines, eventually: Eventually
) -> None:
    with NatsServer("max_payload: 65536") as server:
        async with wiretap(server.url) as tap, line(server.url) as out:
            out.bus.publish(trade(1))
            out.bus.publish(Status("binance", "BTCUSDT", 2, "gap", {"text": "x" * 70_000}))
            out.bus.publish(Status("binance", "BTCUSDT", 3, "gap", {}))
            await eventually(lambda: out.link.connected and len(out.buffer) == 0)
            out.bus.publish(Status("binance", "BTCUSDT", 4, "gap", {"text": "x" * 70_000}))
            out.bus.publish(Status("binance", "BTCUSDT", 5, "gap", {"text": "\ud800"}))
            out.bus.publish(trade(6))
            await tap.until(lambda: len(tap.messages) >= 1 and tap.messages[-1][1].ts_recv == 6)
            assert out.buffer.accounts[Status].dropped == 3
            assert out.buffer.accounts[Status].delivered == 1
            assert out.buffer.failures == 3


async def test_one_stream_more_than_the_bound_is_refused_by_name(
    nats_server: NatsServer, line: Lines, eventually: Eventually
) -> None:
    async with line(nats_server.url, max_streams=3) as out:
        await eventually(lambda: out.link.connected)
        for symbol in ("A", "B", "C", "D", "A"):
            out.bus.publish(trade(1, symbol))
        assert out.buffer.accounts[Trade].delivered == 4
        assert out.buffer.accounts[Trade].dropped == 1
        assert "found one more: 'D'" in (out.buffer.last_failure or "")
