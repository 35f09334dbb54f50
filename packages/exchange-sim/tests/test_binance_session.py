"""Binance's control messages, without a socket."""

import json
from typing import Any

import pytest

from exchange_sim.binance import Binance
from exchange_sim.market import instrument
from exchange_sim.venue import Close, Session


@pytest.fixture
def venue() -> Binance:
    return Binance({"BTCUSDT": instrument("BTCUSDT")})


def open_session(venue: Binance, target: str) -> Session:
    session = venue.open(target)
    assert session is not None
    return session


def ask(session: Session, request: object) -> Any:
    outcome = session.receive(request if isinstance(request, bytes) else json.dumps(request).encode())
    assert len(outcome.replies) == 1
    return json.loads(outcome.replies[0])


@pytest.mark.parametrize(
    ("target", "streams"),
    [
        ("/stream?streams=btcusdt@trade/ethusdt@bookTicker", ["btcusdt@trade", "ethusdt@bookTicker"]),
        ("/stream?streams=btcusdt%40trade%2Fethusdt%40depth%40100ms", ["btcusdt@trade", "ethusdt@depth@100ms"]),
        ("/stream?streams=%E5%B8%81usdt@trade", ["币usdt@trade"]),
        ("/stream", []),
        ("/ws", []),
        ("/ws/btcusdt@trade", ["btcusdt@trade"]),
        ("/ws/btcusdt@depth20@100ms/!miniTicker@arr", ["btcusdt@depth20@100ms", "!miniTicker@arr"]),
    ],
)
def test_a_path_opens_a_session_with_its_streams(venue: Binance, target: str, streams: list[str]) -> None:
    assert list(open_session(venue, target).streams) == streams


@pytest.mark.parametrize(
    "target", ["/", "/streams", "/wss", "/ws/btcusdt", "/stream?streams=nonsense", "/api/v3/depth"]
)
def test_other_paths_open_nothing(venue: Binance, target: str) -> None:
    assert venue.open(target) is None


def test_more_than_1024_streams_are_refused(venue: Binance) -> None:
    names = [f"a{number}@trade" for number in range(1024)]
    assert venue.open("/stream?streams=" + "/".join([*names, "b@trade"])) is None
    session = open_session(venue, "/stream?streams=" + "/".join(names))
    answer = ask(session, {"method": "SUBSCRIBE", "params": ["b@trade"], "id": 1})
    assert (answer["code"], answer["id"]) == (2, 1)
    assert len(list(session.streams)) == 1024
    assert ask(session, {"method": "SUBSCRIBE", "params": names[:3], "id": 2}) == {"result": None, "id": 2}


def test_subscriptions_come_go_and_are_listed_in_order(venue: Binance) -> None:
    session = open_session(venue, "/ws")
    assert ask(session, {"method": "SUBSCRIBE", "params": ["a@trade", "b@trade", "c@depth"], "id": 17}) == {
        "result": None,
        "id": 17,
    }
    assert ask(session, {"method": "UNSUBSCRIBE", "params": ["b@trade", "never@trade"], "id": "x1"}) == {
        "result": None,
        "id": "x1",
    }
    assert ask(session, {"method": "LIST_SUBSCRIPTIONS", "id": None}) == {"result": ["a@trade", "c@depth"], "id": None}


def test_a_well_formed_stream_that_does_not_exist_is_acknowledged(venue: Binance) -> None:
    session = open_session(venue, "/ws")
    assert ask(session, {"method": "SUBSCRIBE", "params": ["NOSUCH@nothing"], "id": 1}) == {"result": None, "id": 1}


def test_the_combined_property_can_be_read_and_set(venue: Binance) -> None:
    session = open_session(venue, "/ws/a@trade")
    raw = session.variant
    assert ask(session, {"method": "GET_PROPERTY", "params": ["combined"], "id": 1}) == {"result": False, "id": 1}
    assert ask(session, {"method": "SET_PROPERTY", "params": ["combined", True], "id": 2}) == {"result": None, "id": 2}
    assert ask(session, {"method": "GET_PROPERTY", "params": ["combined"], "id": 3}) == {"result": True, "id": 3}
    assert session.variant == open_session(venue, "/stream").variant != raw


@pytest.mark.parametrize(
    ("request_", "code", "words"),
    [
        (b"{nonsense", 3, "Invalid JSON"),
        (b"\xff\xfe", 3, "Invalid JSON"),
        (b"[" * 5000, 3, "Invalid JSON"),
        (b"[1]", 2, "Invalid request"),
        ({"params": ["a@trade"], "id": 1}, 2, "missing field `method`"),
        ({"method": "DANCE", "id": 1}, 2, "unknown variant `DANCE`, expected one of `SUBSCRIBE`"),
        ({"method": 7, "id": 1}, 2, "unknown variant"),
        ({"method": "SUBSCRIBE", "id": 1}, 2, "missing field `params`"),
        ({"method": "SUBSCRIBE", "params": ["btcusdt"], "id": 1}, 2, "invalid stream"),
        ({"method": "SUBSCRIBE", "params": [5], "id": 1}, 2, "invalid stream"),
        ({"method": "LIST_SUBSCRIPTIONS", "params": ["x"], "id": 1}, 2, "too many parameters"),
        ({"method": "GET_PROPERTY", "params": [], "id": 1}, 2, "property name must be a string"),
        ({"method": "GET_PROPERTY", "params": ["combined", 1], "id": 1}, 2, "too many parameters"),
        ({"method": "SET_PROPERTY", "params": ["combined"], "id": 1}, 2, "Invalid request"),
        ({"method": "SET_PROPERTY", "params": ["combined", "yes"], "id": 1}, 1, "Invalid value type: expected Boolean"),
        ({"method": "SET_PROPERTY", "params": ["colour", True], "id": 1}, 0, "Unknown property"),
    ],
)
def test_a_bad_request_gets_the_documented_error(venue: Binance, request_: object, code: int, words: str) -> None:
    session = open_session(venue, "/ws/a@trade")
    answer = ask(session, request_)
    assert set(answer) == {"code", "msg", "id"}
    assert answer["code"] == code
    assert words in answer["msg"]
    assert answer["id"] == (1 if isinstance(request_, dict) else None)
    assert list(session.streams) == ["a@trade"]


@pytest.mark.parametrize("bad", [2**63, -(2**63) - 1, "x" * 37, "a-b", "", True, 1.5, [1]])
def test_a_bad_id_is_refused(venue: Binance, bad: object) -> None:
    answer = ask(open_session(venue, "/ws"), {"method": "LIST_SUBSCRIPTIONS", "id": bad})
    assert (answer["code"], answer["id"]) == (2, None)


@pytest.mark.parametrize("good", [2**63 - 1, -(2**63), "x" * 36, None])
def test_any_documented_id_comes_back(venue: Binance, good: object) -> None:
    assert ask(open_session(venue, "/ws"), {"method": "LIST_SUBSCRIPTIONS", "id": good}) == {"result": [], "id": good}


def test_errors_can_be_wrapped() -> None:
    venue = Binance({}, error_shape="wrapped")
    answer = ask(open_session(venue, "/ws"), {"method": "SUBSCRIBE", "params": ["nonsense"], "id": 2})
    assert answer == {"error": {"code": 2, "msg": "Invalid request: invalid stream"}, "id": 2}


def test_the_sixth_message_within_a_second_ends_the_session(venue: Binance) -> None:
    session = open_session(venue, "/ws")
    assert [session.admit(10 + at) for at in (0, 0.1, 0.2, 0.3, 0.4)] == [None] * 5
    assert session.admit(10.99) == Close(1008, "Too many requests")
    fresh = open_session(venue, "/ws")
    assert [fresh.admit(10 + number * 0.201) for number in range(50)] == [None] * 50
