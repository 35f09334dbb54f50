"""Recordings played over real sockets: everything once, in order, with books that can be synchronised at any time."""

import asyncio
import gzip
import json
import os
import socket as sockets
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from exchange_sim import ExchangeSim, Move, Tape, TapeError
from exchange_sim.shapes import write_tape

Json = Any
Get = Callable[..., Awaitable[tuple[int, Json]]]

HFTBACKTEST = ["hftbacktest_spot_btcusdt_20240808.gz", "hftbacktest_spot_ethusdt_20240808.gz"]
CRYPTOFEED = ["cryptofeed_BINANCE_20211012.jsonl.gz"]


def recorded_frames(paths: list[Path]) -> dict[str, list[Json]]:
    """Read the frames of recordings by stream, in the plainest way there is."""
    streams: dict[str, list[Json]] = defaultdict(list)
    for path in paths:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            for line in file:
                if line.startswith("{"):
                    record = json.loads(line)
                    message = json.loads(record["data"]) if record["t"] == "recv" else {}
                else:
                    message = json.loads(line.partition(" ")[2])
                if "stream" in message:
                    streams[message["stream"]].append(message["data"])
    return streams


async def play(http: aiohttp.ClientSession, sim: ExchangeSim, streams: list[str]) -> dict[str, list[Json]]:
    """Subscribe and read until the tape has ended and everything sent was received."""
    got: dict[str, list[Json]] = defaultdict(list)
    total = 0
    async with http.ws_connect(f"{sim.ws_url}/stream?streams={'/'.join(streams)}", max_msg_size=0) as socket:
        while not (sim.done.is_set() and total == sim.hub.sent_total):
            try:
                message = json.loads(await socket.receive_str(timeout=0.5))
            except TimeoutError:
                continue
            got[message["stream"]].append(message["data"])
            total += 1
    return got


@pytest.fixture(scope="module")
def tape_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tape") / "shape.gz"
    write_tape(path, seconds=12, moves={"BTCUSDT": [Move(3, 0.005, 5)], "ETHUSDT": []}, rate=300)
    return path


@pytest.mark.parametrize("names", [HFTBACKTEST, CRYPTOFEED])
async def test_every_recorded_frame_is_sent_exactly_once_and_in_order(
    http: aiohttp.ClientSession, recordings: Path, names: list[str]
) -> None:
    paths = [recordings / "binance_spot_ws" / name for name in names]
    expected = recorded_frames(paths)
    async with ExchangeSim(Tape(paths, speed=0, times="original")) as sim:
        got = await play(http, sim, list(expected))
        assert got == expected
        assert sum(sim.sent.values()) == sum(map(len, expected.values()))
        assert sim.sent["bookTicker", next(iter(sim.symbols))] > 0


async def test_a_usdm_recording_plays_as_well(http: aiohttp.ClientSession, recordings: Path) -> None:
    path = recordings / "binance_usdm_ws" / "cryptofeed_BINANCE_FUTURES_20210722.jsonl.gz"
    expected = recorded_frames([path])
    async with ExchangeSim(Tape(path, speed=0, times="original")) as sim:
        assert await play(http, sim, list(expected)) == expected


async def test_files_are_merged_by_receive_time(recordings: Path) -> None:
    tape = Tape([recordings / "binance_spot_ws" / name for name in HFTBACKTEST])
    times = [recorded.ts_ns for recorded in tape.read()]
    assert times == sorted(times)
    assert len(times) == 74867


@pytest.mark.parametrize("names", [HFTBACKTEST[1:], CRYPTOFEED])
@pytest.mark.parametrize("fetch_at", [0, 40])
async def test_a_book_can_be_synchronised_at_any_point_of_a_recording(
    http: aiohttp.ClientSession, get: Get, recordings: Path, rebuilt_book: type, names: list[str], fetch_at: int
) -> None:
    """The books rebuilt by a client equal those rebuilt from the recording alone, once it has been played."""
    paths = [recordings / "binance_spot_ws" / name for name in names]
    async with ExchangeSim(Tape(paths, speed=0)) as sim:
        assert sim.survey is not None
        streams = [name for name in sim.survey.streams if "@depth" in name]
        seen = dict.fromkeys(streams, 0)
        books = {stream: rebuilt_book() for stream in streams}

        async def synchronise(stream: str) -> None:
            symbol = stream.partition("@")[0].upper()
            status, snapshot = await get(sim, "/api/v3/depth", symbol=symbol, limit=5000)
            assert status == 200
            books[stream].load(snapshot)

        async with http.ws_connect(f"{sim.ws_url}/stream?streams={'/'.join(streams)}", max_msg_size=0) as socket:
            if fetch_at == 0:
                for stream in streams:
                    await synchronise(stream)
            while not (sim.done.is_set() and sum(seen.values()) == sim.hub.sent_total):
                try:
                    message = json.loads(await socket.receive_str(timeout=0.3))
                except TimeoutError:
                    continue
                stream = message["stream"]
                books[stream].apply(message["data"])
                seen[stream] += 1
                if books[stream].update_id is None and seen[stream] >= fetch_at:
                    await synchronise(stream)
            for stream in streams:  # those with fewer diffs than that
                if books[stream].update_id is None:
                    await synchronise(stream)
    assert {book.gaps for book in books.values()} == {0}
    for stream, book in books.items():
        assert book.levels(10_000) == _final_book(paths, stream, rebuilt_book).levels(10_000), stream


def _final_book(paths: list[Path], stream: str, rebuilt_book: type) -> Any:
    """Rebuild a book from the recording's own snapshot and diffs."""
    book = rebuilt_book()
    diffs = recorded_frames(paths)[stream]
    for path in paths:
        with gzip.open(path, "rt") as file:
            for line in file:
                record = json.loads(line if line.startswith("{") else line.partition(" ")[2])
                snapshot = record
                if record.get("t") == "http" and f"symbol={stream.partition('@')[0].upper()}&" in record["url"]:
                    snapshot = json.loads(record["data"])
                ours = abs(snapshot.get("lastUpdateId", 0) - diffs[0]["U"]) < 100_000
                if "lastUpdateId" in snapshot and ours and book.update_id is None:
                    assert book.load(snapshot)
    for diff in diffs:
        book.apply(diff)
    assert book.gaps == 0
    return book


async def test_times_are_moved_to_now_by_one_offset_and_nothing_else_changes(
    http: aiohttp.ClientSession, tape_file: Path
) -> None:
    expected = recorded_frames([tape_file])
    async with ExchangeSim(Tape(tape_file, speed=0)) as sim:
        before_ms = time.time() * 1000 - 5
        got = await play(http, sim, list(expected))
    offsets = set()
    for stream, rows in expected.items():
        assert len(got[stream]) == len(rows)
        for sent, row in zip(got[stream], rows, strict=True):
            offsets |= {sent[name] - row[name] for name in ("E", "T") if name in row}
            assert {**sent, "E": None, "T": None} == {**row, "E": None, "T": None}
    assert len(offsets) == 1
    first_ms = min(row["E"] for rows in got.values() for row in rows if "E" in row)
    assert 0 <= first_ms - before_ms < 5000


async def test_speed_paces_the_tape_and_times_stay_behind_the_wire(
    http: aiohttp.ClientSession, tape_file: Path
) -> None:
    loop = asyncio.get_running_loop()
    async with (
        ExchangeSim(Tape(tape_file, speed=10)) as sim,
        http.ws_connect(f"{sim.ws_url}/ws/btcusdt@trade") as socket,
    ):
        await sim.began.wait()
        began = loop.time()
        await socket.receive_str(timeout=5)
        assert not sim.done.is_set()
        await asyncio.wait_for(sim.done.wait(), 5)
        assert 1.1 < loop.time() - began < 2.5


async def test_a_tape_waits_for_the_streams_asked_for(http: aiohttp.ClientSession, tape_file: Path) -> None:
    expected = recorded_frames([tape_file])
    tape = Tape(tape_file, speed=0, times="original")
    async with (
        ExchangeSim(tape, wait_for_streams=["btcusdt@trade", "ethusdt@trade"]) as sim,
        http.ws_connect(f"{sim.ws_url}/ws/btcusdt@trade") as first,
    ):
        with pytest.raises(TimeoutError):
            await first.receive(timeout=0.5)
        async with http.ws_connect(f"{sim.ws_url}/ws/ethusdt@trade") as second:
            for socket, stream in ((first, "btcusdt@trade"), (second, "ethusdt@trade")):
                rows = [json.loads(await socket.receive_str(timeout=5)) for _ in expected[stream]]
                assert rows == expected[stream]


async def test_partial_books_and_rest_trades_are_made_from_the_tape(
    http: aiohttp.ClientSession, get: Get, tape_file: Path
) -> None:
    expected = recorded_frames([tape_file])
    async with ExchangeSim(Tape(tape_file, speed=0, times="original")) as sim:
        streams = ["btcusdt@bookTicker", "btcusdt@depth@100ms", "btcusdt@depth20@100ms", "btcusdt@depth5"]
        got = await play(http, sim, streams)
        quotes = {row["u"]: row for row in expected["btcusdt@bookTicker"]}
        assert [row["lastUpdateId"] for row in got[streams[2]]] == [row["u"] for row in expected[streams[1]]]
        compared = [row for row in got[streams[2]] if row["lastUpdateId"] in quotes]
        assert len(compared) > 20
        for row in compared:
            quote = quotes[row["lastUpdateId"]]
            assert (row["bids"][0], row["asks"][0]) == ([quote["b"], quote["B"]], [quote["a"], quote["A"]])
            assert len(row["bids"]) == len(row["asks"]) == 20
        assert 10 <= len(got["btcusdt@depth5"]) <= 13
        trades = expected["btcusdt@trade"]
        _, past = await get(sim, "/api/v3/historicalTrades", symbol="BTCUSDT", fromId=trades[3]["t"], limit=5)
        assert [(row["id"], row["price"]) for row in past] == [(row["t"], row["p"]) for row in trades[3:8]]
        _, aggregates = await get(sim, "/api/v3/aggTrades", symbol="BTCUSDT", limit=1000)
        assert [row["f"] for row in aggregates[1:]] == [row["l"] + 1 for row in aggregates[:-1]]
        _, info = await get(sim, "/api/v3/exchangeInfo")
        assert [row["symbol"] for row in info["symbols"]] == ["BTCUSDT", "ETHUSDT"]
        assert info["symbols"][0]["filters"][0]["tickSize"] == "0.01000000"


async def test_a_slow_client_holds_the_tape_up_and_loses_nothing(tmp_path: Path) -> None:
    lines = tmp_path / "long"
    frame = '{"stream":"btcusdt@trade","data":{"e":"trade","E":1790000000000,"s":"BTCUSDT","t":%d,"p":"1.0","q":"1.0",'
    frame += '"T":1790000000000,"m":true,"M":true,"padding":"' + "x" * 1000 + '"}}'
    count = 20_000
    lines.write_text("".join(f"1790000000000000000 {frame % number}\n" for number in range(count)))
    async with ExchangeSim(Tape(lines, speed=0)) as sim:
        raw = sockets.socket()
        raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 1 << 16)
        raw.setblocking(False)
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", sim.port))
        reader, writer = await asyncio.open_connection(sock=raw, limit=1 << 16)
        writer.write(
            b"GET /ws/btcusdt@trade HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        while not sim.server.congested:  # noqa: ASYNC110 - the kernel's buffers have to fill first
            await asyncio.sleep(0.01)
        held = sim.hub.sent_total
        for _ in range(50):
            await asyncio.sleep(0)
            assert sim.server.unread < (1 << 20) + (1 << 19)
        assert sim.hub.sent_total == held < count

        for number in range(count):
            header = await reader.readexactly(4)
            assert header[:2] == b"\x81\x7e"
            message = json.loads(await reader.readexactly(int.from_bytes(header[2:], "big")))
            assert message["t"] == number
        await asyncio.wait_for(sim.done.wait(), 5)
        writer.close()
        await writer.wait_closed()


async def test_an_unpaced_tape_pauses_while_nobody_listens(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    path = tmp_path / "tape"
    write_tape(path, seconds=60, moves={"BTCUSDT": []}, rate=500)
    expected = recorded_frames([path])["btcusdt@trade"]
    async with (
        ExchangeSim(Tape(path, speed=0, times="original")) as sim,
        http.ws_connect(f"{sim.ws_url}/ws/btcusdt@trade") as socket,
    ):
        first = [json.loads(await socket.receive_str(timeout=5)) for _ in range(3)]
        await socket.send_json({"method": "UNSUBSCRIBE", "params": ["btcusdt@trade"], "id": 1})
        while (message := json.loads(await socket.receive_str(timeout=5))) != {"result": None, "id": 1}:
            first.append(message)
        assert not sim.done.is_set()
        await socket.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 2})
        assert json.loads(await socket.receive_str(timeout=5)) == {"result": None, "id": 2}
        rest = [json.loads(await socket.receive_str(timeout=5)) for _ in range(len(expected) - len(first))]
        assert first + rest == expected


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no tape at all\n", "line 1 is neither"),
        (b'1790000000000000000 {"stream":"a@trade","data":{}}\nbroken\n', "line 2 is neither"),
        (b'{"t":"recv"}\n', "line 1 is neither"),
        (gzip.compress(b"1790000000000000000 {}\n" * 500, mtime=0)[:-20], "ended"),
        (gzip.compress(os.urandom(500))[:40] + b"x" * 100, "cannot play"),
    ],
)
def test_a_file_that_is_no_tape_is_named_with_the_reason(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "bad"
    path.write_bytes(content)
    with pytest.raises(TapeError, match=words) as caught:
        ExchangeSim(Tape(path))
    assert caught.value.path == path
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TapeError, match="No such file"):
        ExchangeSim(Tape([tmp_path / "missing"]))


async def test_odd_frames_are_sent_as_they_are(http: aiohttp.ClientSession, get: Get, tmp_path: Path) -> None:
    path = tmp_path / "odd"
    odd = [
        ("xyusdt@trade", {"e": "trade", "s": "XYUSDT"}),
        ("xyusdt@depth@100ms", {"e": "depthUpdate", "U": "one"}),
        ("!miniTicker@arr", [{"e": "24hrMiniTicker"}]),
        ("xyusdt@kline_1m", {"e": "kline", "E": 1790000000000, "k": {"t": 1789999980000, "T": 1790000039999}}),
    ]
    texts = [json.dumps({"stream": stream, "data": data}, separators=(",", ":")) for stream, data in odd]
    texts.insert(1, '{"lastUpdateId":1,"bids":"none"}')
    path.write_text("".join(f"{1790000000000000000 + number} {text}\n" for number, text in enumerate(texts)))
    async with ExchangeSim(Tape(path, speed=0, times="original")) as sim:
        assert list(sim.symbols) == ["XYUSDT"]
        got = await play(http, sim, [stream for stream, _ in odd])
        assert got == {stream: [data] for stream, data in odd}
        assert (await get(sim, "/api/v3/depth", symbol="XYUSDT"))[1]["bids"] == []
    async with ExchangeSim(Tape(path, speed=0)) as sim:
        (kline,) = (await play(http, sim, ["xyusdt@kline_1m"]))["xyusdt@kline_1m"]
        assert kline["E"] - kline["k"]["t"] == 20_000
        assert kline["k"]["T"] - kline["k"]["t"] == 59_999
        assert kline["E"] > 1790000000000
