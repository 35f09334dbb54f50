"""Faults on purpose, over real sockets, as methods and as GETs."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from exchange_sim import ExchangeSim, Frame, MarketModel, Script

Json = Any
Get = Callable[..., Awaitable[tuple[int, Json]]]
Collect = Callable[..., Awaitable[list[Json]]]
STREAM = "btcusdt@trade"


def numbered(count: int, *actions: tuple[int, Callable[[Any], object]]) -> Script:
    """Frames numbered from 0 on, with actions just before some of them."""
    frames = [(number / 1000, Frame(STREAM, b'{"t":%d}' % number)) for number in range(count)]
    return Script([*((number / 1000 - 0.0005, action) for number, action in actions), *frames])


async def numbers(http: aiohttp.ClientSession, script: Script) -> list[int]:
    async with ExchangeSim(script) as sim, http.ws_connect(f"{sim.ws_url}/ws/{STREAM}") as socket:
        await asyncio.wait_for(sim.done.wait(), 5)
        sim.send_raw('{"t":-1}')
        got: list[int] = []
        while (number := json.loads(await socket.receive_str(timeout=5))["t"]) >= 0:
            got.append(number)
        return got


async def test_without_faults_everything_goes_through(http: aiohttp.ClientSession) -> None:
    assert await numbers(http, numbered(300)) == list(range(300))


async def test_lost_frames_leave_a_hole(http: aiohttp.ClientSession) -> None:
    got = await numbers(http, numbered(20, (5, lambda sim: sim.faults.lose(STREAM, 3))))
    assert got == [0, 1, 2, 3, 4, *range(8, 20)]


async def test_duplicated_frames_come_twice(http: aiohttp.ClientSession) -> None:
    got = await numbers(http, numbered(10, (4, lambda sim: sim.faults.duplicate(STREAM, 2))))
    assert got == [0, 1, 2, 3, 4, 4, 5, 5, 6, 7, 8, 9]


async def test_reordered_frames_swap_places(http: aiohttp.ClientSession) -> None:
    got = await numbers(http, numbered(10, (4, lambda sim: sim.faults.reorder(STREAM, 2))))
    assert got == [0, 1, 2, 3, 5, 4, 7, 6, 8, 9]


async def test_a_mute_exchange_answers_pings_and_requests_but_sends_no_data(http: aiohttp.ClientSession) -> None:
    async with (
        ExchangeSim(MarketModel(1, ["BTCUSDT"], 2000)) as sim,
        http.ws_connect(f"{sim.ws_url}/ws/{STREAM}", autoping=False) as socket,
    ):
        await socket.receive_str(timeout=5)
        sim.faults.mute()
        await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
        while json.loads(await socket.receive_str(timeout=5)) != {"result": [STREAM], "id": 1}:
            pass
        await socket.ping(b"still there?")
        pong = await socket.receive(timeout=5)
        assert (pong.type, bytes(pong.data)) == (aiohttp.WSMsgType.PONG, b"still there?")
        with pytest.raises(TimeoutError):
            await socket.receive(timeout=0.2)
        assert sim.faults.lost[STREAM] > 10
        sim.faults.unmute()
        assert json.loads(await socket.receive_str(timeout=5))["e"] == "trade"


async def test_a_single_stream_can_be_muted(http: aiohttp.ClientSession, collect: Collect) -> None:
    async with (
        ExchangeSim(MarketModel(1, ["BTCUSDT"], 2000)) as sim,
        http.ws_connect(f"{sim.ws_url}/stream?streams={STREAM}/btcusdt@bookTicker") as socket,
    ):
        sim.faults.mute([STREAM])
        messages = await collect(socket, lambda found: len(found) == 300)
        assert Counter(one["stream"] for one in messages[100:]) == {"btcusdt@bookTicker": 200}


async def test_connections_drop_with_a_close_frame_or_a_reset(http: aiohttp.ClientSession) -> None:
    async with ExchangeSim(MarketModel(1, ["BTCUSDT"], 50)) as sim:
        async with http.ws_connect(f"{sim.ws_url}/ws") as socket:
            assert sim.drop(1012, "restart") == 1
            closed = await socket.receive(timeout=5)
            assert (closed.data, closed.extra) == (1012, "restart")
        reader, writer = await asyncio.open_connection("127.0.0.1", sim.port)
        writer.write(
            b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        assert sim.drop() == 1
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_an_exchange_can_refuse_and_accept_again(http: aiohttp.ClientSession, get: Get) -> None:
    async with ExchangeSim(MarketModel(1, ["BTCUSDT"], 50)) as sim:
        sim.refuse()
        with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
            await http.ws_connect(f"{sim.ws_url}/ws")
        sim.refuse(False)
        assert (await get(sim, "/api/v3/ping"))[0] == 200


async def test_rest_calls_fail_as_asked_for(http: aiohttp.ClientSession, get: Get) -> None:
    async with ExchangeSim(MarketModel(1, ["BTCUSDT"], 50)) as sim:
        sim.fail_rest(429, retry_after_s=7)
        async with http.get(f"{sim.rest_url}/api/v3/time") as reply:
            assert (reply.status, reply.headers["Retry-After"]) == (429, "7")
        sim.fail_rest(418, count=2)
        assert [(await get(sim, "/api/v3/time"))[0] for _ in range(3)] == [418, 418, 200]


async def test_a_stale_depth_answer_is_older_than_any_buffer(get: Get) -> None:
    async with ExchangeSim(MarketModel(1, ["BTCUSDT"], 50)) as sim:
        sim.stale_depth()
        _, stale = await get(sim, "/api/v3/depth", symbol="BTCUSDT")
        _, fresh = await get(sim, "/api/v3/depth", symbol="BTCUSDT")
        assert stale["lastUpdateId"] < fresh["lastUpdateId"] - 100_000


async def test_faults_can_be_asked_for_by_get(http: aiohttp.ClientSession, get: Get) -> None:
    async with (
        ExchangeSim(MarketModel(1, ["BTCUSDT"], 2000)) as sim,
        http.ws_connect(f"{sim.ws_url}/ws/{STREAM}") as socket,
    ):
        before = json.loads(await socket.receive_str(timeout=5))["t"]
        assert await get(sim, "/sim/control", do="lose", stream=STREAM, count=2) == (
            200,
            {"ok": True, "do": "lose", "stream": STREAM, "count": "2"},
        )
        while (number := json.loads(await socket.receive_str(timeout=5))["t"]) == before + 1:
            before = number
        assert number == before + 3
        for query in ({"do": "mute"}, {"do": "unmute"}, {"do": "duplicate", "stream": STREAM}):
            assert (await get(sim, "/sim/control", **query))[0] == 200
        for query in ({"do": "reorder", "stream": STREAM}, {"do": "stale_depth"}, {"do": "refuse", "on": "0"}):
            assert (await get(sim, "/sim/control", **query))[0] == 200
        assert (await get(sim, "/sim/control", do="fail_rest", status=500))[0] == 200
        assert (await get(sim, "/api/v3/time"))[0] == 500
        assert (await get(sim, "/sim/control", do="shutdown"))[0] == 200
        while "serverShutdown" not in await socket.receive_str(timeout=5):
            pass
        assert (await get(sim, "/sim/control", do="drop", code=1001))[0] == 200
        while (message := await socket.receive(timeout=5)).type is aiohttp.WSMsgType.TEXT:
            pass
        assert message.data == 1001


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"do": "help"}, "expected do= one of accept_logins, begin_again, burst, cancel"),
        ({}, "expected do= one of"),
        ({"do": "lose"}, "expected stream="),
        ({"do": "lose", "stream": STREAM, "count": "many"}, "invalid literal"),
        ({"do": "fail_rest"}, "expected status="),
        ({"do": "fail_rest", "status": "200"}, "expected an HTTP status of an error"),
    ],
)
async def test_a_wrong_control_call_says_what_was_expected(get: Get, query: dict[str, str], words: str) -> None:
    async with ExchangeSim(MarketModel(1, ["BTCUSDT"], 50)) as sim:
        status, answer = await get(sim, "/sim/control", **query)
        assert (status, answer["ok"]) == (400, False)
        assert words in answer["error"]


async def test_a_script_serves_its_own_depth(get: Get) -> None:
    snapshot = b'{"lastUpdateId":9,"bids":[["1.0","2.0"]],"asks":[["1.1","3.0"]]}'
    async with ExchangeSim(Script([], symbols=["XYUSDT", "ABUSDT"], depths={"XYUSDT": snapshot})) as sim:
        assert await get(sim, "/api/v3/depth", symbol="XYUSDT") == (200, json.loads(snapshot))
        assert (await get(sim, "/api/v3/depth", symbol="ABUSDT"))[1] == {"lastUpdateId": 0, "bids": [], "asks": []}
        _, info = await get(sim, "/api/v3/exchangeInfo")
        assert [row["symbol"] for row in info["symbols"]] == ["XYUSDT", "ABUSDT"]
