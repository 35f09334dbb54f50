"""Bybit's control messages, without a socket. The texts are those of PROTOCOLS 3.3 and of the recorded sockets."""

import json
from typing import Any

import pytest

from exchange_sim.bybit import BadAck, Bybit
from exchange_sim.market import MarketModel, instrument
from exchange_sim.venue import Outcome, Session

Json = Any


@pytest.fixture
def venue() -> Bybit:
    return Bybit.of({symbol: instrument(symbol) for symbol in ("BTCUSDT", "ETHUSDT")})


def open_session(venue: Bybit, category: str = "spot") -> Session:
    session = venue.open(f"/v5/public/{category}")
    assert session is not None
    return session


def receive(session: Session, request: object) -> Outcome:
    return session.receive(request if isinstance(request, bytes) else json.dumps(request).encode())


def ask(session: Session, request: object) -> Json:
    (reply,) = receive(session, request).replies
    answer = json.loads(reply)
    assert answer.pop("conn_id").startswith("simulated-")
    return answer


def subscribe(session: Session, *topics: str, **extra: object) -> Json:
    return ask(session, {"op": "subscribe", "args": topics, **extra})


@pytest.mark.parametrize("target", ["/v5/public/spot", "/v5/public/linear", "/v5/public/spot?pretty=1"])
def test_a_path_opens_a_session_without_streams(venue: Bybit, target: str) -> None:
    session = venue.open(target)
    assert session is not None
    assert list(session.streams) == []


@pytest.mark.parametrize("target", ["/v5/public", "/v5/public/option", "/v5/private", "/stream", "/ws/btcusdt@trade"])
def test_other_paths_open_nothing(venue: Bybit, target: str) -> None:
    assert venue.open(target) is None


def test_acknowledgements_of_spot(venue: Bybit) -> None:
    session = open_session(venue)
    assert subscribe(session, "publicTrade.BTCUSDT") == {"success": True, "ret_msg": "subscribe", "op": "subscribe"}
    assert subscribe(session, "orderbook.1.BTCUSDT", req_id="s-2") == {
        "success": True,
        "ret_msg": "subscribe",
        "req_id": "s-2",
        "op": "subscribe",
    }
    assert ask(session, {"op": "unsubscribe", "args": ["publicTrade.BTCUSDT"], "req_id": "u"}) == {
        "success": True,
        "ret_msg": "unsubscribe",
        "req_id": "u",
        "op": "unsubscribe",
    }
    assert list(session.streams) == ["spot:orderbook.1.BTCUSDT"]


def test_acknowledgements_of_linear(venue: Bybit) -> None:
    session = open_session(venue, "linear")
    (reply,) = receive(session, {"op": "subscribe", "args": ["publicTrade.BTCUSDT"]}).replies
    assert list(json.loads(reply)) == ["success", "ret_msg", "conn_id", "req_id", "op"]
    assert subscribe(session, "publicTrade.ETHUSDT", req_id="s-1") == {
        "success": True,
        "ret_msg": "",
        "req_id": "s-1",
        "op": "subscribe",
    }
    assert list(session.streams) == ["linear:publicTrade.BTCUSDT", "linear:publicTrade.ETHUSDT"]


def test_the_three_shapes_of_a_pong(venue: Bybit) -> None:
    ping = {"op": "ping", "req_id": "p-1"}
    assert ask(open_session(venue), ping) == {"success": True, "ret_msg": "pong", "op": "ping"}
    linear = {"success": True, "ret_msg": "pong", "req_id": "p-1", "op": "ping"}
    assert ask(open_session(venue, "linear"), ping) == linear
    venue.oddities.option_pongs = True
    (reply,) = receive(open_session(venue), ping).replies
    assert json.loads(reply) == {"args": ["0"], "op": "pong"}


def test_spot_takes_ten_topics_a_request_and_linear_any_number(venue: Bybit) -> None:
    kinds = ("publicTrade", "orderbook.1", "orderbook.50", "orderbook.200", "orderbook.1000", "tickers")
    topics = [f"{kind}.{symbol}" for symbol in ("BTCUSDT", "ETHUSDT") for kind in kinds][:11]
    spot = open_session(venue)
    assert subscribe(spot, *topics) == {"success": False, "ret_msg": "args size >10", "op": "subscribe"}
    assert list(spot.streams) == []
    assert subscribe(spot, *topics[:10])["success"]
    assert subscribe(open_session(venue, "linear"), *topics)["success"]


@pytest.mark.parametrize(
    "topic",
    [
        "orderbook.500.BTCUSDT",
        "orderbook.BTCUSDT",
        "publicTrade.NOPEUSDT",
        "publicTrade.btcusdt",
        "kline.2.BTCUSDT",
        "allLiquidation.BTCUSDT",
        "nonsense",
        "",
    ],
)
def test_one_unknown_topic_fails_the_whole_request(venue: Bybit, topic: str) -> None:
    session = open_session(venue)
    answer = subscribe(session, "publicTrade.BTCUSDT", topic, "orderbook.1.BTCUSDT", req_id="7")
    assert answer == {
        "success": False,
        "ret_msg": f"error:handler not found,topic:{topic}",
        "req_id": "7",
        "op": "subscribe",
    }
    assert list(session.streams) == []


def test_liquidations_are_known_on_linear_only(venue: Bybit) -> None:
    assert subscribe(open_session(venue, "linear"), "allLiquidation.BTCUSDT")["success"]


@pytest.mark.parametrize("category", ["spot", "linear"])
def test_a_topic_cannot_be_subscribed_twice(venue: Bybit, category: str) -> None:
    session = open_session(venue, category)
    subscribe(session, "tickers.BTCUSDT")
    answer = subscribe(session, "publicTrade.ETHUSDT", "tickers.BTCUSDT")
    assert (answer["success"], answer["ret_msg"]) == (False, "error:already subscribed,topic:tickers.BTCUSDT")
    assert list(session.streams) == [f"{category}:tickers.BTCUSDT"]
    assert subscribe(session, "tickers.ETHUSDT", "tickers.ETHUSDT")["success"] is False
    ask(session, {"op": "unsubscribe", "args": ["tickers.BTCUSDT"]})
    assert subscribe(session, "tickers.BTCUSDT")["success"]


def test_all_topics_of_a_connection_have_at_most_21000_characters() -> None:
    symbols = [f"A{number:06d}LONGLONGLONGLONGLONGLONGUSDT" for number in range(500)]
    venue = Bybit.of({symbol: instrument(symbol) for symbol in symbols})
    session = open_session(venue, "linear")
    topics = [f"publicTrade.{symbol}" for symbol in symbols]
    fits = next(
        count for count in range(len(topics)) if len(json.dumps(topics[: count + 1], separators=(",", ":"))) > 21_000
    )
    assert 300 < fits < 500
    assert subscribe(session, *topics[: fits - 1])["success"]
    assert subscribe(session, topics[fits - 1])["success"]
    assert subscribe(session, topics[fits]) == {
        "success": False,
        "ret_msg": "args length >21000",
        "req_id": "",
        "op": "subscribe",
    }
    assert len(list(session.streams)) == fits


@pytest.mark.parametrize(
    "request_",
    [
        b"not json",
        b"\xff\xfe",
        b"[" * 100_000,
        b"[]",
        b"{}",
        {"op": 7},
        {"op": "dance"},
        {"op": "subscribe"},
        {"op": "subscribe", "args": []},
        {"op": "subscribe", "args": "publicTrade.BTCUSDT"},
        {"op": "subscribe", "args": [1]},
        {"op": "unsubscribe", "args": {}},
    ],
)
def test_what_cannot_be_understood_is_refused_and_changes_nothing(venue: Bybit, request_: object) -> None:
    session = open_session(venue)
    subscribe(session, "tickers.BTCUSDT")
    assert ask(session, request_)["success"] is False
    assert list(session.streams) == ["spot:tickers.BTCUSDT"]


def test_unsubscribing_from_what_was_not_subscribed_is_acknowledged(venue: Bybit) -> None:
    assert ask(open_session(venue), {"op": "unsubscribe", "args": ["publicTrade.BTCUSDT"]})["success"]


def test_connections_have_ids_of_their_own(venue: Bybit) -> None:
    ids = {json.loads(receive(open_session(venue), {"op": "ping"}).replies[0])["conn_id"] for _ in range(3)}
    assert len(ids) == 3


@pytest.mark.parametrize(
    ("how", "is_subscribed"),
    [("refused", False), ("missing", False), ("hollow", False), ("foreign", True), ("cut", True), ("late", True)],
)
def test_a_bad_acknowledgement(how: str, is_subscribed: bool) -> None:
    model = MarketModel(1, ["BTCUSDT"])
    venue = Bybit.of(model.instruments)
    venue.teller(model, lambda _: False).open(1_790_000_000_000_000_000)
    venue.oddities.bad_acks.append(BadAck(how))
    session = open_session(venue)
    request = {"op": "subscribe", "args": ["orderbook.1.BTCUSDT"], "req_id": "mine"}
    outcome = receive(session, request)
    assert bool(list(session.streams)) is is_subscribed
    assert len(outcome.frames) == is_subscribed
    if how == "missing":
        assert outcome.replies == []
    elif how == "cut":
        with pytest.raises(json.JSONDecodeError):
            json.loads(outcome.replies[0])
    else:
        answer = json.loads(outcome.replies[0])
        assert answer["success"] is (how != "refused")
        assert (answer["req_id"] == "mine") is (how != "foreign")
    assert outcome.frames_first is (how == "late")
    if not is_subscribed:
        assert json.loads(receive(session, request).replies[0])["success"]
