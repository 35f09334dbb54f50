"""Whatever comes, reading it never raises, and what is published is sound."""

import json
import math
import re
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from md_contract.codec import decode_event, encode
from md_contract.events import BookL2, Event, Quote, Trade

SETTINGS = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)
DECIMAL = re.compile(r"[0-9]{1,15}(\.[0-9]{1,18})?", re.ASCII)

NUMBERS: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from([0, 1, 100, 100.5, -1, 1e-7, 1e300, 5e-324, 2**53 + 1, 2**63, True, None, "1", [], {}]),
    st.integers(-(2**70), 2**70),
    st.floats(),
)
IDS = st.one_of(st.sampled_from([1, 2, 2**63 - 1, 2**63, -1, "1", None, 1.5]), st.integers(0, 2**64))
TIMES = st.one_of(
    st.sampled_from(
        ["2026-11-20T15:51:44Z", "2026-11-20T15:51:44.123456789Z", "2026-11-20T15:51:44.12+01:00", "", None]
    ),
    st.text(max_size=30),
)
TEXTS = st.one_of(
    st.sampled_from(["AAPL", "BTC/USD", "K", "B", "S", "C", "connected", "authenticated"]), st.text(max_size=9)
)
LEVELS = st.one_of(st.lists(st.fixed_dictionaries({}, optional={"p": NUMBERS, "s": NUMBERS}), max_size=3), st.none())
KINDS = st.sampled_from([*"tqocxbudsli", "success", "error", "subscription", "new", 5, None])
MESSAGE = st.fixed_dictionaries(
    {"T": KINDS},
    optional={
        "S": TEXTS,
        "i": IDS,
        "x": TEXTS,
        "p": NUMBERS,
        "s": NUMBERS,
        "t": TIMES,
        "bp": NUMBERS,
        "bs": NUMBERS,
        "ap": NUMBERS,
        "as": NUMBERS,
        "b": LEVELS,
        "a": LEVELS,
        "r": st.sampled_from([True, False, None, 1]),
        "tks": TEXTS,
        "msg": TEXTS,
        "code": st.sampled_from([*range(400, 412), 500, "400", None]),
        "trades": st.lists(TEXTS, max_size=2),
        "orderbooks": st.lists(TEXTS, max_size=2),
    },
)
JSON = st.recursive(
    NUMBERS | TEXTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
)
FEEDS = st.sampled_from([("sip", "AAPL"), ("crypto", "BTC/USD")])


def is_sound(event: Event) -> bool:
    if decode_event(encode(event)) != event:
        return False
    match event:
        case Trade(price=price, size=size):
            return is_price(price) and is_size(size) and 0 < len(event.trade_id) <= 64
        case Quote():
            return all(map(is_price, (event.bid, event.ask))) and all(map(is_price, (event.bid_size, event.ask_size)))
        case BookL2():
            return all(is_price(price) and is_price(size) for price, size in (*event.bids, *event.asks))
        case _:
            return True


def is_price(text: str) -> bool:
    return is_size(text) and float(text) > 0


def is_size(text: str) -> bool:
    return DECIMAL.fullmatch(text) is not None and math.isfinite(float(text))


def read(dial: Any, feed: tuple[str, str], *frames: Any, logged_in: bool = True) -> None:
    line = dial(feed[0], [feed[1]])
    if logged_in:
        line.log_in("lost")
    else:
        line.open("lost")
    for frame in frames:
        line.hear(frame)
        line.pass_time(0.3)
    line.pass_time(20)
    assert all(map(is_sound, [*line.events, *line.conversation.closed()]))


@SETTINGS
@given(feed=FEEDS, frames=st.lists(st.binary(max_size=60), max_size=5))
@example(feed=("sip", "AAPL"), frames=[b"[" * 50_000])
@example(feed=("crypto", "BTC/USD"), frames=[b'[{"T":"o","b":' + b"[" * 50_000])
@example(feed=("sip", "AAPL"), frames=[b'[{"T":"t","p":1e' + b"9" * 5_000 + b"}]"])
@example(feed=("sip", "AAPL"), frames=[b'[{"T":"t","p":' + b"9" * 5_000 + b"}]"])
def test_any_bytes(dial: Any, feed: tuple[str, str], frames: list[bytes]) -> None:
    read(dial, feed, *frames)


@SETTINGS
@given(feed=FEEDS, frames=st.lists(st.lists(MESSAGE, max_size=4) | JSON, max_size=6), logged_in=st.booleans())
def test_any_frame_that_looks_like_alpacas(dial: Any, feed: Any, frames: list[Any], logged_in: bool) -> None:
    read(dial, feed, *frames, logged_in=logged_in)


@SETTINGS
@given(data=st.data(), feed=FEEDS)
def test_a_good_frame_with_one_byte_changed(dial: Any, alpaca: Any, data: st.DataObject, feed: tuple[str, str]) -> None:
    shares = [alpaca.share_trade(1), alpaca.share_quote(), {"T": "b", "S": "AAPL", "o": 1.5}, alpaca.share_trade(2)]
    coins = [alpaca.coin_trade(1), alpaca.book([(1, 2)], [(3, 4)], r=True), alpaca.book([(1, 0)]), alpaca.coin_trade(2)]
    good = shares if feed[0] == "sip" else coins
    frame = bytearray(json.dumps(good).encode())
    frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    read(dial, feed, good, bytes(frame))
