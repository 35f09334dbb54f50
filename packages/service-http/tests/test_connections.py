"""Clients that are many, slow or silent, over real sockets: the others are served."""

import asyncio
import time
from typing import Any

import pytest


async def test_three_hundred_slow_connections_keep_nobody_out(house: Any) -> None:
    async with house() as house:
        slow = [await house.connect() for _ in range(300)]
        for number, client in enumerate(slow):
            client.writer.write(b"GET / HTTP/1.1\r\n" if number % 2 else b"")
        longest = 0.0
        for _ in range(50):
            started = time.perf_counter()
            client = await house.connect()
            assert (await client.ask())[0] == 200
            longest = max(longest, time.perf_counter() - started)
        assert longest < 1
        assert house.gate.evicted == 300 + 50 - house.gate.max_connections
        assert house.gate.refused == 0


async def test_who_waited_longest_gives_way_and_who_is_being_answered_stays(house: Any) -> None:
    async with house(max_connections=3) as house:
        streaming = await house.connect()
        assert (await streaming.ask("/endless"))[0] == 200
        first, second = await house.connect(), await house.connect()
        assert (await second.ask())[0] == 200
        await second.rest()
        assert (await (await house.connect()).ask())[0] == 200
        assert await first.ended() == b""
        assert (await second.ask())[0] == 200, "it came later, and stays"
        assert not streaming.reader.at_eof()
        assert house.gate.evicted == 1


async def test_when_every_connection_is_busy_it_says_so_in_json_and_serves_again_afterwards(
    house: Any, until: Any
) -> None:
    async with house(max_connections=2) as house:
        busy = [await house.connect() for _ in range(2)]
        for client in busy:
            assert (await client.ask("/endless"))[0] == 200
        refused = await house.connect()
        status, headers = await refused.ask()
        assert (status, headers["content-type"], headers["retry-after"]) == (503, "application/json", "1")
        assert set(await refused.json(headers)) == {"error", "hint"}
        assert await refused.ended() == b""
        assert house.gate.refused == 1
        busy[0].writer.close()
        await until(lambda: len(house.server.server_state.connections) == 1)
        assert (await (await house.connect()).ask())[0] == 200


async def test_a_silent_connection_is_closed_and_a_begun_request_is_answered_408(house: Any) -> None:
    async with house(request_s=0.2) as house:
        silent, begun, dripping = [await house.connect() for _ in range(3)]
        begun.writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n")
        assert (await dripping.ask())[0] == 200
        dripping.writer.write(b"GET / HT")  # after an answer: uvicorn alone would wait for ever
        status, headers = await begun.answer()
        assert (status, headers["connection"]) == (408, "close")
        assert "0.2 s" in (await begun.json(headers))["error"]
        for client in (silent, begun):
            assert await client.ended() == b""
        assert b"408" in await dripping.ended()
        assert house.gate.timed_out == 3


async def test_a_body_that_does_not_come_ends_the_connection(house: Any) -> None:
    async with house(request_s=0.2) as house:
        client = await house.connect()
        client.writer.write(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc")
        assert await client.ended() == b""
        whole = await house.connect()
        assert (await whole.ask("/body", "POST", more="Content-Length: 0\r\n"))[0] == 200


async def test_a_client_that_takes_nothing_of_its_answer_is_cut_off(house: Any, until: Any) -> None:
    async with house(stall_s=0.2) as house:
        client = await house.connect()
        assert (await client.ask("/huge"))[0] == 200
        client.reader._transport.pause_reading()
        await until(lambda: house.gate.stalled == 1)
        await until(lambda: not house.server.server_state.connections)


async def test_requests_on_one_connection_begin_their_time_anew(house: Any) -> None:
    async with house(request_s=0.3) as house:
        client = await house.connect()
        started = time.monotonic()
        while time.monotonic() - started < 0.6:
            status, _ = await client.ask()
            assert status == 200
            await client.rest()
        client.writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 5)
        for _ in range(5):
            assert (await client.answer())[0] == 200
            await client.rest()
        assert house.gate.timed_out == 0


@pytest.mark.parametrize("rubbish", [b"\x16\x03\x01\x00\xee", b"hello\r\n\r\n", b"GET / HTTP/1.1\r\nHost : x\r\n\r\n"])
async def test_what_is_no_http_is_answered_400_in_json(house: Any, rubbish: bytes) -> None:
    async with house() as house:
        client = await house.connect()
        client.writer.write(rubbish + b"\r\n\r\n")
        status, headers = await client.answer()
        assert status == 400
        assert set(await client.json(headers)) == {"error", "hint"}
        assert await client.ended() == b""


async def test_rubbish_in_the_middle_of_a_body_ends_the_connection(house: Any) -> None:
    async with house() as house:
        client = await house.connect()
        client.writer.write(b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n")
        assert await client.ended() == b""


@pytest.mark.parametrize("path", ["/", "/endless", "/huge"])
async def test_head_is_the_beginning_of_get_even_where_get_has_no_end(house: Any, path: str) -> None:
    async with house() as house:
        client = await house.connect()
        for _ in range(2):
            status, headers = await client.ask(path, "HEAD")
            assert (status, headers["content-type"]) == (200, "application/json")


async def test_stop_ends_silent_busy_and_stalled_connections_without_a_trace(
    house: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with house() as house:
        silent, busy, stalled = [await house.connect() for _ in range(3)]
        assert (await busy.ask("/endless"))[0] == 200
        assert (await stalled.ask("/huge"))[0] == 200
        stalled.reader._transport.pause_reading()
        house.server.stop()
        async with asyncio.timeout(3):
            await silent.ended()
            await busy.ended()
    assert caplog.text == ""
