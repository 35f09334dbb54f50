"""Events of other producers: read, counted by what was tolerated, and treated like any other from then on."""

import json
from typing import Any

import pytest

from md_contract.codec import encode
from md_contract.events import BookL2, Quote, Trade
from md_contract.tolerant import OWN_END, TOLERANCES

NOW = 1_760_000_000_000_000_000  # what the rig's wall clock says
SHAPED = {  # fits the contract
    "type": "trade",
    "provider": "x",
    "symbol": "BTCUSDT",
    "ts_recv": NOW,
    "price": "60000.10",
    "size": "0.5",
    "trade_id": "7",
}
FOREIGN: dict[str, Any] = {"price": 60000.10, "qty": 0.5, "timestamp": 1_759_999_999_500, "side": "SELL", "id": 7}


def _send(rig: Any, body: Any, subject: str = "md.events.trade.BTCUSDT") -> None:
    rig.subscriber.on_message(subject, json.dumps(body).encode())
    rig.settle()


def test_a_trade_of_another_producer_reaches_the_heart(rig: Any) -> None:
    _send(rig, FOREIGN)
    assert rig.recorder.seen == [
        Trade("unknown", "BTCUSDT", NOW, "60000.1", "0.5", "7", side="sell", ts_event=NOW - 500_000_000)
    ]
    assert rig.recorder.touched == ["BTCUSDT"]
    assert rig.subscriber.quarantine.total == 0
    assert rig.subscriber.events_in["trade"]["unknown"] == 1
    rig.assert_ledger_closes()


def test_every_kind_of_message_may_come_from_another_producer(rig: Any) -> None:
    _send(rig, {"bidPrice": 1, "bidQty": 2, "askPrice": 3, "askQty": 4, "venue": "x"}, "md.events.quote.BTC_2FUSD")
    _send(rig, {"bids": [[2, 1]], "asks": [[3, 1]], "ts_recv": 1_760_000_000}, "md.events.book_l2.ETHUSDT")
    assert rig.recorder.seen == [
        Quote("x", "BTC/USD", NOW, "1", "2", "3", "4"),
        BookL2("unknown", "ETHUSDT", NOW, [("2", "1")], [("3", "1")]),
    ]


def test_a_complete_event_with_times_in_seconds_is_read(rig: Any) -> None:
    body = {"type": "trade", "provider": "x", "symbol": "BTCUSDT", "ts_recv": 1_760_000_000, "ts_event": 1_759_999_999}
    _send(rig, body | {"price": "1", "size": "2", "trade_id": "7"})
    assert rig.recorder.seen == [Trade("x", "BTCUSDT", NOW, "1", "2", "7", ts_event=NOW - 10**9)]
    assert {kind for kind, count in rig.subscriber.tolerated.counts.items() if count} == {"time_unit"}
    assert rig.subscriber.events_in["trade"]["x"] == 1


def test_what_was_tolerated_is_counted_with_the_first_sample(rig: Any) -> None:
    for number in range(3):
        _send(rig, FOREIGN | {"id": number})
    tolerated = rig.subscriber.tolerated
    expected = {
        "type_from_subject",
        "symbol_from_subject",
        "no_provider",
        "no_ts_recv",
        "other_name",
        "other_spelling",
        "number_for_text",
        "time_unit",
    }
    assert tolerated.counts == dict.fromkeys(TOLERANCES, 0) | dict.fromkeys(expected, 3)
    assert set(tolerated.samples) == expected
    assert json.loads(tolerated.samples["time_unit"].payload)["id"] == 0
    assert tolerated.samples["time_unit"].subject == "md.events.trade.BTCUSDT"


def test_the_sequence_of_another_producer_is_followed_like_ours(rig: Any) -> None:
    for seq in ("1", "2", "2", "5"):
        _send(rig, FOREIGN | {"seq": seq, "epoch": "9"})
    assert rig.recorder.trail == ["trade 1", "trade 2", ("trade", "BTCUSDT", 2), "trade 5"]
    assert rig.subscriber.sequences.duplicates["trade"] == 1


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"qty": None, "volume": 1}, "wrong_shape"),
        ({"amount": 1}, "ambiguous"),
        ({"symbol": "ETHUSDT"}, "ambiguous"),
        ({"timestamp": "2025-10-09T08:53:20"}, "ambiguous"),
        ({"timestamp": 20_371}, "bad_time"),
        ({"type": "limit"}, "unknown_type"),
        ({"price": float("nan")}, "not_json"),
        ({"symbol": "__system__", "type": "trade"}, "ambiguous"),
    ],
)
def test_what_can_be_read_in_two_ways_is_set_aside_and_nothing_is_noted_as_tolerated(
    rig: Any, changes: dict[str, Any], kind: str
) -> None:
    _send(rig, FOREIGN | changes)
    assert rig.recorder.seen == []
    assert rig.subscriber.quarantine.counts[kind] == 1
    assert rig.subscriber.tolerated.total == 0
    rig.assert_ledger_closes()


def test_a_trade_of_the_system_is_set_aside_however_it_is_read(rig: Any) -> None:
    _send(rig, FOREIGN, "md.events.trade.__system__")
    assert rig.subscriber.quarantine.counts["bad_symbol"] == 1


@pytest.mark.parametrize(
    ("changes", "side", "kind"),
    [
        ({"is_buyer_maker": True}, "sell", "buyer_maker"),
        ({"isBuyerMaker": False}, "buy", "buyer_maker"),
        ({"IS_BUYER_MAKER": True, "side": None}, "sell", "buyer_maker"),
        ({"taker_side": "buy"}, "buy", "other_name"),
        ({"aggressor": "sell"}, "sell", "other_name"),
        ({"Side": "buy"}, "buy", "other_name"),
    ],
)
def test_a_side_told_by_another_field_is_read_from_a_trade_that_fits_the_contract(
    rig: Any, changes: dict[str, Any], side: Any, kind: str
) -> None:
    _send(rig, SHAPED | changes)
    assert rig.recorder.seen == [Trade("x", "BTCUSDT", NOW, "60000.10", "0.5", "7", side=side)]
    assert rig.subscriber.tolerated.counts[kind] == 1
    assert rig.subscriber.events_in["trade"] == {"x": 1, "other": 0}
    rig.assert_ledger_closes()


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"is_buyer_maker": 1}, "wrong_shape"),
        ({"taker_side": "buy", "buyer_is_maker": True}, "ambiguous"),
        ({"side": "buy", "is_buyer_maker": True}, "ambiguous"),
    ],
)
def test_a_side_told_by_another_field_in_no_known_way_is_set_aside(
    rig: Any, changes: dict[str, Any], kind: str
) -> None:
    _send(rig, SHAPED | changes)
    assert rig.recorder.seen == []
    assert rig.subscriber.quarantine.counts[kind] == 1
    assert rig.subscriber.events_in["trade"]["x"] == 1
    rig.assert_ledger_closes()


@pytest.mark.parametrize(
    "changes",
    [
        {"side": "buy", "is_buyer_maker": False},
        {"side": "buy", "is_buyer_maker": 1},
        {"side": "buy", "maker_order": "7"},
        {},
        {"provider": "a maker"},
    ],
)
def test_without_need_no_second_look_changes_anything(rig: Any, changes: dict[str, Any]) -> None:
    _send(rig, SHAPED | changes)
    assert [event.side for event in rig.recorder.seen] == [changes.get("side")]
    assert rig.subscriber.tolerated.total == rig.subscriber.quarantine.total == 0


def test_our_own_encoding_of_a_trade_without_a_side_ends_as_the_intake_takes_it_for_ours() -> None:
    assert encode(Trade("alpaca", "AAPL", NOW, "1", "2", "7", seq=3, epoch=4)).endswith(OWN_END)


@pytest.mark.parametrize("before", [[], [SHAPED]], ids=["first", "later"])
@pytest.mark.parametrize("subject", ["md.events.trade.ETHUSDT", "md.events.quote.BTCUSDT"])
def test_a_subject_that_contradicts_a_message_of_the_contract_is_ambiguous(
    rig: Any, before: list[Any], subject: str
) -> None:
    for body in before:
        _send(rig, body)
    _send(rig, SHAPED, subject)
    assert len(rig.recorder.seen) == len(before)
    assert rig.subscriber.quarantine.counts["ambiguous"] == 1
    rig.assert_ledger_closes()


@pytest.mark.parametrize(
    "subject", ["md.events.trade.btcusdt", "md.events.trade.BTC.USDT", "md.events.trades.ETHUSDT", "elsewhere.ETHUSDT"]
)
def test_a_subject_that_tells_nothing_else_contradicts_nothing(rig: Any, subject: str) -> None:
    _send(rig, SHAPED)
    _send(rig, SHAPED, subject)
    _send(rig, SHAPED, subject)
    assert len(rig.recorder.seen) == 3
