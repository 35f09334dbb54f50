"""Frames that are not as they should be: counted, set aside, and never a reason to lose their neighbours."""

import json
from itertools import pairwise
from typing import Any

import pytest
from picows import WSMsgType

from app.feed import Clock, websocket
from md_contract.events import Quote, Trade

MIB = 1024 * 1024


def trade_ids(running: Any) -> list[int]:
    return [int(event.trade_id) for event in running.of(Trade)]


def aside(running: Any) -> dict[str, int]:
    return {reason: count for reason, count in running.feed.quarantined.items() if count}


async def test_bad_frames_between_good_ones_cost_nothing_but_themselves(
    venue: Any, run_feed: Any, until: Any, trade: Any
) -> None:
    bad: list[tuple[Any, str]] = [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"\xff\xff\xff", "not_json"),
        (b"[" * 200_000, "not_json"),
        (trade(0, p="NaN"), "price"),
        (trade(0, p="-1"), "price"),
        (trade(0, q="1e400"), "size"),
        (trade(0, t="zero"), "wrong_shape"),
        (trade(0, T=0), "time"),
        ({"stream": "btcusdt@kline_1m", "data": {}}, "unknown_stream"),
        ({"hello": "world"}, "unknown_message"),
        ({"result": None, "id": 4711}, "answer"),
    ]
    async with run_feed("BTCUSDT") as running:
        await until(lambda: running.feed.connected)
        number = 0
        for _ in range(3):
            for frame, _reason in bad:
                number += 1
                venue.client.send(trade(number), frame)
        venue.client.send(trade(number + 1))
        await until(lambda: trade_ids(running)[-1:] == [number + 1])
        assert trade_ids(running) == list(range(1, number + 2))
        expected: dict[str, int] = {}
        for _, reason in bad:
            expected[reason] = expected.get(reason, 0) + 3
        assert aside(running) == expected
        assert running.feed.reconnects == 0


@pytest.mark.parametrize("start", [b'{"stream":"btcusdt@trade","data":{"pad":"', b"\x00"], ids=["json", "noise"])
async def test_a_10_mb_frame_is_set_aside_and_the_connection_stays(
    venue: Any, run_feed: Any, until: Any, trade: Any, start: bytes
) -> None:
    async with run_feed("BTCUSDT") as running:
        await until(lambda: running.feed.connected)
        venue.client.send(trade(1), start + b"x" * (10 * MIB), trade(2))
        await until(lambda: trade_ids(running) == [1, 2])
        assert aside(running) == {"too_big": 1}
        assert running.feed.reconnects == 0


async def test_a_frame_beyond_all_bounds_costs_the_connection_and_it_is_made_again(
    venue: Any, run_feed: Any, until: Any, trade: Any
) -> None:
    async with run_feed("BTCUSDT") as running:
        await until(lambda: running.feed.connected)
        venue.client.send(trade(1))
        await until(lambda: trade_ids(running) == [1])
        venue.client.send(b"x" * (17 * MIB))
        await until(lambda: len(venue.clients) == 2 and running.feed.connected)
        assert "exceeding max allowed size" in running.feed.connections[0].last_end
        assert running.feed.connections[0].failures == 0, "no error of ours"
        venue.client.send(trade(2))
        await until(lambda: trade_ids(running) == [1, 2])


def in_parts(client: Any, payload: bytes, *cuts: int) -> None:
    """Send one message as several frames, cut at these places."""
    places = [0, *cuts, len(payload)]
    parts = [payload[start:end] for start, end in pairwise(places)]
    for index, part in enumerate(parts):
        kind = WSMsgType.CONTINUATION if index else WSMsgType.TEXT
        client.transport.send(kind, part, fin=index == len(parts) - 1)


async def test_a_fragmented_message_is_put_together_also_around_a_ping(
    venue: Any, run_feed: Any, until: Any, trade: Any
) -> None:
    async with run_feed("BTCUSDT") as running:
        await until(lambda: running.feed.connected)
        client = venue.client
        in_parts(client, json.dumps(trade(1)).encode(), 10, 11, 90)
        payload = json.dumps(trade(2)).encode()
        client.transport.send(WSMsgType.TEXT, payload[:150], fin=False)
        client.transport.send_ping(b"in between")
        client.transport.send(WSMsgType.CONTINUATION, payload[150:])
        client.send(trade(3))
        await until(lambda: trade_ids(running) == [1, 2, 3])
        await until(lambda: client.pongs == [b"in between"])
        assert aside(running) == {}


async def test_fragments_without_a_beginning_or_an_end_are_set_aside(
    venue: Any, run_feed: Any, until: Any, trade: Any
) -> None:
    async with run_feed("BTCUSDT") as running:
        await until(lambda: running.feed.connected)
        venue.client.transport.send(WSMsgType.CONTINUATION, b"the end of nothing")
        venue.client.send(trade(1))
        venue.client.transport.send(WSMsgType.TEXT, b"never finished" * 20, fin=False)
        venue.client.send(trade(2))
        await until(lambda: trade_ids(running) == [1, 2])
        assert aside(running) == {"fragment": 2}


async def test_a_fragmented_message_is_kept_only_up_to_the_bound(
    venue: Any, run_feed: Any, until: Any, trade: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "MAX_MESSAGE_BYTES", 10_000)
    async with run_feed("BTCUSDT") as running:
        await until(lambda: running.feed.connected)
        in_parts(venue.client, b"x" * 50_000, *range(1_000, 50_000, 1_000))
        venue.client.send(trade(1))
        await until(lambda: trade_ids(running) == [1])
        assert aside(running) == {"too_big": 1}


@pytest.mark.parametrize("pad", [0, 500], ids=["short", "long"])
async def test_a_message_in_a_binary_frame_is_read_like_text(
    venue: Any, run_feed: Any, until: Any, trade: Any, pad: int
) -> None:
    async with run_feed("BTCUSDT") as running:
        await until(lambda: running.feed.connected)
        quote = {"u": 1, "s": "BTCUSDT", "b": "1", "B": "1", "a": "2", "A": "1"} | ({"pad": "x" * pad} if pad else {})
        frame = json.dumps({"stream": "btcusdt@bookTicker", "data": quote}, separators=(",", ":")).encode()
        assert (len(frame) <= 125) == (pad == 0)
        venue.client.transport.send(WSMsgType.BINARY, frame)
        await until(lambda: running.of(Quote))


async def test_frames_of_one_read_share_their_receive_time_and_it_never_goes_back(
    venue: Any, run_feed: Any, until: Any, trade: Any
) -> None:
    wall = 1_795_350_000_000_000_000

    def clock() -> int:
        nonlocal wall
        wall += 1
        return wall

    async with run_feed("BTCUSDT", clock=Clock(wall_ns=clock, uniform=lambda: 0.0)) as running:
        await until(lambda: running.feed.connected)
        for number in range(1, 301):
            venue.client.send(trade(number))
            if number % 100 == 0:
                venue.client.transport.send_ping(b"the last frame of a read")
                await until(lambda number=number: trade_ids(running)[-1:] == [number])
        times = [event.ts_recv for event in running.of(Trade)]
        assert times == sorted(times)
        assert 3 <= len(set(times)) < 150
        assert times[99] < times[100]
        assert times[199] < times[200]
