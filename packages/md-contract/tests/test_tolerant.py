"""Messages of other producers: each form that is accepted, each that is refused, and why."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from md_contract import codec
from md_contract.codec import UnreadableError
from md_contract.events import BookL2, Heartbeat, Quote, Status, Trade
from md_contract.tolerant import TOLERANCES, read_event
from md_contract.tolerant.names import BUYER_MAKER, OTHER_NAMES
from md_contract.tolerant.values import EARLIEST_NS, LARGEST

NOW = 1_795_350_000_130_123_456  # 2026-11-22 12:20:00.130123456 UTC
EVENT_NS = 1_795_350_000_121_000_000
SUBJECTS = {name: f"md.events.{name}.BTCUSDT" for name in ("trade", "quote", "book_l2", "status")}
TRADE: dict[str, Any] = {"price": "98765.43", "size": "0.5", "trade_id": "7", "ts_event": EVENT_NS}
QUOTE: dict[str, Any] = {"bid": "1", "bid_size": "2", "ask": "3", "ask_size": "4"}
BOOK: dict[str, Any] = {"bids": [["2", "1"], ["1", "1"]], "asks": [["3", "1"]]}
HEARTBEAT: dict[str, Any] = {"provider": "x", "status": "silent", "silent_for_ms": 5, "synthetic": True}
PAGE = Path(__file__).parents[3] / "docs" / "input.md"


def read(body: Any, subject: str = SUBJECTS["trade"]) -> Any:
    return read_event(body if isinstance(body, bytes) else json.dumps(body).encode(), subject, NOW)


def without(name: str, body: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}


def raw(name: str, value: str) -> bytes:
    """TRADE with the bare JSON text `value` in the field `name`."""
    return json.dumps(without(name, TRADE) | {name: "@"}).replace('"@"', value).encode()


def test_the_least_that_a_trade_can_be() -> None:
    event, tolerances = read({"price": 1.5, "size": 2})
    assert event == Trade("unknown", "BTCUSDT", NOW, "1.5", "2", "")
    expected = {
        "type_from_subject",
        "symbol_from_subject",
        "no_provider",
        "no_ts_recv",
        "no_trade_id",
        "number_for_text",
    }
    assert set(tolerances) == expected


def test_what_the_contract_reads_is_read_the_same_without_tolerance() -> None:
    for name in ("trade", "quote", "book_l2", "heartbeat", "status"):
        payload = (Path(__file__).parent / "golden" / f"{name}.json").read_bytes()
        event = codec.decode_event(payload)
        assert read(payload, "") == (event, ())


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("98765.43000000", "98765.43000000"),
        ("0.1", "0.1"),
        ("0.1000000000000000055511151231257827", None),  # more digits than any price
        ("0.30000000000000004", "0.30000000000000004"),
        ("1e-7", "0.0000001"),
        ("1.50E+2", "150"),
        ("1.5e2", "150"),
        ("12", "12"),
        ("0", "0"),
        ("999999999999999.5", "999999999999999.5"),
        ("1e15", None),
        ("1e99", None),
        ("1e-31", None),
        ("1e999999999", None),
        ("-1", None),
        ("-0.0", None),
        ('"1e-7"', "0.0000001"),
        ('"0.50"', "0.50"),
        ('"+1"', None),
        ('" 1"', None),
        ('"1 "', None),
        (r'"1\n"', None),
        ('"1_000"', None),
        ('"1,000"', None),
        ('"1,5"', None),
        ('"１２"', None),
        ('"٣"', None),
        ('".5"', None),
        ('"5."', None),
        ('"0x10"', None),
        ('"nan"', None),
        ('"Infinity"', None),
        ('""', None),
        ("true", None),
        ("[1]", None),
        ('{"value": 1}', None),
        ("9" * 5_000, None),
    ],
)
def test_numbers_keep_the_digits_that_were_sent_or_are_refused(text: str, price: str | None) -> None:
    if price is None:
        with pytest.raises(UnreadableError) as caught:
            read(raw("price", text))
        assert caught.value.kind == "wrong_shape"
    else:
        assert read(raw("price", text)).event.price == price


@pytest.mark.parametrize(
    ("text", "ns", "tolerance"),
    [
        ("1795350000121000000", EVENT_NS, None),
        ("1795350000121000", EVENT_NS, "time_unit"),
        ("1795350000121", EVENT_NS, "time_unit"),
        ("1795350000", 1_795_350_000 * 10**9, "time_unit"),
        ('"1795350000121"', EVENT_NS, "text_for_number"),
        ('"1795350000.121"', EVENT_NS, "time_float"),
        ("1795350000.121", EVENT_NS, "time_float"),
        ("1795350000.1210001", EVENT_NS + 100, "time_float"),
        ("1795350000.1210000019", EVENT_NS + 1, "time_float"),
        ("1795350000121.0", EVENT_NS, "time_float"),
        ("1.795350000121e18", EVENT_NS, "time_float"),
        ("1.795350000121E+18", EVENT_NS, "time_float"),
        ("1.795350000121e12", EVENT_NS, "time_unit"),
        ("1230768000", 1_230_768_000 * 10**9, "time_unit"),
        ('"2026-11-22T12:20:00.121Z"', EVENT_NS, "time_text"),
        ('"2026-11-22t12:20:00.121z"', EVENT_NS, "time_text"),
        ('"2026-11-22 12:20:00.121+00:00"', EVENT_NS, "time_text"),
        ('"2026-11-22T12:20:00,121Z"', EVENT_NS, "time_text"),
        ('"2026-11-22T13:20:00.121+01"', EVENT_NS, "time_text"),
        ('"2026-11-22T17:50:00.121+0530"', EVENT_NS, "time_text"),
        ('"2026-11-21T23:20:00.121-13:00"', EVENT_NS, "time_text"),
        ('"2026-11-22T12:20:00.1210000019Z"', EVENT_NS + 1, "time_text"),
        ('"2024-02-29T00:00:00Z"', 1_709_164_800 * 10**9, "time_text"),
    ],
)
def test_times_that_can_be_only_one(text: str, ns: int, tolerance: str | None) -> None:
    event, tolerances = read(raw("ts_event", text))
    assert event.ts_event == ns
    if tolerance:
        assert tolerance in tolerances
    assert read(raw("ts_event", text).replace(b"ts_event", b"ts_recv")).event.ts_recv == ns


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('"2026-11-22T12:20:00"', "ambiguous"),
        ('"2026-11-22 12:20:00.121"', "ambiguous"),
        ('"2026-11-22"', "bad_time"),
        ('"20261122T122000Z"', "bad_time"),
        ('"20261122122000"', "bad_time"),
        ('"2026-11-22T12:20Z"', "bad_time"),
        ('"2026-02-29T00:00:00Z"', "bad_time"),
        ('"2026-13-01T00:00:00Z"', "bad_time"),
        ('"2026-11-22T24:00:00Z"', "bad_time"),
        ('"2016-12-31T23:59:60Z"', "bad_time"),
        ('"2026-11-22T12:60:00Z"', "bad_time"),
        ('"2026-11-22T12:20:00+24:00"', "bad_time"),
        ('"2026-11-22T12:20:00+01:60"', "bad_time"),
        ('"2026-11-22T12:20:00 EST"', "bad_time"),
        ('"0000-01-01T00:00:00Z"', "bad_time"),
        ('"2008-12-31T23:59:59Z"', "bad_time"),
        ('"2027-11-22T12:20:00Z"', "bad_time"),
        ('"２０２６-11-22T12:20:00Z"', "bad_time"),
        ('"now"', "bad_time"),
        ('""', "bad_time"),
        ("0", "bad_time"),
        ("-1795350000", "bad_time"),
        ("1230767999", "bad_time"),
        ("1795523000", "bad_time"),
        ("1e18", "bad_time"),
        ("1e10", "bad_time"),
        ("1e999999999", "bad_time"),
        ("9" * 5_000, "bad_time"),
        ("true", "wrong_shape"),
        ("[1795350000]", "wrong_shape"),
    ],
)
def test_times_that_are_none_or_may_be_several_are_refused(text: str, kind: str) -> None:
    for name in (b"ts_event", b"ts_recv"):
        with pytest.raises(UnreadableError) as caught:
            read(raw("ts_event", text).replace(b"ts_event", name))
        assert caught.value.kind == kind


def test_no_number_is_a_time_in_two_units() -> None:
    assert LARGEST < 1_000 * EARLIEST_NS


@pytest.mark.parametrize(
    ("said", "side"),
    [
        ({"side": "BUY"}, "buy"),
        ({"side": "Sell"}, "sell"),
        ({"side": "b"}, "buy"),
        ({"side": "S"}, "sell"),
        ({"side": "unknown"}, None),
        ({"side": None}, None),
        ({}, None),
        ({"taker_side": "buy"}, "buy"),
        ({"aggressorSide": "SELL"}, "sell"),
        ({"isBuyerMaker": True}, "sell"),
        ({"is_buyer_maker": False}, "buy"),
        ({"side": "sell", "buyer_is_maker": True}, "sell"),
        ({"side": "unknown", "buyer_is_maker": False}, "buy"),
        ({"maker_side": "sell"}, None),
    ],
)
def test_the_side_in_all_its_spellings(said: dict[str, Any], side: str | None) -> None:
    assert read(TRADE | said).event.side == side


def test_every_type_is_read_from_other_producers() -> None:
    quote = read({"bidPrice": 1.50, "bidQty": 2, "best_ask": "3", "ask_amount": 4e0}, SUBJECTS["quote"]).event
    assert quote == Quote("unknown", "BTCUSDT", NOW, "1.5", "2", "3", "4.0")
    book = read(
        {"bids": [[2, 1], {"px": 1.5, "qty": "7"}], "asks": [], "time": 1795350000121, "exchange": "x"},
        "md.events.book_l2.BTC_2FUSD",
    )
    assert book.event == BookL2("x", "BTC/USD", NOW, [("2", "1"), ("1.5", "7")], [], EVENT_NS)
    assert {"level_object", "other_name"} <= set(book.tolerances)
    beat = read(HEARTBEAT | {"status": "SILENT", "silent_for_ms": "5"}, "md.events.heartbeat.__system__").event
    assert beat == Heartbeat("x", "__system__", NOW, "silent", 5, True)
    detail = {"from": 2**62, "missing": None, "deep": [1, -2, {"x": 1.5}], "ok": True}
    status = read({"kind": "gap", "detail": detail}, SUBJECTS["status"]).event
    assert status == Status("unknown", "BTCUSDT", NOW, "gap", detail)
    assert read({"kind": "gap"}, SUBJECTS["status"]).event.detail == {}


def test_the_numbers_of_the_bus_may_come_as_text() -> None:
    event = read(TRADE | {"seq": "17", "epoch": "1795349990", "v": "1", "trade_id": 10**20}).event
    assert (event.seq, event.epoch, event.v, event.trade_id) == (17, 1795349990, 1, str(10**20))
    assert read(TRADE | {"seq": 17.0}).event.seq == 17


@pytest.mark.parametrize(
    ("subject", "type_", "symbol"),
    [
        ("md.events.trade.BTCUSDT", "trade", "BTCUSDT"),
        ("md.events.trade.BTC_2FUSD", "trade", "BTC/USD"),
        ("md.events.trade.BTC_USD", "trade", None),
        ("md.events.trade.BTC.USD", "trade", None),
        ("md.events.trade.", "trade", None),
        ("md.events.trade", "trade", None),
        ("md.events.candle.BTCUSDT", None, None),
        ("other.md.events.trade.BTCUSDT", None, None),
        ("", None, None),
    ],
)
def test_a_subject_tells_what_it_can(subject: str, type_: str | None, symbol: str | None) -> None:
    for body, tells in ((TRADE | {"symbol": symbol or "X"}, type_), (TRADE | {"type": "trade"}, symbol)):
        if tells:
            event = read(body, subject).event
            assert (type(event), event.symbol) == (Trade, symbol or "X")
        else:
            with pytest.raises(UnreadableError) as caught:
                read(body, subject)
            assert caught.value.kind == "wrong_shape"


REFUSED: dict[str, tuple[Any, str]] = {
    "not JSON": (b"{", "not_json"),
    "bytes": (b"\xff", "not_json"),
    "two objects": (b"{}{}", "not_json"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "not_json"),
    "a list": ([TRADE], "not_json"),
    "a number": (b"1.5", "not_json"),
    "half a surrogate": (json.dumps(TRADE | {"provider": "\ud800"}).encode(), "not_json"),
    "NaN": (raw("price", "NaN"), "not_json"),
    "minus infinity in an unknown field": (raw("colour", "-Infinity"), "not_json"),
    "100,000 deep": (b'{"a":' * 20_000, "not_json"),
    "deep detail": (b'{"kind":"gap","type":"status","detail":{"a":' + b"[" * 900 + b"]" * 900 + b"}}", "ambiguous"),
    "twice the same": (json.dumps(TRADE).encode()[:-1] + b', "price": "98765.43"}', "ambiguous"),
    "twice in an inner object": (raw("colour", '{"a": 1, "a": 2}'), "ambiguous"),
    "names that disagree": (without("size", TRADE) | {"qty": "1", "amount": "60000"}, "ambiguous"),
    "spellings that disagree": (without("size", TRADE) | {"Size": "1", "SIZE": "2"}, "ambiguous"),
    "times that disagree": (
        without("ts_event", TRADE) | {"event_time": EVENT_NS, "trade_time": EVENT_NS + 1},
        "ambiguous",
    ),
    "side and maker disagree": (TRADE | {"side": "buy", "isBuyerMaker": True}, "ambiguous"),
    "another type than the subject's": (TRADE | {"type": "quote"}, "ambiguous"),
    "another symbol than the subject's": (TRADE | {"symbol": "ETHUSDT"}, "ambiguous"),
    "an order's type": (TRADE | {"type": "limit"}, "unknown_type"),
    "a type that is a number": (TRADE | {"type": 1}, "wrong_shape"),
    "volume": (without("size", TRADE) | {"volume": "1"}, "wrong_shape"),
    "one letter names": ({"p": "1", "s": "2", "t": EVENT_NS}, "wrong_shape"),
    "an envelope": ({"data": TRADE}, "wrong_shape"),
    "empty": ({}, "wrong_shape"),
    "side at the bid": (TRADE | {"side": "bid"}, "wrong_shape"),
    "side as a number": (TRADE | {"side": 1}, "wrong_shape"),
    "side of nothing": (TRADE | {"side": ""}, "wrong_shape"),
    "maker as a number": (TRADE | {"isBuyerMaker": 1}, "wrong_shape"),
    "maker as text": (TRADE | {"isBuyerMaker": "true"}, "wrong_shape"),
    "an id with a point": (TRADE | {"trade_id": 1.5}, "wrong_shape"),
    "an id with an exponent": (raw("trade_id", "1e10"), "wrong_shape"),
    "an empty symbol": (TRADE | {"symbol": ""}, "wrong_shape"),
    "a symbol that is a number": (TRADE | {"symbol": 600519}, "wrong_shape"),
    "a provider that is a number": (TRADE | {"provider": 1}, "wrong_shape"),
    "seq below zero": (TRADE | {"seq": -1}, "wrong_shape"),
    "seq with a fraction": (TRADE | {"seq": 1.5}, "wrong_shape"),
    "seq beyond 64 bits": (TRADE | {"seq": 2**63}, "wrong_shape"),
    "v as a volume": (TRADE | {"v": 0.25}, "wrong_shape"),
    "backfill as a number": (TRADE | {"backfill": 1}, "wrong_shape"),
    "too many fields": (TRADE | {f"x{number}": 1 for number in range(500)}, "wrong_shape"),
    "too large": (TRADE | {"x": "x" * 131_072}, "wrong_shape"),
    "event two days after its reception": (TRADE | {"ts_recv": EVENT_NS - 172_800 * 10**9}, "bad_time"),
}


@pytest.mark.parametrize(("body", "kind"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused_and_why(body: Any, kind: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        read(body)
    assert caught.value.kind == kind
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("name", "body", "kind"),
    [
        ("quote", without("bid_size", QUOTE), "wrong_shape"),
        ("quote", QUOTE | {"ask": None}, "wrong_shape"),
        ("book_l2", without("asks", BOOK), "wrong_shape"),
        ("book_l2", BOOK | {"bids": {"2": "1"}}, "wrong_shape"),
        ("book_l2", BOOK | {"bids": [["2", "1", 3]]}, "wrong_shape"),
        ("book_l2", BOOK | {"bids": ["21"]}, "wrong_shape"),
        ("book_l2", BOOK | {"bids": [["1", "1"], ["2", "1"]]}, "ambiguous"),
        ("book_l2", BOOK | {"bids": [["2.0", "1"], [2, "1"]]}, "ambiguous"),
        ("book_l2", BOOK | {"asks": [["2", "1"], ["1", "1"]]}, "ambiguous"),
        ("book_l2", BOOK | {"asks": [["2", "0.000"]]}, "ambiguous"),
        ("book_l2", BOOK | {"asks": [[3 + number, 1] for number in range(2_501)]}, "wrong_shape"),
        ("heartbeat", without("status", HEARTBEAT), "wrong_shape"),
        ("heartbeat", without("silent_for_ms", HEARTBEAT), "wrong_shape"),
        ("heartbeat", without("synthetic", HEARTBEAT), "wrong_shape"),
        ("heartbeat", HEARTBEAT | {"status": "ok"}, "wrong_shape"),
        ("heartbeat", HEARTBEAT | {"synthetic": 1}, "wrong_shape"),
        ("status", {"detail": {}}, "wrong_shape"),
        ("status", {"kind": 1}, "wrong_shape"),
        ("status", {"kind": "gap", "detail": "text"}, "wrong_shape"),
        ("status", {"kind": "gap", "detail": {"n": 10**30}}, "wrong_shape"),
    ],
)
def test_what_is_refused_of_other_types(name: str, body: dict[str, Any], kind: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        read(body, f"md.events.{name}.{'__system__' if name == 'heartbeat' else 'BTCUSDT'}")
    assert caught.value.kind == kind


def test_the_page_for_people_shows_the_tables_of_the_code() -> None:
    page = PAGE.read_text()
    accepted = page.split("## Foreign messages: what is accepted")[1].split("### Names")[0]
    assert re.findall(r"^\| `(\w+)` \|", accepted, re.MULTILINE)[1:] == list(TOLERANCES)  # below its own heading
    names = page.split("### Names")[1].split("## Foreign messages: what is refused")[0]
    rows = re.findall(r"^\| `(\w+)` \| (`.*`) \|$", names, re.MULTILINE)
    shown = {field: {name.replace("_", "") for name in re.findall(r"`(\w+)`", cell)} for field, cell in rows}
    maker = shown.pop("is_buyer_maker") | {"isbuyermaker"}
    assert shown == {field: set(others) for field, others in OTHER_NAMES.items()}
    assert maker == set(BUYER_MAKER)
