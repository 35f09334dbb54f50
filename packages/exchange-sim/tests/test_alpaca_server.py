"""Alpaca over real sockets, beside the others on one port, with everything that can be made to go wrong."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from exchange_sim import ExchangeSim, Frame, MarketModel, Patience, Script
from exchange_sim.market import shape_of

Json = Any
Get = Callable[..., Awaitable[tuple[int, Json]]]
IEX, CRYPTO = "/v2/iex", "/v1beta3/crypto/us"
QUICK = Patience(login_s=0.15, linger_s=0.3)


class Client:
    """A client of one endpoint. `arrays` is every frame that came."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.arrays: list[Json] = []

    async def read(self) -> Json:
        array = json.loads(await self.socket.receive_str(timeout=5), parse_float=Decimal)
        self.arrays.append(array)
        return array

    async def answer(self) -> Json:
        """Read until an answer comes, which is always alone in its array."""
        while (array := await self.read())[0]["T"] not in {"success", "error", "subscription"}:
            pass
        (message,) = array
        return message

    async def ask(self, **request: Json) -> Json:
        await self.socket.send_json(request)
        return await self.answer()

    async def log_in(self) -> Json:
        return await self.ask(action="auth", key="any", secret="thing")

    async def until(self, found: Callable[[Json], bool]) -> Json:
        """Read until a message is found, and return it."""
        while True:
            for message in await self.read():
                if found(message):
                    return message

    async def end(self) -> list[Json]:
        """Read to the end of the connection; return the messages that came before it."""
        messages: list[Json] = []
        while (message := await self.socket.receive(timeout=5)).type is aiohttp.WSMsgType.TEXT:
            messages += json.loads(message.data)
        return messages


Connect = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def connect(http: aiohttp.ClientSession) -> Connect:
    @asynccontextmanager
    async def open_client(sim: ExchangeSim, path: str = IEX, *, log_in: bool = True) -> AsyncIterator[Client]:
        async with http.ws_connect(sim.ws_url + path, max_msg_size=0) as socket:
            client = Client(socket)
            assert await client.answer() == {"T": "success", "msg": "connected"}
            if log_in:
                assert await client.log_in() == {"T": "success", "msg": "authenticated"}
            yield client

    return open_client


def market(*symbols: str, rate: float = 1500) -> MarketModel:
    return MarketModel(7, symbols or ("AAPL", "BTC/USD", "BTCUSDT", "FAKEPACA"), rate)


@pytest.mark.parametrize(
    ("shape", "symbols"),
    [
        ("share", ["AAPL", "A", "SPY", "BRK.B", "FBTC", "GOOGL", "FAKEPACA"]),
        ("coin", ["BTC/USD", "ETH/BTC"]),
        ("pair", ["BTCUSDT", "ETHBTC", "SUSDT", "1000SATSUSDT", "SYM001"]),
    ],
)
def test_symbols_have_the_shape_of_their_venue(shape: str, symbols: list[str]) -> None:
    assert {symbol: shape_of(symbol) for symbol in symbols} == dict.fromkeys(symbols, shape)


async def test_every_venue_has_the_symbols_that_are_shaped_like_its_own(
    connect: Connect, http: aiohttp.ClientSession, get: Get
) -> None:
    async with ExchangeSim(market()) as sim, connect(sim) as shares, connect(sim, CRYPTO) as coins:
        assert sim.venues == ("alpaca", "binance", "bybit")
        for client in (shares, coins):
            await client.ask(action="subscribe", trades=["AAPL", "BTC/USD", "BTCUSDT", "FAKEPACA"])
        async with http.ws_connect(f"{sim.ws_url}/ws/btcusdt@trade") as pairs:
            assert (await pairs.receive_json(timeout=5))["s"] == "BTCUSDT"
        await shares.until(lambda one: one["S"] == "AAPL")
        await coins.until(lambda one: one["S"] == "BTC/USD")
        assert {one["S"] for array in shares.arrays for one in array if "S" in one} <= {"AAPL", "FAKEPACA"}
        assert {one["S"] for array in coins.arrays for one in array if "S" in one} == {"BTC/USD"}
        listed = (await get(sim, "/api/v3/exchangeInfo"))[1]["symbols"]
        assert [one["symbol"] for one in listed] == ["BTCUSDT"]
        assert (await get(sim, "/sim/health"))[1]["venues"]["alpaca"] == {"clients": 2}
    async with ExchangeSim(market("AAPL")) as sim:
        assert sim.venues == ("alpaca",)
        with pytest.raises(aiohttp.WSServerHandshakeError, match="404"):
            await http.ws_connect(f"{sim.ws_url}/ws/aapl@trade")
    async with ExchangeSim(market("BTCUSDT")) as sim:
        assert sim.venues == ("binance", "bybit")
        with pytest.raises(aiohttp.WSServerHandshakeError, match="404"):
            await http.ws_connect(sim.ws_url + IEX)


async def test_the_test_feed_has_one_symbol(connect: Connect) -> None:
    async with ExchangeSim(market()) as sim, connect(sim, "/v2/test") as client:
        await client.ask(action="subscribe", quotes=["AAPL", "FAKEPACA"])
        assert (await client.read())[0]["S"] == "FAKEPACA"
        assert {stream for one in sim.server.connections for stream in one.session.streams} == {
            "alpaca:quotes.FAKEPACA"
        }


async def test_what_is_due_at_once_is_one_array_of_several_types_and_nothing_is_lost(connect: Connect) -> None:
    model = market("BTC/USD")
    async with ExchangeSim(model) as sim, connect(sim, CRYPTO) as client:
        every = {"trades": ["BTC/USD"], "quotes": ["BTC/USD"], "orderbooks": ["BTC/USD"]}
        await client.ask(action="subscribe", **every)
        first = (await client.read())[0]
        assert (first["T"], first["r"]) == ("o", True)
        arrays = [first, *[message for _ in range(100) for message in await client.read()]]
        assert any({one["T"] for one in array} >= {"t", "q", "o"} for array in client.arrays[3:])
        ids = [int(one["i"]) for one in arrays if one["T"] == "t"]
        assert ids == list(range(ids[0], ids[0] + len(ids)))
        assert [one["t"] for one in arrays[1:]] == sorted((one["t"] for one in arrays[1:]), key=_padded)
        book: dict[str, dict[Decimal, Decimal]] = {"b": {}, "a": {}}
        for message in arrays:
            for side in ("b", "a") if message["T"] == "o" else ():
                book[side] |= {Decimal(level["p"]): Decimal(level["s"]) for level in message[side]}
        quoted = [message for message in arrays if message["T"] == "q"][-1]
        best = {side: [(price, size) for price, size in levels.items() if size] for side, levels in book.items()}
        assert (*max(best["b"]), *min(best["a"])) == tuple(Decimal(quoted[key]) for key in ("bp", "bs", "ap", "as"))
        assert sim.sent["alpaca:orderbooks", "BTC/USD"] >= sum(one["T"] == "o" for one in arrays)


def _padded(time: str) -> str:
    whole, _, fraction = time.removesuffix("Z").partition(".")
    return f"{whole}.{fraction:0<9}"


async def test_a_stranger_is_sent_away(connect: Connect) -> None:
    async with ExchangeSim(market(), patience=QUICK) as sim, connect(sim, log_in=False) as client:
        assert await client.end() == [{"T": "error", "code": 404, "msg": "auth timeout"}]
        assert client.socket.closed


async def test_a_second_client_is_kept_out_and_for_a_while_after_the_first_has_vanished(connect: Connect) -> None:
    async with ExchangeSim(market(), patience=QUICK) as sim:
        async with connect(sim) as first, connect(sim, log_in=False) as second:
            assert (await second.log_in())["code"] == 406
            async with connect(sim, CRYPTO):
                pass
            await first.socket.close()
            assert (await second.log_in())["T"] == "success"
            assert sim.drop(venue="alpaca") == 1
            await second.end()
        began = asyncio.get_running_loop().time()
        while True:
            async with connect(sim, log_in=False) as third:
                if (await third.log_in())["T"] == "success":
                    break
                await asyncio.sleep(0.02)
        assert asyncio.get_running_loop().time() - began > QUICK.linger_s / 2


async def test_a_close_by_the_venue_keeps_nobody_out(connect: Connect) -> None:
    async with ExchangeSim(market()) as sim:
        async with connect(sim) as client:
            sim.drop(1001, venue="alpaca")
            await client.end()
        async with connect(sim) as client:
            assert sim.alpaca.slow_client() == 1
            assert [one["code"] for one in await client.end()] == [407]
        async with connect(sim):
            pass


async def test_logins_can_be_refused(connect: Connect) -> None:
    async with ExchangeSim(market()) as sim:
        sim.alpaca.refuse_logins()
        sim.alpaca.refuse_logins(406, 2, endpoint=CRYPTO)
        async with connect(sim, log_in=False) as client, connect(sim, CRYPTO, log_in=False) as coins:
            assert [(await client.log_in())["code"] for _ in range(3)] == [402] * 3
            assert [(await coins.log_in()).get("code") for _ in range(3)] == [406, 406, None]
            sim.alpaca.accept_logins()
            sim.alpaca.withhold_feed(endpoint=IEX)
            assert (await client.log_in())["code"] == 409
            sim.alpaca.withhold_feed(False)
            sim.alpaca.refuse_logins(404, 1)
            assert (await client.log_in())["code"] == 404
            assert await client.end() == []
        async with connect(sim):
            pass


async def test_a_symbol_limit_leaves_everything_as_it_was(connect: Connect) -> None:
    async with ExchangeSim(market()) as sim, connect(sim) as client:
        await client.ask(action="subscribe", quotes=["AAPL"])
        sim.alpaca.limit_symbols(1)
        assert (await client.ask(action="subscribe", trades=["AAPL"], quotes=["SPY"]))["code"] == 405
        sim.alpaca.limit_symbols(None)
        listed = await client.ask(action="subscribe", trades=["AAPL"])
        assert (listed["trades"], listed["quotes"]) == (["AAPL"], ["AAPL"])


async def test_trades_are_taken_back_and_books_begin_again(connect: Connect) -> None:
    async with ExchangeSim(market()) as sim, connect(sim) as shares, connect(sim, CRYPTO) as coins:
        await shares.ask(action="subscribe", trades=["AAPL"])
        await coins.ask(action="subscribe", orderbooks=["BTC/USD"])
        await shares.until(lambda one: one["T"] == "t")
        sim.alpaca.cancel("AAPL")
        cancelled = await shares.until(lambda one: one["T"] == "x")
        sim.alpaca.correct("AAPL")
        corrected = await shares.until(lambda one: one["T"] == "c")
        ids = {one["i"] for array in shares.arrays for one in array if one["T"] == "t"}
        assert {cancelled["i"], corrected["oi"]} <= ids
        assert corrected["ci"] not in ids
        await coins.until(lambda one: one["T"] == "o" and "r" not in one)
        sim.alpaca.begin_again("BTC/USD")
        assert len((await coins.until(lambda one: one.get("r")))["b"]) > 100
        for symbol in ("BTC/USD", "SPY"):
            with pytest.raises(ValueError, match="expected a share that has traded"):
                sim.alpaca.cancel(symbol)
        with pytest.raises(ValueError, match="expected a symbol like BTC/USD"):
            sim.alpaca.begin_again("AAPL")


async def test_a_mute_venue_answers_pings_and_the_others_go_on(connect: Connect, http: aiohttp.ClientSession) -> None:
    async with ExchangeSim(market()) as sim, connect(sim) as client:
        sim.faults.mute(venue="alpaca")
        listed = await client.ask(action="subscribe", trades=["AAPL"], quotes=["AAPL"])
        assert listed["T"] == "subscription"
        async with http.ws_connect(f"{sim.ws_url}/ws/btcusdt@trade") as pairs:
            for _ in range(5):
                await pairs.receive_json(timeout=5)
        await client.socket.ping()
        sim.faults.unmute(venue="alpaca")
        sim.faults.lose("alpaca:trades.AAPL")
        assert (await client.until(lambda one: one["T"] == "t"))["S"] == "AAPL"
        assert sim.faults.lost["alpaca:trades.AAPL"] >= 1


async def test_everything_can_be_asked_for_by_get(connect: Connect, get: Get) -> None:
    async with ExchangeSim(market()) as sim, connect(sim) as client:
        await client.ask(action="subscribe", trades=["AAPL"])
        await client.until(lambda one: one["T"] == "t")
        for query in (
            {"do": "cancel", "symbol": "AAPL"},
            {"do": "correct", "symbol": "AAPL"},
            {"do": "begin_again", "symbol": "BTC/USD"},
            {"do": "limit_symbols", "count": "1"},
            {"do": "limit_symbols"},
            {"do": "withhold_feed", "endpoint": "/v2/sip"},
            {"do": "refuse_logins", "code": "406", "count": "2", "endpoint": CRYPTO},
            {"do": "accept_logins"},
            {"do": "mute", "venue": "alpaca"},
            {"do": "unmute", "venue": "alpaca"},
            {"do": "slow_client"},
        ):
            assert await get(sim, "/sim/control", **query) == (200, {"ok": True, **query})
        assert (await client.end())[-1]["code"] == 407


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"do": "refuse_logins", "code": "999"}, "expected a code of 400, 401"),
        ({"do": "accept_logins", "endpoint": "/v9"}, "expected an endpoint of /v2/iex"),
        ({"do": "cancel", "symbol": "BTC/USD"}, "expected a share that has traded"),
        ({"do": "correct"}, "expected symbol= beside do=correct"),
    ],
)
async def test_a_wrong_control_call_says_what_was_expected(get: Get, query: dict[str, str], words: str) -> None:
    async with ExchangeSim(market()) as sim:
        status, answer = await get(sim, "/sim/control", **query)
        assert (status, answer["ok"]) == (400, False)
        assert words in answer["error"]


async def test_without_shares_or_coins_there_is_nothing_of_alpaca_to_control(get: Get) -> None:
    async with ExchangeSim(market("BTCUSDT")) as sim:
        status, answer = await get(sim, "/sim/control", do="slow_client")
        assert (status, answer["error"]) == (
            400,
            "expected a market that alpaca is a venue of, with symbols like AAPL or BTC/USD",
        )


async def test_a_script_may_be_of_alpaca(connect: Connect) -> None:
    texts = [b'{"T":"t","S":"AAPL","i":%d}' % number for number in range(3)]
    items = [(0.0, Frame("alpaca:trades.AAPL", text)) for text in texts]
    script = Script(
        [*items[:2], (0.0, '[{"T":"odd"}]'), items[2], (0.1, lambda sim: sim.alpaca.slow_client())],
        symbols=["AAPL"],
        venues=["alpaca"],
    )
    async with ExchangeSim(script) as sim, connect(sim) as client:
        await client.ask(action="subscribe", trades=["AAPL"])
        assert await client.read() == [json.loads(text) for text in texts[:2]]
        assert await client.read() == [{"T": "odd"}]
        assert await client.read() == [json.loads(texts[2])]
        assert [one["code"] for one in await client.end()] == [407]
