"""Bybit over real sockets, beside Binance on the same port, with everything that can be made to go wrong."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from itertools import pairwise
from typing import Any

import aiohttp
import pytest

from exchange_sim import ExchangeSim, Frame, MarketModel, Patience, Script

Json = Any
Get = Callable[..., Awaitable[tuple[int, Json]]]
Collect = Callable[..., Awaitable[list[Json]]]
Socket = aiohttp.ClientWebSocketResponse
BOOK = "spot:orderbook.50.BTCUSDT"


class Client:
    """A client of one category, which keeps what came before an answer."""

    def __init__(self, socket: Socket) -> None:
        self.socket = socket

    async def send(self, op: str, *topics: str) -> None:
        await self.socket.send_json({"op": op, "args": topics, "req_id": "r"} if topics else {"op": op})

    async def read(self) -> Json:
        return json.loads(await self.socket.receive_str(timeout=5))

    async def answer(self) -> Json:
        while "success" not in (message := await self.read()):
            pass
        return message

    async def subscribe(self, *topics: str) -> Json:
        await self.send("subscribe", *topics)
        return await self.answer()

    async def until(self, found: Callable[[Json], bool]) -> list[Json]:
        """Read until a message is found; return all that were read, it included."""
        messages = [await self.read()]
        while not found(messages[-1]):
            messages.append(await self.read())
        return messages


Connect = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def connect(http: aiohttp.ClientSession) -> Connect:
    @asynccontextmanager
    async def open_client(sim: ExchangeSim, category: str = "spot") -> AsyncIterator[Client]:
        async with http.ws_connect(f"{sim.ws_url}/v5/public/{category}", max_msg_size=0) as socket:
            yield Client(socket)

    return open_client


def market(rate: float = 1500) -> MarketModel:
    return MarketModel(7, ["BTCUSDT", "ETHUSDT"], rate)


async def test_both_venues_tell_of_the_same_trades_on_one_port(connect: Connect, http: aiohttp.ClientSession) -> None:
    async with (
        ExchangeSim(market()) as sim,
        connect(sim, "spot") as spot,
        connect(sim, "linear") as linear,
        http.ws_connect(f"{sim.ws_url}/ws/btcusdt@trade") as binance,
    ):
        assert sim.venues == ("binance", "bybit")
        for client in (spot, linear):
            assert (await client.subscribe("publicTrade.BTCUSDT"))["success"]
        trades: list[list[tuple[int, float, float]]] = []
        for client in (spot, linear):
            rows: list[Json] = []
            while len(rows) < 150:
                rows += (await client.read())["data"]
            trades.append([(row["T"], float(row["p"]), float(row["v"])) for row in rows])
        others: list[tuple[int, float, float]] = []
        while not others or others[-1][0] <= max(rows[-1][0] for rows in trades):
            row = json.loads(await binance.receive_str(timeout=5))
            others.append((row["T"], float(row["p"]), float(row["q"])))
        for found in trades:
            assert Counter(found) <= Counter(others)
        assert sim.sent["spot:publicTrade", "BTCUSDT"] > 50
        assert sim.health()["venues"] == {"binance": {"clients": 1}, "bybit": {"clients": 2}}


async def test_a_snapshot_follows_the_acknowledgement_and_deltas_follow_it(
    connect: Connect, bybit_book: type, get: Get
) -> None:
    async with ExchangeSim(market()) as sim, connect(sim) as client:
        await client.send("subscribe", "orderbook.50.BTCUSDT", "orderbook.1.BTCUSDT")
        assert (await client.read())["success"]
        first = [await client.read() for _ in range(2)]
        assert [(one["topic"], one["type"]) for one in first] == [
            ("orderbook.50.BTCUSDT", "snapshot"),
            ("orderbook.1.BTCUSDT", "snapshot"),
        ]
        book, top = bybit_book(50), bybit_book(1)
        seqs: dict[str, int] = {}
        compared = 0
        for message in first:
            (book if "50" in message["topic"] else top).apply(message)
        while compared < 20:
            message = await client.read()
            (book if "50" in message["topic"] else top).apply(message)
            seqs[message["topic"]] = message["data"]["seq"]
            if len(seqs) == 2 and len(set(seqs.values())) == 1:
                assert top.levels() == tuple(side[:1] for side in book.levels())
                compared += 1
        assert book.gaps == 0
        _, answer = await get(sim, "/v5/market/orderbook", category="spot", symbol="BTCUSDT", limit=1)
        assert answer["result"]["seq"] >= message["data"]["seq"]


async def test_leaving_and_joining_a_topic_again_begins_with_a_snapshot(connect: Connect, bybit_book: type) -> None:
    async with ExchangeSim(market()) as sim, connect(sim) as client:
        await client.subscribe("orderbook.50.BTCUSDT")
        await client.until(lambda one: one["type"] == "delta")
        await client.send("unsubscribe", "orderbook.50.BTCUSDT")
        assert (await client.answer())["ret_msg"] == "unsubscribe"
        assert (await client.subscribe("orderbook.50.BTCUSDT"))["success"]
        book = bybit_book(50)
        for _ in range(20):
            book.apply(await client.read())
        assert book.gaps == 0


async def test_a_ping_is_answered_and_a_websocket_ping_as_well(http: aiohttp.ClientSession) -> None:
    async with (
        ExchangeSim(market()) as sim,
        http.ws_connect(f"{sim.ws_url}/v5/public/linear", autoping=False) as socket,
    ):
        await socket.send_json({"op": "ping", "req_id": "7"})
        pong = await socket.receive_json(timeout=5)
        assert (pong["success"], pong["ret_msg"], pong["op"], pong["req_id"]) == (True, "pong", "ping", "7")
        await socket.ping(b"still there?")
        message = await socket.receive(timeout=5)
        assert (message.type, bytes(message.data)) == (aiohttp.WSMsgType.PONG, b"still there?")


async def test_an_idle_connection_is_cut_without_a_word_and_a_talking_one_is_not(
    connect: Connect, http: aiohttp.ClientSession
) -> None:
    patience = Patience(idle_s=0.8)
    async with (
        ExchangeSim(market(50), patience=patience) as sim,
        connect(sim) as idle,
        connect(sim) as pinging,
        connect(sim) as listening,
        http.ws_connect(f"{sim.ws_url}/ws") as binance,
    ):
        await listening.subscribe("publicTrade.BTCUSDT", "publicTrade.ETHUSDT")
        closing = asyncio.ensure_future(idle.socket.receive())
        while not closing.done():
            await pinging.send("ping")
            await pinging.answer()
            with suppress(ConnectionError):  # the cut may come at this very moment
                await idle.socket.ping()
            await asyncio.wait([closing], timeout=0.1)
        message = await closing
        assert message.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED}
        assert idle.socket.close_code == 1006
        assert sim.clients == 3
        await listening.read()
        assert not binance.closed


async def test_bybit_neither_pings_nor_ends_sessions(connect: Connect) -> None:
    patience = Patience(ping_interval_s=0.05, pong_timeout_s=0.1, session_life_s=0.2, notice_s=0.1)
    async with ExchangeSim(market(), patience=patience) as sim, connect(sim) as client:
        await client.subscribe("publicTrade.BTCUSDT")
        begin = (await client.read())["ts"]
        await client.until(lambda one: one["ts"] > begin + 500)
        with pytest.raises(ValueError, match="expected a venue of binance, bybit, found 'kraken'"):
            sim.drop(venue="kraken")


async def test_one_venue_goes_mute_while_the_other_talks(connect: Connect, http: aiohttp.ClientSession) -> None:
    """What a failover has to notice: the socket is open and pings are answered."""
    async with (
        ExchangeSim(market()) as sim,
        connect(sim) as bybit,
        http.ws_connect(f"{sim.ws_url}/ws/btcusdt@trade", autoping=False) as binance,
    ):
        await bybit.subscribe("publicTrade.BTCUSDT")
        await binance.receive_str(timeout=5)
        sim.faults.mute(venue="binance")
        await binance.ping(b"?")
        while (await binance.receive(timeout=5)).type is not aiohttp.WSMsgType.PONG:
            pass
        with pytest.raises(TimeoutError):
            await binance.receive(timeout=0.2)
        begin = (await bybit.read())["ts"]
        await bybit.until(lambda one: one["ts"] > begin + 200)
        sim.faults.unmute(venue="bybit")
        with pytest.raises(TimeoutError):
            await binance.receive(timeout=0.1)
        sim.faults.unmute(venue="binance")
        await binance.receive_str(timeout=5)
        sim.faults.mute(venue="bybit")
        await bybit.send("ping")
        await bybit.answer()
        assert (await bybit.subscribe("orderbook.50.BTCUSDT"))["success"]
        with pytest.raises(TimeoutError):
            await bybit.socket.receive(timeout=0.2)
        assert sim.faults.lost[BOOK] > 0
        await binance.receive_str(timeout=5)
        sim.faults.unmute()
        await bybit.read()


async def test_connections_drop_and_are_refused_by_venue(
    connect: Connect, http: aiohttp.ClientSession, get: Get
) -> None:
    async with ExchangeSim(market()) as sim, connect(sim) as bybit, http.ws_connect(f"{sim.ws_url}/ws") as binance:
        assert sim.drop(1012, "restart", venue="bybit") == 1
        closed = await bybit.socket.receive(timeout=5)
        assert (closed.data, closed.extra) == (1012, "restart")
        sim.refuse(venue="bybit")
        with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
            await http.ws_connect(f"{sim.ws_url}/v5/public/spot")
        async with http.get(f"{sim.rest_url}/v5/market/time") as reply:
            assert reply.status == 503
        assert (await get(sim, "/api/v3/ping"))[0] == 200
        async with http.ws_connect(f"{sim.ws_url}/ws"):
            pass
        sim.refuse()
        with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
            await http.ws_connect(f"{sim.ws_url}/ws")
        assert (await get(sim, "/sim/control", do="refuse", on="0", venue="bybit"))[0] == 200
        assert (await get(sim, "/v5/market/time"))[0] == 200
        assert not binance.closed


async def test_rest_calls_fail_by_venue(http: aiohttp.ClientSession, get: Get) -> None:
    async with ExchangeSim(market()) as sim:
        sim.fail_rest(403, venue="bybit")
        assert (await get(sim, "/api/v3/time"))[0] == 200
        async with http.get(f"{sim.rest_url}/v5/market/time") as reply:
            assert (reply.status, await reply.read()) == (403, b"access too frequent")
        sim.fail_rest(429, retry_after_s=3, venue="bybit")
        async with http.get(f"{sim.rest_url}/v5/market/time") as reply:
            assert (reply.status, reply.headers["Retry-After"]) == (429, "3")
            assert json.loads(await reply.read())["retCode"] == 10006
        sim.fail_rest(500)
        assert [(await get(sim, path))[0] for path in ("/v5/market/time", "/api/v3/time", "/v5/market/time")] == [
            500,
            500,
            200,
        ]


async def test_a_lost_delta_a_repeated_and_a_late_one(connect: Connect) -> None:
    async with ExchangeSim(market()) as sim, connect(sim) as client:
        await client.subscribe("orderbook.50.BTCUSDT")
        numbers = [(await client.read())["data"]["u"]]

        async def steps(count: int) -> list[int]:
            found = [numbers[-1], *[(await client.read())["data"]["u"] for _ in range(count)]]
            numbers.append(found[-1])
            return [after - before for before, after in pairwise(found)]

        sim.faults.lose(BOOK)
        assert Counter(await steps(20)) == {1: 19, 2: 1}
        sim.faults.duplicate(BOOK)
        assert Counter(await steps(20)) == {1: 19, 0: 1}
        sim.faults.reorder(BOOK)
        assert Counter(await steps(20)) == {1: 17, 2: 2, -1: 1}


async def test_a_snapshot_in_mid_stream_replaces_the_book(connect: Connect, bybit_book: type) -> None:
    async with ExchangeSim(market()) as sim, connect(sim) as client:
        await client.subscribe("orderbook.50.BTCUSDT")
        before = await client.until(lambda one: one["type"] == "delta")
        sim.bybit.resend(BOOK)
        *between, snapshot = await client.until(lambda one: one["type"] == "snapshot")
        kept, fresh = bybit_book(50), bybit_book(50)
        for message in (*before, *between):
            kept.apply(message)
        fresh.apply(snapshot)
        assert fresh.levels() == kept.levels()
        for _ in range(20):
            fresh.apply(await client.read())
        assert (kept.gaps, fresh.gaps) == (0, 0)


@pytest.mark.parametrize("kind", ["snapshot", "delta"])
async def test_a_restarted_service_sends_the_whole_book_as_number_one(
    connect: Connect, bybit_book: type, kind: str
) -> None:
    async with ExchangeSim(market()) as sim, connect(sim) as client:
        await client.subscribe("orderbook.50.BTCUSDT")
        await client.until(lambda one: one["type"] == "delta")
        sim.bybit.restart(BOOK, kind)
        *_, restarted = await client.until(lambda one: one["data"]["u"] == 1)
        assert restarted["type"] == kind
        book = bybit_book(50)
        book.apply(restarted)
        assert [len(side) for side in book.levels()] == [50, 50]
        for _ in range(20):
            book.apply(await client.read())
        assert (book.gaps, book.update_id) == (0, 21)


async def test_deltas_can_delete_levels_that_are_not_there(connect: Connect, bybit_book: type) -> None:
    async with ExchangeSim(market()) as sim, connect(sim) as client:
        await client.subscribe("orderbook.50.BTCUSDT")
        book = bybit_book(50)
        book.apply(await client.read())
        sim.bybit.delete_absent(BOOK, 3)
        for _ in range(30):
            book.apply(await client.read())
        assert (book.absent, book.gaps) == (3, 0)


async def test_messages_may_have_their_keys_in_another_order_and_ts_as_text(connect: Connect) -> None:
    async with ExchangeSim(market()) as sim, connect(sim) as client:
        sim.bybit.reorder_keys()
        sim.bybit.text_times()
        await client.subscribe("orderbook.50.BTCUSDT", "publicTrade.BTCUSDT")
        seen: dict[str, Json] = {}
        while len(seen) < 2:
            message = await client.read()
            seen[message["topic"].partition(".")[0]] = message
        assert list(seen["orderbook"]) == ["cts", "data", "type", "ts", "topic"]
        assert list(seen["orderbook"]["data"]) == ["seq", "u", "a", "b", "s"]
        assert list(seen["publicTrade"]["data"][0])[-1] == "i"
        assert isinstance(seen["orderbook"]["ts"], str)
        assert int(seen["orderbook"]["ts"]) >= seen["orderbook"]["cts"]
        sim.bybit.reorder_keys(False)
        sim.bybit.text_times(False)
        await client.until(lambda one: next(iter(one)) == "topic" and isinstance(one["ts"], int))


async def test_data_may_come_before_a_late_acknowledgement(connect: Connect) -> None:
    async with ExchangeSim(market()) as sim, connect(sim) as client:
        sim.bybit.spoil_acks("late")
        await client.send("subscribe", "orderbook.50.BTCUSDT")
        assert (await client.read())["type"] == "snapshot"
        assert (await client.read())["success"]


async def test_a_burst_of_trades_comes_in_three_messages(connect: Connect) -> None:
    async with ExchangeSim(market()) as sim, connect(sim) as client:
        await client.subscribe("publicTrade.ETHUSDT")
        sim.burst("ETHUSDT", 2500)
        *_, big = await client.until(lambda one: len(one["data"]) > 1000)
        more = [await client.read() for _ in range(2)]
        assert [len(one["data"]) for one in (big, *more)] == [1024, 1024, 452]
        assert len({row["seq"] for one in (big, *more) for row in one["data"]}) == 1


async def test_faults_of_bybit_can_be_asked_for_by_get(connect: Connect, get: Get) -> None:
    async with ExchangeSim(market()) as sim, connect(sim) as client:
        await client.subscribe("orderbook.50.BTCUSDT", "publicTrade.BTCUSDT")
        for query in (
            {"do": "resend", "stream": BOOK},
            {"do": "delete_absent", "stream": BOOK, "count": "2"},
            {"do": "restart", "stream": BOOK, "kind": "delta"},
            {"do": "burst", "symbol": "BTCUSDT", "count": "1500"},
            {"do": "text_times"},
            {"do": "reorder_keys"},
            {"do": "reorder_keys", "on": "0"},
            {"do": "option_pongs"},
            {"do": "spoil_acks", "how": "refused"},
            {"do": "mute", "venue": "binance"},
            {"do": "unmute", "venue": "binance"},
            {"do": "fail_rest", "status": "403", "venue": "bybit"},
        ):
            assert await get(sim, "/sim/control", **query) == (200, {"ok": True, **query})
        assert not (await client.subscribe("orderbook.1.BTCUSDT"))["success"]
        await client.send("ping")
        await client.until(lambda one: one.get("op") == "pong")
        assert (await get(sim, "/sim/control", do="drop", venue="bybit"))[0] == 200
        while (message := await client.socket.receive(timeout=5)).type is aiohttp.WSMsgType.TEXT:
            pass
        assert message.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"do": "mute", "venue": "kraken"}, "expected a venue of binance, bybit, found 'kraken'"),
        ({"do": "restart"}, "expected stream= beside do=restart"),
        ({"do": "restart", "stream": BOOK}, "expected an order book that somebody is subscribed to"),
        ({"do": "restart", "stream": BOOK, "kind": "odd"}, "expected a kind of snapshot, delta"),
        ({"do": "resend", "stream": "btcusdt@trade"}, "expected an order book that has begun"),
        ({"do": "spoil_acks", "how": "nicely"}, "expected a bad answer of refused, missing"),
        ({"do": "burst", "symbol": "NOPE", "count": "1"}, "expected a symbol of BTCUSDT, ETHUSDT"),
    ],
)
async def test_a_wrong_control_call_says_what_was_expected(get: Get, query: dict[str, str], words: str) -> None:
    async with ExchangeSim(market()) as sim:
        status, answer = await get(sim, "/sim/control", **query)
        assert (status, answer["ok"]) == (400, False)
        assert words in answer["error"]


async def test_a_script_is_of_the_venues_that_it_names(connect: Connect, http: aiohttp.ClientSession, get: Get) -> None:
    texts = [b'{"topic":"publicTrade.BTCUSDT","data":[%d]}' % number for number in range(3)]
    script = Script([(0, Frame("spot:publicTrade.BTCUSDT", text)) for text in texts], venues=["bybit"])
    async with ExchangeSim(script) as sim, connect(sim) as client:
        assert sim.venues == ("bybit",)
        assert (await client.subscribe("publicTrade.BTCUSDT", "orderbook.50.BTCUSDT"))["success"]
        assert [await client.read() for _ in texts] == [json.loads(text) for text in texts]
        with pytest.raises(aiohttp.WSServerHandshakeError, match="404"):
            await http.ws_connect(f"{sim.ws_url}/ws")
        assert (await get(sim, "/v5/market/orderbook", category="spot", symbol="BTCUSDT"))[1]["result"]["u"] == 0
        for query in ({"do": "stale_depth"}, {"do": "shutdown"}, {"do": "burst", "symbol": "BTCUSDT", "count": "1"}):
            assert (await get(sim, "/sim/control", **query))[0] == 400
    async with ExchangeSim(Script([])) as sim:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="404"):
            await http.ws_connect(f"{sim.ws_url}/v5/public/spot")
        assert (await get(sim, "/sim/control", do="text_times"))[0] == 400
    with pytest.raises(ValueError, match="expected venues of binance, bybit"):
        Script([], venues=["kraken"])
