"""The client on a real nats-server."""

import asyncio
import contextlib
from typing import Any

import pytest

from nats_link import BadUrlError
from nats_link.testing import NatsServer, free_port
from senpai.client import Client, NotConnectedError, NotOpenError, Stream


async def take(stream: Stream[Any], count: int) -> list[Any]:
    async with asyncio.timeout(15):
        return [await anext(stream) for _ in range(count)]


def account(stream: Stream[Any]) -> int:
    """What has become of what was received."""
    kept = stream.given + stream.expired + stream.untrusted + stream.unreadable
    return kept + stream.dropped + stream.conflated + stream.waiting


async def test_signals_of_one_symbol_of_several_and_of_all(nats_server: Any, publisher: Any, until: Any) -> None:
    async with Client(nats_server.url) as client:
        one, two, every = client.signals("btcusdt"), client.signals("BTC/USD", "ETHUSDT"), client.signals()
        await until(lambda: one.connected and two.connected and every.connected)
        await publisher.send(*(publisher.signal(symbol) for symbol in ("BTCUSDT", "BTC/USD", "ETHUSDT", "stETH")))
        assert [signal.symbol for signal in await take(every, 4)] == ["BTCUSDT", "BTC/USD", "ETHUSDT", "stETH"]
        assert [signal.symbol for signal in await take(two, 2)] == ["BTC/USD", "ETHUSDT"]
        (signal,) = await take(one, 1)
        assert (signal.symbol, signal.direction) == ("BTCUSDT", "long")
        assert (one.waiting, two.waiting, every.waiting) == (0, 0, 0)


async def test_expired_signals_are_left_out_unless_asked_for_and_cancels_always_come(
    nats_server: Any, publisher: Any, until: Any
) -> None:
    async with Client(nats_server.url) as client:
        fresh, every = client.signals(), client.signals(expired=True)
        await until(lambda: fresh.connected and every.connected)
        await publisher.send(
            publisher.signal("A", lasts_s=-1), publisher.signal("B", "cancel", lasts_s=-1), publisher.signal("C")
        )
        assert [signal.symbol for signal in await take(fresh, 2)] == ["B", "C"]
        assert [signal.symbol for signal in await take(every, 3)] == ["A", "B", "C"]
        assert (fresh.expired, every.expired) == (1, 0)


async def test_a_signal_that_expires_while_it_waits_is_left_out(nats_server: Any, publisher: Any, until: Any) -> None:
    now_ns = 0
    async with Client(nats_server.url, clock=lambda: now_ns) as client:
        stream = client.signals()
        await until(lambda: stream.connected)
        first, last = publisher.signal("A", lasts_s=5), publisher.signal("B", lasts_s=50)
        await publisher.send(first, last)
        await until(lambda: stream.waiting == 2)
        now_ns = first.valid_until
        assert [signal.symbol for signal in await take(stream, 1)] == ["B"]


async def test_only_trusted_leaves_out_what_is_not_and_counts_it(nats_server: Any, publisher: Any, until: Any) -> None:
    async with Client(nats_server.url) as client:
        features, signals = client.features(only_trusted=True), client.signals(only_trusted=True)
        await until(lambda: features.connected and signals.connected)
        await publisher.send(
            *(publisher.features(seq=number + 1, **flag) for number, flag in enumerate(
                [{"warm": False}, {"stale": True}, {"gap": True}, {}]
            )),
            publisher.signal("A", trusted=False), publisher.signal("B", "cancel", trusted=False), publisher.signal("C"),
        )  # fmt: skip
        assert [vector.seq for vector in await take(features, 1)] == [4]
        assert [signal.symbol for signal in await take(signals, 2)] == ["B", "C"]
        assert (features.untrusted, features.missed, signals.untrusted) == (3, 0, 1)


async def test_holes_in_seq_are_counted_by_symbol(nats_server: Any, publisher: Any, until: Any) -> None:
    async with Client(nats_server.url) as client:
        stream = client.features()
        await until(lambda: stream.connected)
        for symbol, seqs in (("A", (5, 6, 9)), ("B", (1, 2)), ("C", (0, 0))):
            await publisher.send(*(publisher.features(symbol, seq) for seq in seqs))
        again = publisher.features("A", 1)
        again.epoch += 1
        await publisher.send(again)
        assert len(await take(stream, 8)) == 8
        assert stream.missed == 2


async def test_a_reader_who_is_slow_gets_the_newest_and_everything_is_accounted_for(
    nats_server: Any, publisher: Any, until: Any
) -> None:
    async with Client(nats_server.url) as client:
        queue, latest = client.features(buffer=10), client.features(latest=True)
        await until(lambda: queue.connected and latest.connected)
        await publisher.send(*(publisher.features("AB"[seq % 2], seq // 2 + 1, mid=seq) for seq in range(1_000)))
        await until(lambda: queue.received == latest.received == 1_000)
        assert [vector.features["mid"] for vector in await take(queue, 10)] == list(range(990, 1_000))
        assert [vector.features["mid"] for vector in await take(latest, 2)] == [998, 999]
        assert (queue.dropped, latest.conflated, latest.dropped) == (990, 998, 0)
        assert (queue.missed, latest.missed) == (0, 0)
        assert account(queue) == account(latest) == 1_000


async def test_what_cannot_be_read_is_counted_and_its_neighbours_come(
    nats_server: Any, publisher: Any, until: Any
) -> None:
    async with Client(nats_server.url) as client:
        signals, features, alerts, events = client.signals(), client.features(), client.alerts(), client.events()
        streams: list[Stream[Any]] = [signals, features, alerts, events]
        await until(lambda: all(stream.connected for stream in streams))
        for rubbish in (b"", b"{", b"\xff", b"[]", b'{"type":"trade"}', b"null", b"{" * 2_000):
            for subject in ("senpai.signals.A", "senpai.features.A", "senpai.alerts", "md.events.trade.A"):
                await publisher.send_raw(subject, rubbish)
        await publisher.send(publisher.signal(), publisher.features(), publisher.alert())
        await take(signals, 1)
        await take(features, 1)
        (alert,) = await take(alerts, 1)
        assert (alert.kind, alert.state) == ("gap", "firing")
        await until(lambda: events.received == 7)
        for stream in streams:
            assert stream.unreadable == 7
            assert account(stream) == stream.received
        assert signals.last_unreadable is not None
        assert signals.last_unreadable.startswith("senpai.signals.A: ")


async def test_events_by_type_and_symbol(nats_server: Any, publisher: Any, until: Any) -> None:
    body = '"provider":"binance","symbol":"BTC/USD","ts_recv":1'
    trade = f'{{"type":"trade",{body},"price":"1","size":"2","trade_id":"3","seq":4,"epoch":5}}'.encode()
    quote = f'{{"type":"quote",{body},"bid":"1","bid_size":"2","ask":"3","ask_size":"4"}}'.encode()
    async with Client(nats_server.url) as client:
        trades, every = client.events("BTC/USD", types=["trade"]), client.events()
        await until(lambda: trades.connected and every.connected)
        await publisher.send_raw("md.events.trade.BTC_2FUSD", trade)
        await publisher.send_raw("md.events.quote.BTC_2FUSD", quote)
        assert [type(event).__name__ for event in await take(every, 2)] == ["Trade", "Quote"]
        assert [event.seq for event in await take(trades, 1)] == [4]
        with pytest.raises(ValueError, match="unknown type 'ticks': expected some of trade"):
            client.events(types=["ticks"])


async def test_two_tasks_on_one_stream_share_it_and_two_streams_do_not(
    nats_server: Any, publisher: Any, until: Any
) -> None:
    async def read(stream: Stream[Any], into: list[int]) -> None:
        async for vector in stream:
            into += [vector.seq]

    async with Client(nats_server.url) as client, asyncio.TaskGroup() as tasks:
        shared, alone = client.features("A"), client.features("A")
        first, second, other = list[int](), list[int](), list[int]()
        for stream, into in ((shared, first), (shared, second), (alone, other)):
            tasks.create_task(read(stream, into))
        await until(lambda: shared.connected and alone.connected)
        await publisher.send(*(publisher.features("A", seq) for seq in range(1, 101)))
        await until(lambda: len(other) == len(first) + len(second) == 100)
        assert sorted(first + second) == other == list(range(1, 101))
        await shared.aclose()
        await alone.aclose()


async def test_it_connects_again_by_itself_after_a_restart_of_the_server(
    nats_server: Any, publisher: Any, connect: Any, until: Any
) -> None:
    async with Client(nats_server.url) as client:
        stream = client.features("A")
        await until(lambda: stream.connected)
        await publisher.send(publisher.features("A", 1))
        assert (await anext(stream)).seq == 1
        reading = asyncio.ensure_future(anext(stream))
        nats_server.kill()
        await until(lambda: not stream.connected)
        assert not reading.done()
        nats_server.restart()
        await until(lambda: stream.connected)
        other = await connect()
        await other.send(publisher.features("A", 4))
        assert (await asyncio.wait_for(reading, 15)).seq == 4
        assert (stream.reconnects, stream.missed) == (1, 2)
        await other.client.close()


async def test_a_server_that_is_not_there_is_said_with_what_to_do_and_without_the_password() -> None:
    port = free_port()
    async with Client(f"nats://me:geheim@127.0.0.1:{port}", connect_timeout_s=0.3) as client:
        stream = client.signals()
        for _ in range(2):
            with pytest.raises(NotConnectedError, match=f"127.0.0.1:{port} within 0.3 s .*connect_timeout_s") as raised:
                await anext(stream)
            assert "geheim" not in str(raised.value)


async def test_without_a_timeout_it_waits_for_the_server(until: Any, connect: Any) -> None:
    server = NatsServer(port=free_port())
    async with Client(server.url, connect_timeout_s=None) as client:
        stream = client.alerts()
        reading = asyncio.ensure_future(anext(stream))
        with server:
            await until(lambda: stream.connected)
            assert not reading.done()
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading


async def test_the_end_of_the_client_ends_its_streams_after_what_waits(
    nats_server: Any, publisher: Any, until: Any
) -> None:
    async with Client(nats_server.url) as client:
        stream = client.features()
        await until(lambda: stream.connected)
        await publisher.send(publisher.features("A", 1), publisher.features("A", 2))
        await until(lambda: stream.waiting == 2)
    assert [vector.seq async for vector in stream] == [1, 2]
    assert not stream.connected
    with pytest.raises(NotOpenError, match="async with"):
        client.signals()


async def test_a_stream_can_be_ended_alone(nats_server: Any, publisher: Any, until: Any) -> None:
    async with Client(nats_server.url) as client:
        async with client.features() as first:
            other = client.features()
            await until(lambda: first.connected and other.connected)
        assert [vector async for vector in first] == []
        await publisher.send(publisher.features("A", 1))
        assert len(await take(other, 1)) == 1


async def test_the_loop_goes_on_while_a_flood_comes_in(nats_server: Any, publisher: Any, until: Any) -> None:
    async with Client(nats_server.url) as client:
        stream = client.features(buffer=100)
        await until(lambda: stream.connected)
        loop = asyncio.get_running_loop()
        longest = 0.0

        async def look() -> None:
            nonlocal longest
            while stream.received < 20_000:
                before = loop.time()
                await asyncio.sleep(0)
                longest = max(longest, loop.time() - before)

        looking = asyncio.create_task(look())
        await publisher.send(*(publisher.features("A", seq) for seq in range(1, 20_001)))
        await asyncio.wait_for(looking, 30)
        assert stream.dropped == 20_000 - 100
        assert longest < 1


@pytest.mark.parametrize("url", ["http://127.0.0.1", "nats://", "nats://127.0.0.1:99999"])
def test_a_url_that_is_none_is_said_at_once(url: str) -> None:
    with pytest.raises(BadUrlError):
        Client(url)


async def test_a_buffer_for_nothing_is_refused() -> None:
    async with Client() as client:
        for ask in (client.signals, client.features, client.alerts, client.events):
            with pytest.raises(ValueError, match="buffer: expected at least 1, found 0"):
                ask(buffer=0)
        with pytest.raises(ValueError, match="buffer"):
            client.features(latest=True, buffer=0)


async def test_events_of_no_type_named_are_those_of_all(nats_server: Any, publisher: Any, until: Any) -> None:
    async with Client(nats_server.url) as client:
        stream = client.events(types=[])
        await until(lambda: stream.connected)
        await publisher.send_raw(
            "md.events.trade.X",
            b'{"type":"trade","provider":"a","symbol":"X","ts_recv":1,"price":"1","size":"1","trade_id":"1"}',
        )
        (event,) = await take(stream, 1)
        assert event.symbol == "X"
