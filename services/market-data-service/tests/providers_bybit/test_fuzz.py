"""Whatever comes, reading it never raises, and what is published is sound."""

import json
import math
import re
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.providers.bybit import Bybit
from app.providers.provider import Fetch
from md_contract.codec import decode_event, encode
from md_contract.events import BookL2, Event, Quote, Trade

SETTINGS = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=120)
DECIMAL = re.compile(r"[0-9]{1,15}(\.[0-9]{1,18})?", re.ASCII)

NUMBERS = st.one_of(
    st.sampled_from(["0", "1", "100", "100.5", "-1", "NaN", "inf", "1e5", "", " 1", "1.", "9" * 16, "٣", "1\0"]),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.none(),
)
TIMES = st.one_of(st.sampled_from([1_795_350_000_000, "1795350000000", 0, 1, -1, 10**30, "1" * 400, None, 1.5]))
TEXTS = st.one_of(st.sampled_from(["BTCUSDT", "ETHUSDT", "Buy", "Sell", "snapshot", "delta"]), st.text(max_size=70))
LEVELS = st.one_of(st.lists(st.lists(NUMBERS, max_size=3), max_size=3), st.none())
TRADE = st.fixed_dictionaries({}, optional={"T": TIMES, "s": TEXTS, "S": TEXTS, "v": NUMBERS, "p": NUMBERS, "i": TEXTS})
BOOK = st.fixed_dictionaries({}, optional={"s": TEXTS, "b": LEVELS, "a": LEVELS, "u": NUMBERS, "seq": NUMBERS})
TOPICS = st.sampled_from(
    ["publicTrade.BTCUSDT", "orderbook.1.BTCUSDT", "orderbook.50.BTCUSDT", "tickers.BTCUSDT", "", 5]
)
FRAME = st.fixed_dictionaries(
    {},
    optional={
        "topic": TOPICS,
        "type": TEXTS,
        "ts": TIMES,
        "cts": TIMES,
        "data": st.one_of(BOOK, st.lists(TRADE, max_size=3), NUMBERS),
        "op": st.sampled_from(["subscribe", "unsubscribe", "ping", "pong", "", 5]),
        "success": st.sampled_from([True, False, None, "x"]),
        "ret_msg": TEXTS,
        "req_id": st.sampled_from(["1", "2", "", 1, "²", None]),
    },
)
JSON = st.recursive(
    NUMBERS | TEXTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
)


def is_sound(event: Event) -> bool:
    if decode_event(encode(event)) != event:
        return False
    match event:
        case Trade(price=price, size=size):
            return is_price(price) and is_size(size) and 0 < len(event.trade_id) <= 64
        case Quote():
            return all(map(is_price, (event.bid, event.ask))) and all(map(is_size, (event.bid_size, event.ask_size)))
        case BookL2():
            return all(is_price(price) and is_size(size) for price, size in (*event.bids, *event.asks))
        case _:
            return True


def is_price(text: str) -> bool:
    return is_size(text) and float(text) > 0


def is_size(text: str) -> bool:
    return DECIMAL.fullmatch(text) is not None and math.isfinite(float(text))


def read(dial: Any, *frames: bytes) -> None:
    line = dial(Bybit())
    line.open("lost")
    line.pass_time(0.1)
    line.hear(*frames)
    line.pass_time(1)
    assert all(map(is_sound, [*line.events, *line.conversation.closed()]))


@SETTINGS
@given(frames=st.lists(st.binary(max_size=60), max_size=5))
@example(frames=[b'{"topic":"publicTrade.BTCUSDT","data":' + b"[" * 50_000])
def test_any_bytes(dial: Any, frames: list[bytes]) -> None:
    read(dial, *frames)


@SETTINGS
@given(frames=st.lists(FRAME | JSON, max_size=6))
def test_any_frame_that_looks_like_bybits(dial: Any, frames: list[Any]) -> None:
    read(dial, *(json.dumps(frame).encode() for frame in frames))


@SETTINGS
@given(data=st.data())
def test_a_good_frame_with_one_byte_changed(dial: Any, bybit: Any, data: st.DataObject) -> None:
    good = [bybit.trades(bybit.trade("1")), bybit.book(5, depth=1), bybit.book(5), bybit.book(6, kind="delta")]
    frame = bytearray(json.dumps(data.draw(st.sampled_from(good))).encode())
    frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    read(dial, *(json.dumps(each).encode() for each in good), bytes(frame))


ROW = st.fixed_dictionaries(
    {},
    optional={
        "execId": TEXTS,
        "symbol": TEXTS,
        "price": NUMBERS,
        "size": NUMBERS,
        "side": TEXTS,
        "time": TIMES,
        "seq": NUMBERS,
    },
)
REPLY = st.fixed_dictionaries(
    {},
    optional={
        "retCode": st.sampled_from([0, 0, 0, 10_001, "0", None]),
        "result": st.one_of(st.fixed_dictionaries({"list": st.lists(ROW, max_size=4)}), JSON),
    },
)


@SETTINGS
@given(bodies=st.lists(REPLY, max_size=8), rubbish=st.binary(max_size=40))
def test_any_answer_to_a_fetch(dial: Any, bybit: Any, bodies: list[Any], rubbish: bytes) -> None:
    provider = Bybit()
    line = dial(provider)
    line.open()
    line.hear(bybit.trades(bybit.trade("1")))
    line = dial(provider)
    line.open("lost")
    line.serve()
    fetch = Fetch("/v5/market/recent-trade", "BTCUSDT", 1)
    for body in (rubbish, *(json.dumps(body).encode() for body in bodies)):
        line.answer(body, fetch)
    assert all(map(is_sound, line.events))
