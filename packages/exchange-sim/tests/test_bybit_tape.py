"""The recorded Bybit sockets, played over real ones: everything once, in order, each category apart."""

import asyncio
import gzip
import json
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from exchange_sim import ExchangeSim, Tape, TapeError

Json = Any
Get = Callable[..., Awaitable[tuple[int, Json]]]
FILE = "bybit_v5_ws/cryptofeed_BYBIT_20260809_BTC_SOL.jsonl.gz"


def recorded(path: Path) -> dict[str, list[str]]:
    """Read the messages of each category's topics as they were written, in the plainest way there is."""
    category: dict[str, str] = {}
    found: dict[str, list[str]] = defaultdict(list)
    with gzip.open(path, "rt") as file:
        for record in map(json.loads, file):
            if record["t"] == "connect":
                category[record["conn"]] = record["addr"].rpartition("/")[2]
            elif record["t"] == "recv" and "topic" in json.loads(record["data"]):
                found[category[record["conn"]]].append(record["data"])
    return found


def topics_of(texts: list[str]) -> list[str]:
    return list(dict.fromkeys(json.loads(text)["topic"] for text in texts))


async def subscribe(socket: aiohttp.ClientWebSocketResponse, topics: list[str]) -> None:
    for start in range(0, len(topics), 10):
        await socket.send_json({"op": "subscribe", "args": topics[start : start + 10]})
        while "success" not in (answer := json.loads(await socket.receive_str(timeout=5))):
            pass
        assert answer["success"], answer


async def play(http: aiohttp.ClientSession, sim: ExchangeSim, topics: dict[str, list[str]]) -> dict[str, list[str]]:
    """Subscribe on each category's path and read until the tape has ended and everything sent was received."""
    got: dict[str, list[str]] = {category: [] for category in topics}

    def is_over() -> bool:
        return sim.done.is_set() and sum(map(len, got.values())) == sim.hub.sent_total

    async def read(category: str) -> None:
        async with http.ws_connect(f"{sim.ws_url}/v5/public/{category}", max_msg_size=0) as socket:
            await subscribe(socket, topics[category])
            while not is_over():
                try:
                    got[category].append(await socket.receive_str(timeout=0.3))
                except TimeoutError:
                    continue

    await asyncio.gather(*map(read, topics))
    return got


async def test_every_recorded_message_is_sent_exactly_once_and_in_order(
    http: aiohttp.ClientSession, get: Get, recordings: Path
) -> None:
    expected = recorded(recordings / FILE)
    assert {category: len(texts) for category, texts in expected.items()} == {"linear": 1295, "spot": 367}
    async with ExchangeSim(Tape(recordings / FILE, speed=0, times="original")) as sim:
        assert sim.venues == ("bybit",)
        assert list(sim.symbols) == ["BTCUSDT", "SOLUSDT"]
        assert await play(http, sim, {category: topics_of(texts) for category, texts in expected.items()}) == expected
        assert sim.sent["linear:publicTrade", "SOLUSDT"] == 57
        with pytest.raises(aiohttp.WSServerHandshakeError, match="404"):
            await http.ws_connect(f"{sim.ws_url}/stream?streams=btcusdt@trade")
        async with http.get(f"{sim.rest_url}/api/v3/time") as reply:
            assert reply.status == 404
        rows = [row for text in expected["linear"] for row in _trades(text, "SOLUSDT")]
        _, answer = await get(sim, "/v5/market/recent-trade", category="linear", symbol="SOLUSDT", limit=1000)
        assert [(row["execId"], row["price"]) for row in answer["result"]["list"]] == [
            (row["i"], row["p"]) for row in reversed(rows)
        ]
        _, info = await get(sim, "/v5/market/instruments-info", category="linear")
        assert [(row["symbol"], row["priceFilter"]["tickSize"]) for row in info["result"]["list"]] == [
            ("BTCUSDT", "0.1"),
            ("SOLUSDT", "0.01"),
        ]
        _, info = await get(sim, "/v5/market/instruments-info", category="spot")
        assert [row["symbol"] for row in info["result"]["list"]] == ["BTCUSDT"]


def _trades(text: str, symbol: str) -> list[Json]:
    message = json.loads(text)
    return message["data"] if message["topic"] == f"publicTrade.{symbol}" else []


def test_the_sockets_of_one_file_are_merged_by_time(recordings: Path) -> None:
    frames = [one for one in Tape(recordings / FILE).read() if not one.url]
    times = [one.ts_ns for one in frames]
    assert times == sorted(times)
    assert len(frames) == 1312 + 374
    categories = [one.address.rpartition("/")[2] for one in frames]
    assert sum(before != after for before, after in pairwise(categories)) > 100


async def test_times_are_moved_to_now_by_one_offset(http: aiohttp.ClientSession, recordings: Path) -> None:
    expected = recorded(recordings / FILE)
    async with ExchangeSim(Tape(recordings / FILE, speed=0)) as sim:
        before_ms = time.time() * 1000
        got = await play(http, sim, {category: topics_of(texts) for category, texts in expected.items()})
    offsets = set()
    for category, texts in expected.items():
        for sent, original in zip(map(json.loads, got[category]), map(json.loads, texts), strict=True):
            offsets |= {sent[name] - original[name] for name in ("ts", "cts") if name in original}
            if original["topic"].startswith("publicTrade."):
                offsets |= {new["T"] - old["T"] for new, old in zip(sent["data"], original["data"], strict=True)}
            elif original["topic"].startswith("orderbook."):
                assert sent["data"] == original["data"]
    (offset,) = offsets
    first_ms = min(json.loads(text)["ts"] for texts in got.values() for text in texts)
    assert offset > 1e8
    assert abs(first_ms - before_ms) < 10_000


async def test_a_client_that_comes_late_gets_the_book_that_the_next_delta_continues(
    http: aiohttp.ClientSession, recordings: Path, bybit_book: type
) -> None:
    topic = "orderbook.200.BTCUSDT"
    async with (
        ExchangeSim(Tape(recordings / FILE, speed=10)) as sim,
        http.ws_connect(f"{sim.ws_url}/v5/public/linear", max_msg_size=0) as first,
    ):
        await subscribe(first, [topic])
        early, late = bybit_book(200), bybit_book(200)
        for _ in range(50):
            early.apply(json.loads(await first.receive_str(timeout=5)))
        async with http.ws_connect(f"{sim.ws_url}/v5/public/linear", max_msg_size=0) as second:
            await subscribe(second, [topic])
            message = json.loads(await second.receive_str(timeout=5))
            assert message["type"] == "snapshot"
            late.apply(message)
            for _ in range(100):
                late.apply(json.loads(await second.receive_str(timeout=5)))
            while early.update_id != late.update_id:
                early.apply(json.loads(await first.receive_str(timeout=5)))
            assert early.levels() == late.levels()
            assert (early.gaps, late.gaps) == (0, 0)


@pytest.mark.parametrize(("category", "depth"), [("linear", 1), ("spot", 50)])
async def test_shallower_books_are_made_of_a_recorded_one(
    http: aiohttp.ClientSession, recordings: Path, bybit_book: type, category: str, depth: int
) -> None:
    topics = [f"orderbook.{depth}.BTCUSDT", "orderbook.200.BTCUSDT"]
    deep, shallow, compared = bybit_book(200), bybit_book(depth), 0
    async with ExchangeSim(Tape(recordings / FILE, speed=0, times="original")) as sim:
        texts = (await play(http, sim, {category: topics}))[category]
    for number, message in enumerate(map(json.loads, texts)):
        if message["topic"] == topics[1]:
            deep.apply(message)
            continue
        assert json.loads(texts[number - 1])["topic"] == topics[1]
        shallow.apply(message)
        assert message["cts"] <= message["ts"]
        assert shallow.levels() == tuple(side[:depth] for side in deep.levels())
        compared += 1
    assert compared > 20


async def test_venues_do_not_mix_on_one_tape(recordings: Path) -> None:
    binance = recordings / "binance_spot_ws" / "cryptofeed_BINANCE_20211012.jsonl.gz"
    with pytest.raises(TapeError, match="holds frames of bybit, and another file frames of binance"):
        ExchangeSim(Tape([binance, recordings / FILE]))


async def test_without_addresses_a_tape_is_of_spot_and_odd_messages_are_sent_as_they_are(
    http: aiohttp.ClientSession, get: Get, tmp_path: Path
) -> None:
    texts = [
        '{"topic":"publicTrade.XYUSDT","type":"snapshot","ts":"1790000000001","data":[{"T":"not a time"}]}',
        '{"topic":"orderbook.50.XYUSDT","type":"delta","ts":1790000000002,"data":{"s":"XYUSDT","b":[["x","1"]]}}',
        '{"topic":"tickers.XYUSDT","data":{}}',
    ]
    path = tmp_path / "plain"
    lines = ["{}", '{"success":true,"op":"subscribe"}', *texts]
    path.write_text("".join(f"{1790000000000000000 + number} {text}\n" for number, text in enumerate(lines)))
    async with ExchangeSim(Tape(path, speed=0, times="original")) as sim:
        assert list(sim.symbols) == ["XYUSDT"]
        assert await play(http, sim, {"spot": topics_of(texts)}) == {"spot": texts}
        _, answer = await get(sim, "/v5/market/recent-trade", category="spot", symbol="XYUSDT")
        assert answer["result"]["list"] == []
        _, answer = await get(sim, "/v5/market/orderbook", category="spot", symbol="XYUSDT")
        assert (answer["result"]["b"], answer["result"]["u"]) == ([], 0)
