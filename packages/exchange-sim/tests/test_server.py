"""The exchange over real sockets."""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import aiohttp
import pytest

from exchange_sim import ExchangeSim, MarketModel, Patience, PortTakenError, Script

Json = Any
Get = Callable[..., Awaitable[tuple[int, Json]]]
Collect = Callable[..., Awaitable[list[Json]]]


def market(rate: float = 1500) -> MarketModel:
    return MarketModel(7, ["BTCUSDT", "ETHUSDT"], rate)


async def test_a_combined_socket_gets_its_streams_wrapped(http: aiohttp.ClientSession, collect: Collect) -> None:
    async with ExchangeSim(market()) as sim, http.ws_connect(
        f"{sim.ws_url}/stream?streams=btcusdt@trade/ethusdt@bookTicker/btcusdt@depth@100ms/ethusdt@depth20@100ms"
    ) as socket:  # fmt: skip
        wanted = {"btcusdt@trade", "ethusdt@bookTicker", "btcusdt@depth@100ms", "ethusdt@depth20@100ms"}
        messages = await collect(socket, lambda found: {one["stream"] for one in found} == wanted)
        by_stream = {one["stream"]: one["data"] for one in messages}
        assert by_stream["btcusdt@trade"]["s"] == "BTCUSDT"
        assert by_stream["ethusdt@bookTicker"].keys() == {"u", "s", "b", "B", "a", "A"}
        assert by_stream["btcusdt@depth@100ms"]["e"] == "depthUpdate"
        assert by_stream["ethusdt@depth20@100ms"].keys() == {"lastUpdateId", "bids", "asks"}
        assert sim.clients == 1
        assert sim.sent["trade", "BTCUSDT"] >= sum(one["stream"] == "btcusdt@trade" for one in messages)
        assert {symbol for _, symbol in sim.sent} == {"BTCUSDT", "ETHUSDT"}


async def test_event_times_are_a_few_milliseconds_before_the_wire(
    http: aiohttp.ClientSession, collect: Collect
) -> None:
    async with ExchangeSim(market()) as sim, http.ws_connect(f"{sim.ws_url}/ws/btcusdt@trade") as socket:
        for _ in range(3):
            await collect(socket, lambda found: len(found) >= 20)
            (row,) = await collect(socket, lambda found: len(found) == 1)
            assert row["T"] <= row["E"] < time.time() * 1000 < row["T"] + 2000


async def test_a_raw_socket_subscribes_by_message_and_unsubscribes(
    http: aiohttp.ClientSession, collect: Collect
) -> None:
    async with ExchangeSim(market()) as sim, http.ws_connect(f"{sim.ws_url}/ws") as socket:
        await socket.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@trade", "nosuch@trade"], "id": 1})
        assert await collect(socket, lambda found: len(found) == 1) == [{"result": None, "id": 1}]
        messages = await collect(socket, lambda found: len(found) == 20)
        assert {one["e"] for one in messages} == {"trade"}
        await socket.send_json({"method": "UNSUBSCRIBE", "params": ["btcusdt@trade"], "id": 2})
        await collect(socket, lambda found: found[-1:] == [{"result": None, "id": 2}])
        await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 3})
        assert await collect(socket, lambda found: len(found) == 1) == [{"result": ["nosuch@trade"], "id": 3}]


async def test_replies_are_not_wrapped_and_the_property_switches_the_wrapping(
    http: aiohttp.ClientSession, collect: Collect
) -> None:
    async with ExchangeSim(market()) as sim, http.ws_connect(f"{sim.ws_url}/stream?streams=btcusdt@trade") as socket:
        await socket.send_json({"method": "SET_PROPERTY", "params": ["combined", False], "id": 9})
        messages = await collect(socket, lambda found: found[-1:] == [{"result": None, "id": 9}])
        assert all("stream" in one for one in messages[:-1])
        assert all(one["e"] == "trade" for one in await collect(socket, lambda found: len(found) == 10))


async def test_every_subscriber_gets_the_same_events_in_its_own_form(
    http: aiohttp.ClientSession, collect: Collect
) -> None:
    async with (
        ExchangeSim(market()) as sim,
        http.ws_connect(f"{sim.ws_url}/stream?streams=btcusdt@trade") as combined,
        http.ws_connect(f"{sim.ws_url}/ws/btcusdt@trade") as raw,
        http.ws_connect(f"{sim.ws_url}/ws/btcusdt@trade?timeUnit=MICROSECOND") as micro,
    ):
        first = [one["data"] for one in await collect(combined, lambda found: len(found) == 150)]
        ids = {row["t"]: row for row in first}
        second = [row for row in await collect(raw, lambda found: len(found) == 100) if row["t"] in ids]
        third = [row for row in await collect(micro, lambda found: len(found) == 100) if row["t"] in ids]
        assert len(second) > 50
        assert len(third) > 50
        assert all(row == ids[row["t"]] for row in second)
        assert all(row["T"] == ids[row["t"]]["T"] * 1000 and row["E"] == ids[row["t"]]["E"] * 1000 for row in third)
        assert len(str(third[0]["T"])) == 16


async def test_a_client_synchronises_its_book_over_the_wire(
    http: aiohttp.ClientSession, get: Get, rebuilt_book: type
) -> None:
    async with (
        ExchangeSim(market(2000)) as sim,
        http.ws_connect(f"{sim.ws_url}/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker") as socket,
    ):
        book, quotes, compared = rebuilt_book(), {}, 0
        while compared < 5:
            message = json.loads(await socket.receive_str(timeout=10))
            if message["stream"].endswith("bookTicker"):
                quotes = {message["data"]["u"]: message["data"]}
                continue
            book.apply(message["data"])
            if book.update_id is None:
                _, snapshot = await get(sim, "/api/v3/depth", symbol="BTCUSDT", limit=5000)
                book.load(snapshot)
            elif book.update_id in quotes:
                quote = quotes[book.update_id]
                assert book.top() == tuple(float(quote[name]) for name in "bBaA")
                compared += 1
        assert book.gaps == 0


async def test_the_sixth_control_message_within_a_second_closes_with_1008(http: aiohttp.ClientSession) -> None:
    async with ExchangeSim(market()) as sim, http.ws_connect(f"{sim.ws_url}/ws", autoping=False) as socket:
        for number in range(4):
            await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": number})
        await socket.ping(b"counts")
        await socket.pong(b"counts as well")
        kinds = []
        while (message := await socket.receive(timeout=5)).type is not aiohttp.WSMsgType.CLOSE:
            kinds.append(message.type)
        assert kinds.count(aiohttp.WSMsgType.TEXT) == 4
        assert kinds.count(aiohttp.WSMsgType.PONG) == 1
        assert (message.data, message.extra) == (1008, "Too many requests")


async def test_the_server_pings_and_drops_who_does_not_answer(http: aiohttp.ClientSession) -> None:
    patience = Patience(ping_interval_s=0.25, pong_timeout_s=0.8)
    async with (
        ExchangeSim(market(), patience=patience) as sim,
        http.ws_connect(f"{sim.ws_url}/ws", autoping=False) as answers,
        http.ws_connect(f"{sim.ws_url}/ws", autoping=False) as answers_wrongly,
    ):
        began = time.monotonic()

        async def until_closed(socket: aiohttp.ClientWebSocketResponse, reply: bytes | None) -> aiohttp.WSMessage:
            while (message := await socket.receive(timeout=5)).type is aiohttp.WSMsgType.PING:
                await socket.pong(message.data if reply is None else reply)
            return message

        waiting = asyncio.create_task(until_closed(answers, None))
        closed = await until_closed(answers_wrongly, b"something else")
        assert (closed.type, closed.data, closed.extra) == (aiohttp.WSMsgType.CLOSE, 1008, "Pong timeout")
        assert time.monotonic() - began > 0.8
        assert not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_a_session_is_told_of_its_end_and_then_ended(http: aiohttp.ClientSession) -> None:
    patience = Patience(session_life_s=0.4, notice_s=0.2)
    async with (
        ExchangeSim(market(), patience=patience) as sim,
        http.ws_connect(f"{sim.ws_url}/stream") as combined,
        http.ws_connect(f"{sim.ws_url}/ws") as raw,
    ):
        assert (await combined.receive_json(timeout=5))["stream"] == "!serverShutdown"
        notice = await raw.receive_json(timeout=5)
        assert notice["e"] == "serverShutdown"
        assert abs(notice["E"] / 1000 - time.time()) < 5
        assert (await raw.receive(timeout=5)).data == 1001


async def test_server_shutdown_reaches_every_client_and_can_close_them(http: aiohttp.ClientSession) -> None:
    async with ExchangeSim(market()) as sim, http.ws_connect(f"{sim.ws_url}/stream") as socket:
        sim.server_shutdown()
        assert (await socket.receive_json(timeout=5))["data"]["e"] == "serverShutdown"
        sim.server_shutdown(then_close=True)
        await socket.receive_json(timeout=5)
        assert (await socket.receive(timeout=5)).data == 1001


async def test_rest_and_health_are_on_the_same_port(http: aiohttp.ClientSession, get: Get) -> None:
    async with ExchangeSim(market()) as sim:
        status, now = await get(sim, "/api/v3/time")
        assert status == 200
        assert abs(now["serverTime"] / 1000 - time.time()) < 5
        assert await get(sim, "/api/v3/depth", symbol="NOPE") == (400, {"code": -1121, "msg": "Invalid symbol."})
        _, depth = await get(sim, "/api/v3/depth", symbol="BTCUSDT", limit=3)
        assert (len(depth["bids"]), len(depth["asks"])) == (3, 3)
        assert (await get(sim, "/api/v3/nothing"))[0] == 404
        async with http.ws_connect(f"{sim.ws_url}/ws"):
            _, health = await get(sim, "/sim/health")
            assert (health["ok"], health["simulation"], health["clients"]) == (True, True, 1)
            assert health["symbols"] == ["BTCUSDT", "ETHUSDT"]
        with pytest.raises(aiohttp.WSServerHandshakeError, match="404"):
            await http.ws_connect(f"{sim.ws_url}/nothing")


async def test_a_taken_port_is_named(unused_tcp_port: int) -> None:
    async with ExchangeSim(market(), port=unused_tcp_port):
        with pytest.raises(PortTakenError, match=re.escape(f"127.0.0.1 port {unused_tcp_port}")):
            async with ExchangeSim(market(), port=unused_tcp_port):
                pass


async def test_a_client_that_does_not_read_is_cut_off_by_a_market(http: aiohttp.ClientSession) -> None:
    patience = Patience(high_water_bytes=1 << 16, max_buffer_bytes=1 << 18)
    streams = "/".join(f"btcusdt@depth20@100ms/{symbol}@trade/{symbol}@bookTicker" for symbol in ("btcusdt", "ethusdt"))
    async with ExchangeSim(MarketModel(1, ["BTCUSDT", "ETHUSDT"], 20_000), patience=patience) as sim:
        reader, writer = await asyncio.open_connection("127.0.0.1", sim.port, limit=1024)
        writer.write(
            f"GET /stream?streams={streams} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        await reader.readline()
        async with http.ws_connect(f"{sim.ws_url}/ws/btcusdt@trade") as healthy:
            last = 0
            while sim.clients == 2:
                row = json.loads(await healthy.receive_str(timeout=20))
                assert last in (0, row["t"] - 1)
                last = row["t"]
                assert sim.server.unread < (1 << 18) + (1 << 21)
            assert sim.server.slow_clients_cut == 1
        writer.close()


async def test_a_script_sends_exactly_what_is_written(http: aiohttp.ClientSession) -> None:
    huge = b'{"huge":"' + b"x" * 10_000_000 + b'"}'
    script = Script(
        [
            (0.02, "second"),
            (0.0, '{"broken":'),
            (0.03, huge),
            (0.04, lambda sim: sim.send_raw(b"\x00\xff", binary=True)),
            (0.05, lambda sim: sim.drop(1011, "as written")),
        ]
    )
    async with ExchangeSim(script) as sim, http.ws_connect(
        f"{sim.ws_url}/ws/btcusdt@trade", max_msg_size=0
    ) as socket:  # fmt: skip
        assert [await socket.receive_str(timeout=5) for _ in range(2)] == ['{"broken":', "second"]
        assert (await socket.receive_str(timeout=5)).encode() == huge
        assert await socket.receive_bytes(timeout=5) == b"\x00\xff"
        closed = await socket.receive(timeout=5)
        assert (closed.data, closed.extra) == (1011, "as written")
        await asyncio.wait_for(sim.done.wait(), 5)


async def test_trades_stay_in_sequence_for_a_client_of_two_symbols(
    http: aiohttp.ClientSession, collect: Collect
) -> None:
    async with ExchangeSim(market(2000)) as sim, http.ws_connect(
        f"{sim.ws_url}/stream?streams=btcusdt@trade/ethusdt@trade"
    ) as socket:  # fmt: skip
        messages = await collect(socket, lambda found: len(found) == 800)
        for symbol in ("BTCUSDT", "ETHUSDT"):
            ids = [one["data"]["t"] for one in messages if one["data"]["s"] == symbol]
            assert all(after == before + 1 for before, after in pairwise(ids))
