"""Subscriptions, their answers, and the pings that keep a connection open."""

from typing import Any

import pytest

from app.providers.bybit import Bybit

SYMBOLS = tuple(f"S{number}USDT" for number in range(11))


def topics(requests: list[dict[str, Any]]) -> list[str]:
    return [topic for request in requests for topic in request["args"]]


@pytest.fixture
def line(dial: Any) -> Any:
    return dial(Bybit())


def test_every_topic_is_asked_for_once_in_groups_of_ten_trades_first(dial: Any) -> None:
    line = dial(Bybit(), SYMBOLS)
    line.open()
    requests = line.serve()
    asked = topics(requests)
    assert sorted(asked) == sorted(
        f"{kind}.{symbol}" for symbol in SYMBOLS for kind in ("publicTrade", "orderbook.1", "orderbook.50")
    )
    assert all(topic.startswith("publicTrade.") for topic in asked[: len(SYMBOLS)])
    assert [len(request["args"]) for request in requests] == [10, 10, 10, 3]
    assert len({request["req_id"] for request in requests}) == 4


@pytest.mark.parametrize("ack", ["spot_ack", "linear_ack", "anonymous_ack"])
def test_each_form_of_acknowledgement_counts(dial: Any, bybit: Any, ack: str) -> None:
    line = dial(Bybit(), SYMBOLS)
    line.open()
    line.pass_time(0.01)
    assert not line.conversation.subscribed()
    line.serve(getattr(bybit, ack))
    assert line.conversation.subscribed()
    assert line.provider.quarantine.total == 0


def test_one_bad_topic_costs_no_other(dial: Any, bybit: Any) -> None:
    bad = "orderbook.50.S3USDT"

    def reply(request: dict[str, Any]) -> Any:
        if bad in request["args"]:
            return bybit.refusal(request, f"error:handler not found,topic:{bad}")
        return bybit.spot_ack(request)

    line = dial(Bybit(), SYMBOLS)
    line.open()
    requests = line.serve(reply)
    retried = [request["args"] for request in requests if len(request["args"]) == 1]
    assert [bad] in retried
    assert len(retried) == 10
    assert line.conversation.subscribed()
    assert line.provider.counters.subscriptions_refused == 1
    (notice,) = line.notices
    assert notice.event == "subscription refused"
    assert (notice.fields["symbol"], notice.fields["stream"]) == ("S3USDT", bad)
    assert "handler not found" in str(notice.fields["answer"])
    assert line.conversation.refused == {"S3USDT": f"orderbook.50: error:handler not found,topic:{bad}"}


def test_already_subscribed_is_success(line: Any, bybit: Any) -> None:
    line.open()
    line.serve(lambda request: bybit.refusal(request, f"error:already subscribed,topic:{request['args'][0]}"))
    assert line.conversation.subscribed()
    assert line.provider.counters.subscriptions_refused == 0
    assert not line.notices


def test_a_refusal_for_too_many_args_is_met_one_by_one(line: Any, bybit: Any) -> None:
    line.open()
    requests = line.serve(
        lambda request: bybit.refusal(request, "args size >10") if len(request["args"]) > 1 else bybit.spot_ack(request)
    )
    assert [len(request["args"]) for request in requests] == [3, 1, 1, 1]
    assert line.conversation.subscribed()


def test_an_unanswered_request_ends_the_connection(line: Any) -> None:
    line.open()
    line.pass_time(9.9)
    assert not line.hang_ups
    line.pass_time(0.2)
    assert line.hang_ups == ["no answer to subscription request 1"]


@pytest.mark.parametrize(
    "answer",
    [
        {"success": True, "ret_msg": "subscribe", "req_id": "999", "op": "subscribe"},
        {"success": False, "ret_msg": "error:unknown", "req_id": "x" * 5_000, "op": ""},
        {"success": True, "ret_msg": "", "req_id": 10**12, "op": "subscribe"},
    ],
)
def test_an_answer_to_nothing_we_asked_is_counted(line: Any, answer: dict[str, Any]) -> None:
    line.open()
    line.hear(answer)
    assert line.provider.quarantine.counts["answer"] == 1
    assert not line.conversation.subscribed()


def test_data_may_come_before_the_acknowledgement(line: Any, bybit: Any) -> None:
    line.open()
    assert len(line.hear(bybit.trades(bybit.trade("1")))) == 1
    assert line.provider.quarantine.total == 0


PONGS = [
    {"success": True, "ret_msg": "pong", "conn_id": "0970e817", "op": "ping"},
    {"success": True, "ret_msg": "pong", "conn_id": "036e5d21", "req_id": "ping", "op": "ping"},
    {"args": ["1795350000123"], "op": "pong"},
]


@pytest.mark.parametrize("pong", PONGS)
def test_a_connection_with_pongs_outlives_the_idle_limit_of_ten_minutes(line: Any, pong: dict[str, Any]) -> None:
    line.open()
    line.serve()
    for _ in range(33):
        pings = len(line.sent)
        line.pass_time(20)
        assert line.sent[pings:] == [{"req_id": "ping", "op": "ping"}]
        line.hear(pong)
    assert not line.hang_ups
    assert line.provider.quarantine.total == 0


def test_a_missing_pong_ends_the_connection_once_whatever_data_flows(line: Any, bybit: Any) -> None:
    line.open()
    line.serve()
    line.pass_time(25)
    line.hear(bybit.trades(bybit.trade("1")))
    assert not line.hang_ups
    line.pass_time(60)
    assert line.hang_ups == ["no pong within 10 s of a ping"]


def test_a_reconnect_is_told_for_every_symbol_with_the_last_trade(dial: Any, bybit: Any) -> None:
    provider = Bybit()
    first = dial(provider, ("BTCUSDT", "ETHUSDT"))
    assert first.open() == []
    first.hear(bybit.trades(bybit.trade("41"), bybit.trade("42")))
    first.conversation.closed()
    events = dial(provider, ("BTCUSDT", "ETHUSDT")).open("closed by the server with 1001")
    assert [(event.symbol, event.kind, event.detail) for event in events] == [
        ("BTCUSDT", "reconnect", {"reason": "closed by the server with 1001", "last_trade_id": "42"}),
        ("ETHUSDT", "reconnect", {"reason": "closed by the server with 1001", "last_trade_id": None}),
    ]


def test_a_topic_of_a_broken_book_is_left_then_joined_and_no_more_often_than_every_ten_seconds(
    line: Any, bybit: Any
) -> None:
    line.open()
    line.serve()
    line.hear(bybit.book(7), bybit.book(9, kind="delta"))
    assert line.asked() == [{"req_id": "2", "op": "unsubscribe", "args": ["orderbook.50.BTCUSDT"]}]
    line.pass_time(1)
    assert line.asked() == []  # the reply comes first
    line.hear(bybit.linear_ack({"op": "unsubscribe", "req_id": "2"}))
    line.pass_time(0.1)
    (request,) = line.asked()
    assert (request["op"], request["args"]) == ("subscribe", ["orderbook.50.BTCUSDT"])
    line.hear(bybit.linear_ack(request), bybit.book(1), bybit.book(3, kind="delta"))
    line.pass_time(8)
    assert line.asked() == []
    line.pass_time(2)
    assert [request["op"] for request in line.asked()] == ["unsubscribe"]
    assert line.provider.counters.books.resyncs == 2
    assert line.conversation.subscribed()


def test_a_snapshot_that_comes_before_its_turn_spares_the_subscription(line: Any, bybit: Any) -> None:
    line.open()
    line.serve()
    line.hear(bybit.book(7), bybit.book(9, kind="delta"))
    line.serve()
    line.hear(bybit.book(1), bybit.book(5, kind="delta"), bybit.book(20))
    line.pass_time(15)
    assert line.asked() == []


def test_a_book_topic_that_is_refused_when_joined_again_is_tried_again_later(line: Any, bybit: Any) -> None:
    line.open()
    line.serve()
    assert line.conversation.subscribed()
    line.hear(bybit.book(7), bybit.book(9, kind="delta"))
    line.serve(lambda request: bybit.refusal(request, "error:try later"))
    assert line.provider.counters.subscriptions_refused == 1
    requests = line.serve(seconds=10.0)
    assert [request["op"] for request in requests if request["op"] != "ping"] == ["unsubscribe", "subscribe"]
