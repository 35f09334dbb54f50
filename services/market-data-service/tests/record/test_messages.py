"""What a NATS message becomes, and that a journal gives back what it was given."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.journal import Journal
from app.record.messages import MAX_KEPT, MAX_PAYLOAD_BYTES, decode, numbers, read
from app.storage.rows import NAMES, TABLES, Storable, Unreadable, make_row
from md_contract.codec import UnreadableError, encode
from md_contract.events import BookL2, Heartbeat, Quote, Status, Trade
from md_contract.signals import Alert, Condition, FeatureVector, Signal, Trust
from md_contract.tolerant import read_event
from md_contract.tolerant.values import AHEAD_NS, EARLIEST_NS

NOW = 1_790_000_000_000_000_000
TRUST = Trust(True, False, False, 1.5, 12, "bybit", ["why"])
BY_SUBJECT: dict[str, Storable] = {
    "md.events.trade.BTC_2FUSD": Trade("bybit", "BTC/USD", NOW, "1", "2", "a", seq=4, epoch=5),
    "md.events.quote.BTCUSDT": Quote("bybit", "BTCUSDT", NOW, "1", "2", "3", "4"),
    "md.events.book_l2.BTCUSDT": BookL2("bybit", "BTCUSDT", NOW, [("1", "2")], []),
    "md.events.heartbeat.__system__": Heartbeat("bybit", "__system__", NOW, "live", 0, False),
    "md.events.status.BTCUSDT": Status("bybit", "BTCUSDT", NOW, "gap", {"missing": 3}),
    "senpai.features.BTCUSDT": FeatureVector("BTCUSDT", None, None, NOW, {"mid": 1.5}, TRUST, seq=2, epoch=3),
    "senpai.signals.BTCUSDT": Signal(
        "id", "new", "BTCUSDT", "bybit", "long", "m", NOW, NOW, [Condition("c", 1, ">", 0)], {}, TRUST
    ),
    "senpai.alerts": Alert("id", "latency", "firing", "warning", None, None, 1.0, 0.5, "slow", NOW),
}


@pytest.mark.parametrize("subject", BY_SUBJECT)
def test_every_message_of_the_contract_is_read_from_its_subject(subject: str) -> None:
    message = BY_SUBJECT[subject]
    assert read(subject, encode(message), NOW) == message
    assert make_row(message).table == TABLES[type(message)]


def test_the_numbers_are_those_of_events_and_features() -> None:
    found = {NAMES[type(message)]: numbers(message) for message in BY_SUBJECT.values()}
    assert found["trade"] == (5, 4)
    assert found["features"] == (3, 2)
    assert found["signal"] is found["alert"] is None


def test_a_journal_gives_back_every_kind_as_it_was(tmp_path: Path) -> None:
    messages = [*BY_SUBJECT.values(), Unreadable("senpai.x", "why", "\\xff", NOW)]
    assert {type(message) for message in messages} == set(NAMES)
    journal: Journal[Storable] = Journal(tmp_path / "j", 1 << 20, decode=decode)
    assert all(journal.append(message) for message in messages)
    journal.close()
    again: Journal[Storable] = Journal(tmp_path / "j", 1 << 20, decode=decode)
    assert again.read(100) == messages
    assert again.corrupt == 0
    again.close()


def test_events_of_another_producer_are_read_as_the_consumer_reads_them() -> None:
    foreign = b'{"symbol":"BTCUSDT","price":1.5,"qty":"2","ts_recv":1790000000,"trade_id":7,"provider":"x"}'
    event = read("md.events.trade.BTCUSDT", foreign, NOW)
    assert event == Trade("x", "BTCUSDT", 1_790_000_000 * 10**9, "1.5", "2", "7")
    in_seconds = encode(Trade("x", "BTCUSDT", 1_790_000_000, "1", "1", "1"))
    found = read("md.events.trade.BTCUSDT", in_seconds, NOW)
    assert isinstance(found, Trade)
    assert found.ts_recv == 1_790_000_000 * 10**9


@pytest.mark.parametrize(
    ("ts_recv", "ts_event"),
    [
        (NOW, NOW // 10**6),
        (NOW, NOW // 10**9),
        (NOW, NOW + AHEAD_NS),
        (NOW, NOW + AHEAD_NS + 1),
        (NOW, EARLIEST_NS),
        (NOW, EARLIEST_NS - 1),
        (EARLIEST_NS, None),
        (EARLIEST_NS - 1, None),
        (NOW // 10**3, NOW // 10**3),
    ],
)
def test_a_time_is_read_as_the_consumer_reads_it_whatever_its_unit(ts_recv: int, ts_event: int | None) -> None:
    subject, payload = "md.events.trade.BTCUSDT", shaped(ts_recv=ts_recv, ts_event=ts_event)
    try:
        expected: Storable | str = read_event(payload, subject, NOW).event
    except UnreadableError as error:
        expected = str(error)
    found = read(subject, payload, NOW)
    assert (found.reason if isinstance(found, Unreadable) else found) == expected


def shaped(**changes: Any) -> bytes:
    """A trade as another producer may send it, in the contract's form."""
    fields = {"type": "trade", "provider": "x", "symbol": "BTCUSDT", "ts_recv": NOW, "price": "1", "size": "2"}
    return json.dumps(fields | {"trade_id": "7"} | changes).encode()


@pytest.mark.parametrize(
    ("changes", "side"),
    [
        ({"is_buyer_maker": True}, "sell"),
        ({"taker_side": "buy"}, "buy"),
        ({"side": "buy", "maker": "x"}, "buy"),
        ({}, None),
    ],
)
def test_a_side_is_read_as_the_consumer_reads_it(changes: dict[str, Any], side: str | None) -> None:
    event = read("md.events.trade.BTCUSDT", shaped(**changes), NOW)
    assert isinstance(event, Trade)
    assert event.side == side


@pytest.mark.parametrize(
    ("subject", "changes"),
    [
        ("md.events.trade.BTCUSDT", {"side": "buy", "is_buyer_maker": True}),
        ("md.events.trade.ETHUSDT", {}),
        ("md.events.quote.BTCUSDT", {}),
    ],
)
def test_what_contradicts_itself_or_its_subject_is_no_event(subject: str, changes: dict[str, Any]) -> None:
    found = read(subject, shaped(**changes), NOW)
    assert isinstance(found, Unreadable)
    assert found.reason.startswith("ambiguous")


@pytest.mark.parametrize(
    ("subject", "payload", "why"),
    [
        ("md.events.trade.BTCUSDT", b"", "not_json"),
        ("md.events.trade.BTCUSDT", b"\xff\x00{", "not_json"),
        ("md.events.trade.BTCUSDT", b"[" * 100_000, "not_json"),
        ("md.events.kline.BTCUSDT", b'{"type":"kline"}', "unknown_type"),
        ("senpai.features.BTCUSDT", b'{"symbol":"BTCUSDT"}', "wrong_shape"),
        ("senpai.signals.BTCUSDT", encode(BY_SUBJECT["senpai.alerts"]), "wrong_shape"),
        ("senpai.other", b"{}", "unknown_type"),
        ("md.events.trade." + "\u00e4" * 400, b"x" * (MAX_PAYLOAD_BYTES + 1), "wrong_shape"),
    ],
)
def test_what_nobody_can_read_is_a_row_of_the_quarantine(subject: str, payload: bytes, why: str) -> None:
    message = read(subject, payload, NOW)
    assert isinstance(message, Unreadable)
    row = make_row(message)
    assert row.table == "quarantine"
    _, ts, kind, reason, kept = row.values
    assert (ts, reason.startswith(why)) == (NOW, True)
    assert subject.isascii() is (kind == subject)
    assert f"{kind}{reason}{kept}".isascii()
    assert len(kept) <= MAX_KEPT
    assert decode(encode(message)) == message


def test_of_what_nobody_can_read_the_first_4096_characters_are_kept() -> None:
    found = read("md.events.trade.BTCUSDT", b"x" * 5_000, NOW)
    assert isinstance(found, Unreadable)
    assert found.payload == "x" * 4_096


def test_a_message_of_the_largest_size_is_looked_into() -> None:
    found = read("md.events.trade.BTCUSDT", b"x" * MAX_PAYLOAD_BYTES, NOW)
    assert isinstance(found, Unreadable)
    assert found.reason.startswith("not_json")


def test_what_is_none_of_the_messages_is_no_record() -> None:
    with pytest.raises(UnreadableError):
        decode(b'{"a":1}')
