"""Publishing with acknowledgement against the real server: what is acknowledged is in the stream, once and in order."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import pytest

from nats_link.jetstream import NoJetStreamError, StreamOptions
from nats_link.jetstream.states import State
from nats_link.testing import NatsServer

Until: TypeAlias = Callable[..., Awaitable[None]]


async def test_what_is_published_is_acknowledged_and_in_the_stream(
    nats_server: NatsServer, line: Any, stored: Any, until: Until, path: str
) -> None:
    out = line(nats_server.url)
    await until(lambda: out.window.is_open)
    while out.next < 5_000:
        if not out.publish():
            await asyncio.sleep(0)
    assert await out.publisher.settle(10)
    assert (out.window.acked, out.window.pending, out.window.pending_bytes) == (5_000, 0, 0)
    assert (out.window.resent, out.window.duplicates, out.window.trouble) == (0, 0, None)
    assert out.accounts_close()
    assert await stored(nats_server.url) == list(range(5_000))
    assert out.window.latencies_s
    assert 0 < max(out.window.latencies_s) < 10


async def test_a_server_killed_again_and_again_loses_and_doubles_nothing(
    nats_server: NatsServer, line: Any, stored: Any, until: Until
) -> None:
    out = line(nats_server.url)
    await until(lambda: out.window.is_open)
    flowing = True

    async def flow() -> None:
        while flowing:
            for _ in range(50):
                out.publish(size=200)
            await asyncio.sleep(0.0005)

    flow_task = asyncio.create_task(flow())
    for _ in range(4):
        goal = out.window.acked + 1_000
        await until(lambda goal=goal: out.window.acked > goal)
        nats_server.kill()
        await until(lambda: not out.link.connected)
        assert out.window.state is State.SHUT
        assert not out.publish(), "nothing is accepted while nobody can acknowledge it"
        nats_server.start()
    flowing = False
    await flow_task
    assert await out.publisher.settle(10)
    assert out.accounts_close()
    assert out.window.resent > 0, "else this test shows nothing"
    assert await stored(nats_server.url) == list(range(out.next)), "each once, in the order of publishing"


async def test_a_frozen_server_is_waited_for(
    nats_server: NatsServer, line: Any, stored: Any, until: Until, path: str
) -> None:
    quick = {"ping_interval_s": 0.2, "connect_timeout_s": 0.2}
    out = line(nats_server.url, link_options=quick, max_messages=500)
    await until(lambda: out.window.is_open)
    assert out.publish()
    assert await out.publisher.settle(10)
    nats_server.pause()
    while out.publish():
        pass
    full = out.window.pending
    assert full == 500 or path == "plain"
    await until(lambda: not out.link.connected)
    await until(lambda: out.link.errors >= 2, 30)
    nats_server.resume()
    await until(out.publish)
    assert await out.publisher.settle(10)
    assert out.accounts_close()
    assert await stored(nats_server.url) == list(range(out.next))


async def test_an_outage_longer_than_the_memory_for_ids_doubles_nothing(
    nats_server: NatsServer, line: Any, stored: Any, proxy: Any, until: Until
) -> None:
    way = await proxy(nats_server.port)
    options = StreamOptions(max_bytes=10_000_000, duplicate_window_s=0.2)
    out = line(way.url, options, link_options={"ping_interval_s": 60})
    await until(lambda: out.window.is_open)
    way.deaf = True
    for number in range(100):
        assert out.publish(f"md.events.trade.{'ABC'[number % 3]}")
    assert await out.link.flush(0.2) is False
    assert (await stored(nats_server.url)) == list(range(100)), "all stored, and nobody has heard of it"
    assert out.window.pending == 100
    nats_server.stop()
    way.cut()
    await until(lambda: not out.link.connected)
    assert not out.publish()
    await asyncio.sleep(0.3)  # the stream forgets the ids with time, and tells nobody
    way.deaf = False
    nats_server.start()
    await until(lambda: out.window.is_open)
    assert out.publish("md.events.trade.A")
    assert await out.publisher.settle(10)
    assert (out.window.acked, out.window.duplicates, out.window.suppressed) == (101, 100, 0)
    assert out.accounts_close()
    assert await stored(nats_server.url) == list(range(101))


async def test_a_stall_shorter_than_the_timeouts_costs_nothing(
    nats_server: NatsServer, line: Any, stored: Any, until: Until
) -> None:
    out = line(nats_server.url, link_options={"ping_interval_s": 60}, max_messages=500)
    await until(lambda: out.window.is_open)
    nats_server.pause()
    while out.publish():
        pass
    out.writable.clear()
    nats_server.resume()
    await asyncio.wait_for(out.writable.wait(), 10)
    assert await out.publisher.settle(10)
    assert (out.window.resent, out.window.timeouts, out.link.reconnects) == (0, 0, 0)
    assert await stored(nats_server.url) == list(range(out.next))


async def test_an_answer_that_does_not_come_is_asked_for_again(
    nats_server: NatsServer, line: Any, stored: Any, until: Until
) -> None:
    out = line(nats_server.url, link_options={"ping_interval_s": 60}, ack_timeout_s=0.3)
    await until(lambda: out.window.is_open)
    nats_server.pause()
    for _ in range(100):
        assert out.publish()
    await until(lambda: out.window.state is State.HOLDING)
    assert "not answered for 0.3 s" in out.window.trouble
    assert not out.publish()
    nats_server.resume()
    await until(lambda: out.window.is_open)
    assert out.publish()
    assert await out.publisher.settle(10)
    assert out.window.trouble is None
    assert out.window.timeouts >= 1
    assert out.link.reconnects == 0
    assert await stored(nats_server.url) == list(range(101))


async def test_a_stream_that_was_deleted_is_made_again_and_what_was_on_its_way_arrives(
    nats_server: NatsServer, line: Any, stored: Any, edit_stream: Any, until: Until, path: str
) -> None:
    out = line(nats_server.url)
    await until(lambda: out.window.is_open)
    assert out.publish()
    assert await out.publisher.settle(10)
    async with edit_stream(nats_server.url) as jetstream:
        await jetstream.delete_stream("MD_EVENTS")
    for _ in range(100):
        assert out.publish()
    await until(lambda: out.window.state is State.SHUT)
    await until(lambda: out.window.is_open)
    assert await out.publisher.settle(10)
    assert out.accounts_close()
    assert await stored(nats_server.url) == list(range(1, 101))


async def test_a_full_store_is_told_and_all_goes_on_when_there_is_room(
    line: Any, stored: Any, edit_stream: Any, until: Until
) -> None:
    options = StreamOptions(max_bytes=-1)
    with NatsServer(jetstream_limits="max_file_store: 1MB") as server:
        out = line(server.url, options, max_messages=50)
        await until(lambda: out.window.is_open)
        async with edit_stream(server.url) as jetstream:
            while out.window.is_open:
                out.publish(size=5_000)
                await asyncio.sleep(0)
            assert out.window.refusals[10023] or out.window.refusals[10077]
            assert "max_file_store" in out.window.trouble
            assert "refuses messages" in out.window.trouble
            refused = out.window.refused
            assert not out.publish()
            assert out.window.refused == refused + 1
            before = await stored(server.url)
            assert before == list(range(len(before)))
            assert len(before) < out.next
            await jetstream.purge_stream("MD_EVENTS")
            await until(lambda: out.window.is_open)
            assert await out.publisher.settle(10)
            after = await stored(server.url)
        assert out.accounts_close()
        assert (out.window.rejected, out.window.trouble) == (0, None)
        assert [*before, *after] == list(range(out.next)), "each once, in the order of publishing"


async def test_a_message_that_the_stream_never_takes_is_given_up_and_holds_no_other(
    nats_server: NatsServer, line: Any, stored: Any, edit_stream: Any, until: Until
) -> None:
    async with edit_stream(nats_server.url) as jetstream:
        await jetstream.add_stream(name="MD_EVENTS", subjects=["md.events.>"], max_msg_size=1_000)
    out = line(nats_server.url)
    await until(lambda: out.window.is_open)
    for size in (0, 2_000, 0):
        assert out.publish(size=size)
    assert await out.publisher.settle(10)
    assert (out.window.acked, out.window.rejected) == (2, 1)
    assert out.window.is_open
    assert "message size exceeds maximum allowed (10054)" in out.window.rejection
    assert out.accounts_close()
    assert await stored(nats_server.url) == [0, 2]
    assert not out.publisher.publish("md.events.trade.A", "id", b"x" * 2_000_000)
    assert out.window.impossible == 1


async def test_an_id_that_is_there_already_is_counted(
    nats_server: NatsServer, line: Any, stored: Any, until: Until
) -> None:
    out = line(nats_server.url)
    await until(lambda: out.window.is_open)
    for payload in (b"1 first", b"2 again"):
        assert out.publisher.publish("md.events.trade.A", "same", payload)
    assert await out.publisher.settle(10)
    assert (out.window.acked, out.window.duplicates, out.window.suppressed) == (2, 1, 1)
    assert await stored(nats_server.url) == [1]


async def test_without_jetstream_the_start_fails_and_says_what_to_do(line: Any, until: Until) -> None:
    with NatsServer(jetstream=False) as server:
        out = line(server.url)
        with pytest.raises(NoJetStreamError, match="USE_JETSTREAM=false"):
            await out.tasks.pop()
        assert not out.publish()


async def test_a_window_bounded_in_bytes_refuses_and_calls_back(
    nats_server: NatsServer, line: Any, until: Until
) -> None:
    out = line(nats_server.url, max_bytes=100_000)
    await until(lambda: out.window.is_open)
    out.writable.clear()
    while out.publish(size=1_000):
        assert out.window.pending_bytes <= 101_200
    assert out.window.refused == 1
    await asyncio.wait_for(out.writable.wait(), 10)
    assert out.window.pending_bytes <= 50_000
    assert out.publish()
    assert await out.publisher.settle(10)
