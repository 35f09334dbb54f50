"""NATS away, killed, frozen, hostile: the link comes back by itself and its accounts close."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import pytest

from nats_link import Link
from nats_link.testing import NatsServer, free_port

Start: TypeAlias = Callable[..., Link]
Until: TypeAlias = Callable[..., Awaitable[None]]
Listen: TypeAlias = Callable[[str, str], Awaitable[list[tuple[str, bytes]]]]


def accounts_close(link: Link, accepted: int) -> bool:
    return link.published + link.pending_messages + link.lost_on_disconnect == accepted


async def test_a_server_that_comes_late_is_found(
    start_link: Start, listen: Listen, until: Until, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    states: list[bool] = []
    calls: list[str] = []
    link = start_link(f"nats://127.0.0.1:{port}", on_state=states.append, on_writable=lambda: calls.append("writable"))
    await until(lambda: link.errors >= 3)
    assert (link.connected, link.writable, link.last_error) == (False, False, "connection refused")
    assert link.publish("t", b"x") is False
    assert states == []
    with NatsServer(port=port) as server:
        await until(lambda: link.connected)
        seen = await listen(server.url, "t")
        assert link.publish("t", b"now")
        await until(lambda: seen)
        assert (states, calls, link.reconnects) == ([True], ["writable"], 0)
        await link.close(1)
    said = capsys.readouterr().out
    assert said.count("cannot be reached") == 1
    assert (
        f"NATS cannot be reached at nats://127.0.0.1:{port} (connection refused); "
        "retrying, start it with 'make run' or set NATS_URL" in said
    )
    assert said.count("NATS is there") == 1


@pytest.mark.parametrize("rounds", [3])
async def test_killing_the_server_in_mid_flow_loses_no_more_than_is_counted(
    nats_server: NatsServer, start_link: Start, until: Until, path: str, rounds: int
) -> None:
    seen: list[int] = []
    states: list[bool] = []
    link = start_link(
        nats_server.url, [("t", "", lambda _, payload: seen.append(int(payload)))], on_state=states.append
    )
    await until(lambda: link.connected)
    accepted = 0
    refused = 0

    async def flow() -> None:
        nonlocal accepted, refused
        while True:
            for _ in range(50):
                if link.publish("t", b"%d" % accepted):
                    accepted += 1
                else:
                    refused += 1
            await asyncio.sleep(0.0005)

    flowing = asyncio.create_task(flow())
    for number in range(1, rounds + 1):
        before = len(seen)
        await until(lambda before=before: len(seen) > before + 500)
        nats_server.kill()
        await until(lambda: not link.connected)
        nats_server.start()
        await until(lambda number=number: link.reconnects == number)
    flowing.cancel()
    assert await link.flush(5)
    await until(lambda: seen[-1] == accepted - 1)
    assert all(one < two for one, two in itertools.pairwise(seen))
    assert accepted - len(seen) <= link.unconfirmed
    assert accounts_close(link, accepted)
    assert link.refused == refused
    assert states == [True, *[False, True] * rounds]


async def test_a_server_that_reads_slowly_is_not_taken_for_a_dead_one(
    fake_server: Any, start_link: Start, until: Until
) -> None:
    link = start_link(fake_server.url, ping_interval_s=0.2)
    await until(lambda: link.connected)
    fake_server.seconds_per_line = 0.01  # 10 kB in 20 ms: a ping behind half a megabyte waits for a second
    first_line = fake_server.lines
    for _ in range(200):
        assert link.publish("t", b"x" * 10_000)
    await until(lambda: fake_server.lines >= first_line + 400, 20)
    fake_server.seconds_per_line = 0.0
    assert (link.reconnects, link.errors, link.unconfirmed, fake_server.connections) == (0, 0, 0, 1)


async def test_a_frozen_server_makes_the_link_unwritable_and_nothing_is_lost(
    nats_server: NatsServer, start_link: Start, listen: Listen, until: Until, path: str
) -> None:
    seen = await listen(nats_server.url, "t")
    writable = asyncio.Event()
    bound = 1_000_000
    link = start_link(nats_server.url, max_pending_bytes=bound, ping_interval_s=60, on_writable=writable.set)
    await until(lambda: link.connected)
    nats_server.pause()
    accepted = 0
    while link.writable or accepted == 0:
        for _ in range(10):
            accepted += link.publish("t", b"%d " % accepted + b"x" * 10_000)
        await asyncio.sleep(0)
        assert link.pending_bytes <= bound
    assert link.connected
    refused = link.refused
    assert link.publish("t", b"x" * 10_000) is False
    assert link.refused == refused + 1
    writable.clear()
    nats_server.resume()
    await asyncio.wait_for(writable.wait(), 10)
    assert link.writable
    assert await link.flush(10)
    await until(lambda: len(seen) == accepted)
    assert [int(payload.split()[0]) for _, payload in seen] == list(range(accepted))
    assert (link.published, link.lost_on_disconnect, link.reconnects) == (accepted, 0, 0)


async def test_what_a_dead_connection_left_unsent_goes_out_first_on_the_next(
    nats_server: NatsServer, start_link: Start, until: Until, path: str
) -> None:
    seen: list[int] = []
    link = start_link(
        nats_server.url,
        [("t", "", lambda _, payload: seen.append(int(payload.split()[0])))],
        max_pending_bytes=4_000_000,
        ping_interval_s=60,
    )
    await until(lambda: link.connected)
    nats_server.pause()
    accepted = 0
    while link.publish("t", b"%d " % accepted + b"x" * 10_000):
        accepted += 1
        await asyncio.sleep(0)
    waiting = link.pending_messages
    assert waiting > 100
    nats_server.kill()
    await until(lambda: not link.connected)
    assert link.pending_messages == waiting
    nats_server.start()
    await until(lambda: link.connected)
    assert link.publish("t", b"%d" % accepted)
    await until(lambda: seen and seen[-1] == accepted)
    assert seen == list(range(accepted - waiting, accepted + 1))
    assert link.unconfirmed == accepted - waiting
    assert accounts_close(link, accepted + 1)


async def test_a_frozen_server_is_noticed_by_the_pings(
    nats_server: NatsServer, start_link: Start, until: Until, path: str
) -> None:
    link = start_link(nats_server.url, ping_interval_s=0.1, connect_timeout_s=0.2)
    await until(lambda: link.connected)
    nats_server.pause()
    await until(lambda: not link.connected, 2)
    assert link.last_error == "no answer for 0.2 s"
    await until(lambda: link.last_error == "no answer in time")
    nats_server.resume()
    await until(lambda: link.connected)
    assert link.reconnects == 1


async def test_a_blocked_event_loop_is_not_taken_for_a_dead_server(
    nats_server: NatsServer, start_link: Start, until: Until
) -> None:
    link = start_link(nats_server.url, ping_interval_s=0.03)
    await until(lambda: link.connected)
    errors = link.errors
    loop = asyncio.get_running_loop()
    for _ in range(2):
        end = loop.time() + 0.15
        while loop.time() < end:
            pass
        await asyncio.sleep(0.01)
    assert await link.flush(1)
    assert (link.reconnects, link.errors) == (0, errors)


@pytest.mark.parametrize("pongs", [1, 5])
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (b"-ERR 'Maximum Payload Violation'\r\n", "maximum payload violation"),
        (b"-ERR 'User Authentication Expired'\r\n", "user authentication expired"),
        (b"-ERR 'Stale Connection'\r\n", "stale connection"),
        (b"what is this\r\n", "protocol error"),
        (b"-ERR \r\n", "no answer"),  # ends the reader of nats-py while it believes to be connected
    ],
)
async def test_a_client_that_ended_is_replaced(
    fake_server: Any, start_link: Start, until: Until, words: bytes, reason: str, pongs: int
) -> None:
    fake_server.words = words
    fake_server.pongs_before_words = pongs
    link = start_link(fake_server.url, ping_interval_s=0.03, connect_timeout_s=0.05)
    await until(lambda: fake_server.connections >= 3)
    if pongs == 5:  # earlier ones come in the middle of connecting
        await until(lambda: reason in str(link.last_error))


@pytest.mark.parametrize("pongs", [0, 1, 3, 4])
async def test_a_server_that_does_not_answer_is_left(
    fake_server: Any, start_link: Start, until: Until, pongs: int
) -> None:
    fake_server.max_pongs = pongs
    link = start_link(fake_server.url, ping_interval_s=0.03, connect_timeout_s=0.05)
    await until(lambda: fake_server.connections >= 3)
    assert "no answer" in str(link.last_error)


async def test_a_server_that_still_sends_is_not_taken_for_dead(
    fake_server: Any, start_link: Start, until: Until, path: str
) -> None:
    fake_server.max_pongs = 3
    link = start_link(fake_server.url, [("t", "", lambda _subject, _payload: None)], ping_interval_s=0.05)
    await until(lambda: link.connected)
    for number in range(100):
        fake_server.writers[0].write(b"MSG t 1 1\r\nx\r\n")
        await until(lambda number=number: link.received > number)
        await asyncio.sleep(0.005)
    assert fake_server.connections == 1
    await until(lambda: fake_server.connections == 2)


async def test_something_else_on_the_port_is_named(start_link: Start, until: Until) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        link = start_link(f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        await until(lambda: link.errors >= 2)
        assert "INFO" in str(link.last_error)
        await link.close(1)


async def test_a_callback_that_raises_changes_nothing(
    nats_server: NatsServer, start_link: Start, listen: Listen, until: Until
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("no")

    seen = await listen(nats_server.url, "t")
    link = start_link(nats_server.url, on_state=fail, on_writable=fail)
    await until(lambda: link.connected)
    assert link.publish("t", b"x")
    await until(lambda: seen)
    assert link.errors == 2


async def test_a_connection_given_up_while_nats_py_has_something_to_send_is_made_anew(
    nats_server: NatsServer, start_link: Start, until: Until
) -> None:
    link = start_link(nats_server.url)
    await until(lambda: link.connected)
    connection = link._connection
    assert connection is not None
    client: Any = connection._client
    client._flusher_task.cancel()  # it may be waiting for room in a transport that gives none
    client._pending, client._pending_data_size = [b"PONG\r\n"], 6  # what the server asked for in that very moment
    connection.end("no answer")
    await until(lambda: link.connected and link.reconnects == 1)
