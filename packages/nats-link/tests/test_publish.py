"""What is accepted arrives once and in order; what the server would not take is refused."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest

from nats_link import Link
from nats_link.testing import NatsServer

Start: TypeAlias = Callable[..., Link]
Until: TypeAlias = Callable[..., Awaitable[None]]
Listen: TypeAlias = Callable[[str, str], Awaitable[list[tuple[str, bytes]]]]


@pytest.mark.parametrize("count", [100_000])
async def test_every_message_arrives_once_and_in_order(
    nats_server: NatsServer, start_link: Start, listen: Listen, until: Until, count: int
) -> None:
    seen = await listen(nats_server.url, "t.>")
    room = asyncio.Event()
    link = start_link(nats_server.url, on_writable=room.set)
    await until(lambda: link.connected)
    refusals = 0
    for number in range(count):
        while not link.publish(f"t.{number % 7}", b"%d" % number):
            refusals += 1
            room.clear()
            await room.wait()
    assert await link.flush(10)
    await until(lambda: len(seen) >= count)
    assert [int(payload) for _, payload in seen] == list(range(count))
    assert all(subject == f"t.{int(payload) % 7}" for subject, payload in seen)
    assert (link.published, link.refused, link.lost_on_disconnect) == (count, refusals, 0)
    assert (link.pending_messages, link.pending_bytes) == (0, 0)


async def test_both_paths_deliver_every_message_in_order(
    nats_server: NatsServer, start_link: Start, listen: Listen, until: Until, path: str
) -> None:
    seen = await listen(nats_server.url, "t")
    link = start_link(nats_server.url)
    await until(lambda: link.connected)
    for start in range(0, 5000, 100):
        assert all(link.publish("t", b"%d" % number) for number in range(start, start + 100))
        await asyncio.sleep(0)
    assert await link.flush(10)
    await until(lambda: len(seen) >= 5000)
    assert [int(payload) for _, payload in seen] == list(range(5000))
    assert link.published == 5000


async def test_payloads_arrive_byte_for_byte(
    nats_server: NatsServer, start_link: Start, listen: Listen, until: Until, path: str
) -> None:
    seen = await listen(nats_server.url, "t")
    link = start_link(nats_server.url)
    await until(lambda: link.connected)
    payloads = [
        b"",
        b"\r\n",
        b"PUB t 3\r\nabc\r\n",
        bytes(range(256)),
        b"x" * 4095,
        b"x" * 4096,
        b"x" * 4097,
        b"x" * 500_000,
    ]
    assert all(link.publish("t", payload) for payload in payloads)
    assert await link.flush(10)
    await until(lambda: len(seen) >= len(payloads))
    assert [payload for _, payload in seen] == payloads


async def test_a_payload_over_the_servers_limit_is_refused_and_the_connection_stays(
    start_link: Start, listen: Listen, until: Until, path: str
) -> None:
    with NatsServer("max_payload: 65536") as server:
        seen = await listen(server.url, "t")
        link = start_link(server.url)
        await until(lambda: link.connected)
        assert link.publish("t", b"x" * (65536 - 4096))
        assert not link.publish("t", b"x" * (65536 - 4096 + 1))
        assert not link.publish("t", b"x" * 2_000_000)
        assert link.publish("t", b"after")
        assert await link.flush(5)
        await until(lambda: len(seen) >= 2)
    assert [len(payload) for _, payload in seen] == [65536 - 4096, 5]
    assert (link.published, link.refused, link.refused_oversize) == (2, 2, 2)


BAD_SUBJECTS = ["", "a b", "a\r\nPUB x 0\r\n", "a..b", ".a", "a.", "a.*", "a.>", "a\x00b", "a\tb", "\udc80", "x" * 257]


async def test_a_subject_the_server_would_misread_is_refused(
    nats_server: NatsServer, start_link: Start, listen: Listen, until: Until
) -> None:
    seen = await listen(nats_server.url, ">")
    link = start_link(nats_server.url)
    await until(lambda: link.connected)
    assert not any(link.publish(subject, b"bad") for subject in BAD_SUBJECTS)
    assert link.publish("good", b"good")
    assert await link.flush(5)
    await until(lambda: seen)
    assert seen == [("good", b"good")]
    assert (link.published, link.refused, link.refused_subject) == (1, len(BAD_SUBJECTS), len(BAD_SUBJECTS))
    assert link.writable


async def test_nothing_is_accepted_before_the_link_runs(
    nats_server: NatsServer, start_link: Start, until: Until
) -> None:
    link = start_link(nats_server.url)
    assert not link.connected
    assert not link.writable
    assert link.publish("t", b"x") is False
    assert link.refused == 1
    await until(lambda: link.writable)
    assert link.publish("t", b"x")


async def test_the_slow_path_is_announced_once_and_the_fast_one_is_silent(
    nats_server: NatsServer, start_link: Start, until: Until, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    link = start_link(nats_server.url)
    await until(lambda: link.connected)
    nats_server.restart()
    await until(lambda: link.reconnects == 1)
    assert capsys.readouterr().out.count("slower") == (1 if path == "plain" else 0)
