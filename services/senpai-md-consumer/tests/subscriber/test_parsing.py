"""What is read, what is set aside, and that neighbours are kept: through `on_message`, as NATS delivers it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from md_contract.subjects import event_subject
from senpai.md_consumer.subscriber.quarantine import KINDS

NOW = 1_760_000_000_000_000_000
TRADE: dict[str, Any] = {
    "type": "trade",
    "provider": "binance",
    "symbol": "BTCUSDT",
    "ts_recv": NOW,
    "price": "60000.10",
    "size": "0.5",
    "trade_id": "7",
}
QUOTE = {
    "type": "quote",
    "provider": "binance",
    "symbol": "BTCUSDT",
    "ts_recv": NOW,
    "bid": "1",
    "bid_size": "1",
    "ask": "2",
    "ask_size": "1",
}
BOOK = {
    "type": "book_l2",
    "provider": "binance",
    "symbol": "BTCUSDT",
    "ts_recv": NOW,
    "bids": [["1", "2"]],
    "asks": [],
}
HEARTBEAT = {
    "type": "heartbeat",
    "provider": "binance",
    "symbol": "__system__",
    "ts_recv": NOW,
    "status": "silent",
    "silent_for_ms": 5000,
    "synthetic": True,
}
STATUS = {
    "type": "status",
    "provider": "binance",
    "symbol": "BTCUSDT",
    "ts_recv": NOW,
    "kind": "a_kind_of_tomorrow",
    "detail": {"any": [1, 2]},
}


def _send(rig: Any, body: Any) -> None:
    if isinstance(body, bytes):
        rig.subscriber.on_message("md.events.trade.BTCUSDT", body)
    else:
        rig.subscriber.on_message(event_subject(body["type"], body["symbol"]), json.dumps(body).encode())
    rig.settle()


@pytest.mark.parametrize("body", [TRADE, QUOTE, BOOK, HEARTBEAT, STATUS], ids=lambda body: str(body["type"]))
def test_every_type_of_the_contract_is_read_with_its_optional_fields_missing(rig: Any, body: dict[str, Any]) -> None:
    _send(rig, body)
    (event,) = rig.recorder.seen
    assert event.ts_event is None
    assert event.seq == event.epoch == 0
    assert all(getattr(event, name) is not None for name in body if name != "type")
    assert rig.subscriber.events_in[body["type"]]["binance"] == 1


def test_unknown_fields_are_ignored(rig: Any) -> None:
    _send(rig, TRADE | {"a_field_of_tomorrow": {"deep": [1]}, "v": 2})
    assert rig.recorder.seen[0].price == "60000.10"


def test_prices_keep_every_digit(rig: Any) -> None:
    price = "0.123456789012345678901234567890"
    _send(rig, TRADE | {"price": price})
    assert rig.recorder.seen[0].price == price


def test_fields_may_come_in_any_order_and_with_white_space(rig: Any) -> None:
    _send(rig, json.dumps(dict(reversed(TRADE.items())), indent=2).encode())
    assert rig.recorder.seen[0].trade_id == "7"


def test_text_beyond_ascii_is_read(rig: Any) -> None:
    _send(rig, TRADE | {"symbol": "测试/USD"})
    assert rig.recorder.seen[0].symbol == "测试/USD"


NOT_READ = {
    "empty": (b"", "not_json"),
    "cut off": (json.dumps(TRADE).encode()[:-9], "not_json"),
    "two objects": (json.dumps(TRADE).encode() * 2, "not_json"),
    "half a surrogate": (json.dumps(TRADE).encode().replace(b"binance", rb"\ud800"), "not_json"),
    "binary": (bytes(range(256)), "not_json"),
    "a list": (b"[1, 2]", "not_json"),
    "null": (b"null", "not_json"),
    "NaN without quotes": (json.dumps(TRADE).encode().replace(b'"0.5"', b"NaN"), "not_json"),
    "100,000 deep": (b"[" * 100_000, "not_json"),
    "unknown type": (json.dumps(TRADE | {"type": "liquidation"}).encode(), "unknown_type"),
    "type is a number": (json.dumps(TRADE | {"type": 3}).encode(), "wrong_shape"),
    "price missing": (json.dumps({key: TRADE[key] for key in TRADE if key != "price"}).encode(), "wrong_shape"),
    "price is null": (json.dumps(TRADE | {"price": None}).encode(), "wrong_shape"),
    "side is neither": (json.dumps(TRADE | {"side": "both"}).encode(), "wrong_shape"),
    "ts_recv is text": (json.dumps(TRADE | {"ts_recv": "now"}).encode(), "bad_time"),
    "a book on a trade's subject, of numbers": (json.dumps(BOOK | {"bids": [[1, 2]]}).encode(), "ambiguous"),
    "local time": (json.dumps(TRADE | {"ts_event": "2025-10-09T08:53:20"}).encode(), "ambiguous"),
    "price twice, and a number": (json.dumps(TRADE | {"price": 1}).encode()[:-1] + b', "price": 2}', "ambiguous"),
    "days for ns": (json.dumps(TRADE | {"ts_recv": 20_370}).encode(), "bad_time"),
    "half a megabyte": (json.dumps(TRADE | {"trade_id": "x" * 600_000}).encode(), "too_large"),
    "empty symbol": (json.dumps(TRADE | {"symbol": ""}).encode(), "bad_symbol"),
    "symbol of 8 KB": (json.dumps(TRADE | {"symbol": "X" * 8192}).encode(), "bad_symbol"),
    "the system's symbol": (json.dumps(TRADE | {"symbol": "__system__"}).encode(), "bad_symbol"),
    "time beyond 64 bits": (json.dumps(TRADE | {"ts_recv": 10**30}).encode(), "bad_time"),
    "event two days ahead": (
        json.dumps(TRADE | {"ts_event": NOW + 2 * 86_400 * 10**9}).encode(),
        "bad_time",
    ),
    "negative event time": (json.dumps(TRADE | {"ts_event": -1}).encode(), "bad_time"),
}


@pytest.mark.parametrize(("payload", "kind"), NOT_READ.values(), ids=NOT_READ.keys())
def test_what_cannot_be_used_is_set_aside_with_a_sample_and_its_neighbours_kept(
    rig: Any, payload: bytes, kind: str
) -> None:
    _send(rig, TRADE | {"trade_id": "before"})
    _send(rig, payload)
    _send(rig, TRADE | {"trade_id": "after"})
    assert [event.trade_id for event in rig.recorder.seen] == ["before", "after"]
    assert rig.subscriber.quarantine.counts == dict.fromkeys(KINDS, 0) | {kind: 1}
    sample = rig.subscriber.quarantine.samples[kind]
    assert sample.payload == payload[:200].decode(errors="replace")
    assert len(sample.why) <= 200
    rig.assert_ledger_closes()
    assert sum(count for (reason, _), count in rig.queue.dropped_by_reason.items() if reason == kind) == 1


def test_bytes_that_are_no_utf_8_are_set_aside(rig: Any) -> None:
    _send(rig, json.dumps(TRADE).encode().replace(b"binance", b"\xff\xfe"))
    assert rig.recorder.seen == []
    assert rig.subscriber.quarantine.total == 1


def test_only_the_first_sample_of_a_kind_is_kept_and_all_are_counted(rig: Any) -> None:
    for number in range(1_000):
        _send(rig, b"no json %d" % number)
    assert rig.subscriber.quarantine.counts["not_json"] == 1_000
    assert rig.subscriber.quarantine.samples["not_json"].payload == "no json 0"


def test_providers_beyond_the_bound_share_one_count(rig: Any) -> None:
    for number in range(500):
        _send(rig, TRADE | {"provider": f"provider-{number}"})
    _send(rig, TRADE | {"provider": "x" * 10_000})
    counts = rig.subscriber.events_in["trade"]
    assert sum(counts.values()) == 501
    assert len(counts) < 40
    assert max(map(len, counts)) < 40


@given(
    payload=st.one_of(
        st.binary(max_size=300),
        st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(
            lambda v: json.dumps(v).encode()
        ),
    )
)
def test_no_bytes_whatever_raise(make_rig: Any, payload: bytes) -> None:
    rig = make_rig()
    rig.subscriber.on_message("md.events.trade.BTCUSDT", payload)
    rig.settle()
    assert rig.queue.received == 1
    rig.assert_ledger_closes()


json_values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)


@given(changed=st.dictionaries(st.sampled_from([*TRADE, "seq", "epoch", "ts_event", "side", "v"]), json_values))
def test_any_value_in_any_field_is_read_or_set_aside(make_rig: Any, changed: dict[str, Any]) -> None:
    rig = make_rig()
    rig.subscriber.on_message("md.events.trade.BTCUSDT", json.dumps(TRADE | changed).encode())
    rig.settle()
    assert len(rig.recorder.seen) + sum(rig.queue.dropped_by_reason.values()) == 1
    rig.assert_ledger_closes()
