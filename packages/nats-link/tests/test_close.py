"""Closing: what was accepted goes out, and nothing is left behind."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest

from nats_link import Link, LinkOptions
from nats_link.testing import NatsServer, free_port

Start: TypeAlias = Callable[..., Link]
Until: TypeAlias = Callable[..., Awaitable[None]]
Listen: TypeAlias = Callable[[str, str], Awaitable[list[tuple[str, bytes]]]]


async def test_close_flushes_everything_accepted(
    nats_server: NatsServer, start_link: Start, listen: Listen, until: Until, path: str
) -> None:
    seen = await listen(nats_server.url, "t")
    link = start_link(nats_server.url)
    await until(lambda: link.connected)
    assert all(link.publish("t", b"%d" % number) for number in range(20_000))
    await link.close(10)
    assert (link.published, link.pending_messages, link.lost_on_disconnect, link.unconfirmed) == (20_000, 0, 0, 0)
    await until(lambda: len(seen) == 20_000)
    assert [int(payload) for _, payload in seen] == list(range(20_000))


async def test_close_again_does_nothing_and_a_closed_link_refuses(
    nats_server: NatsServer, start_link: Start, until: Until
) -> None:
    states: list[bool] = []
    link = start_link(nats_server.url, on_state=states.append)
    await until(lambda: link.connected)
    await asyncio.gather(link.close(1), link.close(1))
    await link.close(1)
    assert states == [True, False]
    assert not link.connected
    assert link.publish("t", b"x") is False
    assert await link.flush(1) is False
    await link.run()


async def test_close_without_a_connection_counts_what_is_lost(
    nats_server: NatsServer, start_link: Start, until: Until, capsys: pytest.CaptureFixture[str]
) -> None:
    link = start_link(nats_server.url, max_pending_bytes=1_000_000, ping_interval_s=60)
    await until(lambda: link.connected)
    nats_server.pause()
    accepted = 0
    while link.publish("t", b"x" * 10_000):
        accepted += 1
        await asyncio.sleep(0)
    waiting = link.pending_messages
    nats_server.kill()
    await until(lambda: not link.connected)
    async with asyncio.timeout(2):
        await link.close(10)
    assert (link.lost_on_disconnect, link.pending_messages) == (waiting, 0)
    assert link.published + waiting == accepted
    assert f"messages_lost={waiting}" in capsys.readouterr().out


async def test_close_does_not_wait_longer_for_a_frozen_server_than_it_may(
    nats_server: NatsServer, start_link: Start, until: Until, path: str
) -> None:
    link = start_link(nats_server.url, ping_interval_s=60)
    await until(lambda: link.connected)
    nats_server.pause()
    # nats-py's own way cannot give up a connection with a full buffer, so only ours gets one here
    accepted = sum(link.publish("t", b"x" * 10_000) for _ in range(2000 if path == "framed" else 1))
    loop = asyncio.get_running_loop()
    began = loop.time()
    await link.close(0.1)
    assert loop.time() - began < 2
    assert link.published + link.lost_on_disconnect == accepted
    assert link.unconfirmed == link.published


async def test_close_while_connecting_ends_at_once(start_link: Start, until: Until) -> None:
    link = start_link(f"nats://127.0.0.1:{free_port()}")
    await until(lambda: link.errors >= 1)
    async with asyncio.timeout(1):
        await link.close(10)


async def test_a_link_closed_before_it_ran_never_connects(nats_server: NatsServer) -> None:
    link = Link(LinkOptions(url=nats_server.url, name="test"))
    await link.close(1)
    await link.run()
    assert not link.connected


async def test_a_cancelled_run_leaves_no_task_behind(nats_server: NatsServer, until: Until, path: str) -> None:
    link = Link(LinkOptions(url=nats_server.url, name="test"))
    link.subscribe("t", "", lambda _subject, _payload: None)
    running = asyncio.create_task(link.run())
    await until(lambda: link.connected)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not link.connected
    await until(lambda: len(asyncio.all_tasks()) == 1)
