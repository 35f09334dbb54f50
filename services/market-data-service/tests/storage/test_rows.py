"""Messages to rows: what is kept to the last digit, what is refused, and that nothing in between exists."""

import json
import re
from hashlib import blake2b
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.storage import rows, schema
from app.storage.rows import MAX_PAYLOAD, PoisonError, make_row, quarantine_row
from md_contract.codec import Message
from md_contract.events import BookL2, Event, Heartbeat, Quote, Status, Trade
from md_contract.signals import Signal

LEAST, MOST = -(2**63), 2**63 - 1
anything = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(), max_size=300), st.binary(),
    st.lists(st.integers(), max_size=2), st.sampled_from(["1.10", "0", "1e-7", "BTCUSDT"]),
)  # fmt: skip
trades = st.builds(
    Trade, provider=anything, symbol=anything, ts_recv=anything, price=anything, size=anything, trade_id=anything,
    side=anything, ts_event=anything, backfill=anything,
)  # fmt: skip


def storable(value: object) -> bool:
    """What both engines hold without a change."""
    if value is None or type(value) is bool:
        return True
    if type(value) is int:
        return LEAST <= value <= MOST
    return type(value) is str and "\0" not in value and bool(value.encode())


@given(trades)
def test_whatever_a_trade_holds_it_is_a_row_that_can_be_stored_or_poison(trade: Trade) -> None:
    try:
        row = make_row(trade)
    except PoisonError as error:
        row = quarantine_row(trade, str(error), 5)
        assert row.values[4].isascii()
        assert "\0" not in row.values[4]
    assert len(row.values) == len(schema.metadata.tables[row.table].columns)
    assert all(map(storable, row.values))


def test_every_poison_is_refused_and_its_payload_tells_what_it_held(poison: list[Event]) -> None:
    for event in poison:
        with pytest.raises(PoisonError) as refused:
            make_row(event)
        row = quarantine_row(event, str(refused.value), 7)
        assert row.table == "quarantine"
        _, ts, name, reason, payload = row.values
        assert (ts, name, reason) == (7, type(event).__struct_config__.tag, str(refused.value))
        assert len(payload) <= MAX_PAYLOAD
        held = json.loads(payload)
        assert held["symbol"] == event.symbol
        assert "seq" not in held


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("64000.10000000", "64000.10000000"),
        ("0", "0"),
        ("1e-7", "0.0000001"),
        ("1E+3", "1000"),
        ("007.50", "7.50"),
        (".5", "0.5"),
        ("+1", "1"),
        ("1.", "1"),
        ("-0.00", "0.00"),
        ("123456789012345.1234567890123456789", "123456789012345.1234567890123456789"),
    ],
)
def test_a_number_keeps_every_digit_and_loses_another_notation(text: str, stored: str, trades: Any) -> None:
    [trade] = trades(1, size=text)
    assert make_row(trade).values[7] == stored


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0", "a price is zero"),
        ("0.000", "a price is zero"),
        ("-0", "a price is zero"),
        ("0e5", "a price is zero"),
        ("-1", "below zero"),
        ("-0.01", "below zero"),
        ("-1e-7", "below zero"),
        ("1000000000000000", "10^15 or more"),
        ("1e15", "10^15 or more"),
    ],
)
def test_a_price_of_no_market_is_poison_in_every_kind_of_event(text: str, why: str, trades: Any) -> None:
    origin: dict[str, Any] = {"provider": "x", "symbol": "Y", "ts_recv": 1}
    events: list[Event] = [
        *trades(1, price=text),
        BookL2(**origin, bids=[(text, "1")], asks=[]), BookL2(**origin, bids=[], asks=[(text, "1")]),
    ]  # fmt: skip
    fine: dict[str, Any] = {"bid": "1", "bid_size": "1", "ask": "2", "ask_size": "1"}
    quotes = [Quote(**origin, **(fine | {side: text})) for side in ("bid", "ask")]
    if why != "a price is zero":  # in a quote, a side that is missing
        events += quotes
    else:
        assert all(make_row(quote).table == "quote" for quote in quotes)
    for event in events:
        with pytest.raises(PoisonError, match=re.escape(why)):
            make_row(event)


@pytest.mark.parametrize(
    ("text", "why"), [("-1", "below zero"), ("-1e-7", "below zero"), ("1e15", "10^15 or more"), ("0", None)]
)
def test_a_size_may_be_zero_and_not_below(text: str, why: str | None, trades: Any) -> None:
    origin: dict[str, Any] = {"provider": "x", "symbol": "Y", "ts_recv": 1}
    fine: dict[str, Any] = {"bid": "1", "bid_size": "1", "ask": "2", "ask_size": "1"}
    events: list[Event] = [
        *trades(1, size=text),
        BookL2(**origin, bids=[("1", text)], asks=[]), BookL2(**origin, bids=[], asks=[("1", text)]),
        *(Quote(**origin, **(fine | {side: text})) for side in ("bid_size", "ask_size")),
    ]  # fmt: skip
    for event in events:
        if why is None:
            assert make_row(event).table != "quarantine"
        else:
            with pytest.raises(PoisonError, match=re.escape(why)):
                make_row(event)


@pytest.mark.parametrize("text", ["1_000", "\u0661\u0662", " 1", "1 ", "1\n", "1,000", "0x1", "1e", "", "."])
def test_what_has_to_be_guessed_is_no_number(text: str, trades: Any) -> None:
    with pytest.raises(PoisonError, match="no number"):
        make_row(trades(1, price=text)[0])


def test_the_key_of_a_trade_has_the_venues_time_or_else_ours(trades: Any) -> None:
    [with_time], [without] = trades(1), trades(1, ts_event=None)
    columns = list(schema.trade.columns.keys())
    assert make_row(with_time).values[columns.index("ts")] == with_time.ts_event
    assert make_row(without).values[columns.index("ts")] == without.ts_recv
    assert make_row(without).values[columns.index("ts_event")] is None


def test_the_digest_is_of_the_content_and_not_of_the_way_over_the_bus(one_of_each: list[Message]) -> None:
    quote = next(message for message in one_of_each if isinstance(message, Quote))
    again = msgspec.structs.replace(quote, seq=9, epoch=4)
    other = msgspec.structs.replace(quote, ask_size="3.0")
    assert make_row(quote).values == make_row(again).values
    assert make_row(quote).values[:3] == make_row(other).values[:3]
    assert make_row(quote).values[3] != make_row(other).values[3]


def test_columns_are_in_the_order_of_the_tables(one_of_each: list[Message]) -> None:
    seen = set()
    for message in one_of_each:
        row = make_row(message)
        seen.add(row.table)
        for column, value in zip(schema.metadata.tables[row.table].columns.keys(), row.values, strict=True):
            field = getattr(message, column, None)
            if isinstance(field, (str, int)):
                assert value == field, column
    assert seen | {"quarantine"} == set(schema.metadata.tables)


def test_detail_that_looks_like_a_nul_and_is_none_is_kept() -> None:
    status = Status(provider="x", symbol="Y", ts_recv=1, kind="gap", detail={"why": "\\u0000"})
    assert json.loads(make_row(status).values[-1]) == {"why": "\\u0000"}


@pytest.mark.parametrize(
    ("most", "more"),
    [
        ({"ts_recv": MOST}, {"ts_recv": MOST + 1}),
        ({"ts_recv": LEAST}, {"ts_recv": LEAST - 1}),
        ({"symbol": "x" * 256}, {"symbol": "x" * 257}),
        ({"trade_id": "-" * 256}, {"trade_id": "-" * 257}),
        ({"trade_id": "\u00e4" * 128}, {"trade_id": "\u00e4" * 128 + "x"}),
        ({"price": "9" * 15}, {"price": "1" + "0" * 15}),
        ({"price": "0." + "1" * 40}, {"price": "0." + "1" * 41}),
        ({"price": "1e14"}, {"price": "1e40"}),
        ({"price": "1e-40"}, {"price": "1e-41"}),
        ({"price": "1e-40"}, {"price": "1e999999999999999999"}),
        ({"price": "0" * 79 + "1"}, {"price": "0" * 80 + "1"}),
    ],
)
def test_the_most_that_is_stored_and_the_least_that_is_not(most: Any, more: Any, trades: Any) -> None:
    row = make_row(*trades(1, **most))
    [value] = most.values()
    assert value in row.values or "price" in most
    assert all(map(storable, row.values))
    with pytest.raises(PoisonError):
        make_row(*trades(1, **more))


def nested(levels: int, opening: Any) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = opening(value)
    return value


@pytest.mark.parametrize("opening", [lambda value: [value], lambda value: {"a": value}], ids=["lists", "objects"])
def test_json_is_kept_a_hundred_levels_deep_and_poison_beyond_however_deep(opening: Any) -> None:
    def status(levels: int) -> Status:
        return Status("x", "Y", 1, "gap", {"a": nested(levels - 1, opening)})

    assert json.loads(make_row(status(100)).values[-1]) == status(100).detail
    for levels in (101, 600, 950, 990, 100_000):
        with pytest.raises(PoisonError, match="deeper than 100 levels"):
            make_row(status(levels))
        held = json.loads(quarantine_row(status(levels), "why", 7).values[-1])
        assert (held["symbol"], held["kind"]) == ("Y", "gap")


def test_json_is_kept_up_to_a_mebibyte(monkeypatch: pytest.MonkeyPatch) -> None:
    def status(size: int) -> Status:
        return Status("x", "Y", 1, "gap", {"a": "x" * (size - len('{"a":""}'))})

    assert len(make_row(status(1 << 20)).values[-1]) == 1 << 20
    with pytest.raises(PoisonError):
        make_row(status((1 << 20) + 1))
    levels = [("1", "2"), ("3", "4")]
    monkeypatch.setattr(rows, "MAX_JSON_BYTES", len('[["1","2"],["3","4"]]'))
    assert make_row(BookL2("x", "Y", 1, levels, [])).values[5] == '[["1","2"],["3","4"]]'
    with pytest.raises(PoisonError):
        make_row(BookL2("x", "Y", 1, [], [("1", "2"), ("3", "45")]))


def test_what_is_remembered_of_texts_and_numbers_is_bounded(trades: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_REMEMBERED", 4)
    rows.texts.clear()
    rows._prices.clear()
    sizes = []
    for number in range(1, 20):
        [trade] = trades(1, symbol=f"S{number}", price=f"{number}e1")
        values = make_row(trade).values
        assert (values[0], values[6]) == (f"S{number}", f"{number}0")
        sizes.append((len(rows.texts), len(rows._prices)))
    assert [max(column) for column in zip(*sizes, strict=True)] == [4, 4]


def mark_of(*parts: str) -> int:
    """The digest by its definition: whatever is in a database was made like this, and comes again as a duplicate."""
    return int.from_bytes(blake2b("\x1f".join(parts).encode(), digest_size=8).digest(), "big", signed=True)


def test_the_digests_stay_what_they_are_in_every_database() -> None:
    origin: dict[str, Any] = {"provider": "x", "symbol": "Y", "ts_recv": 9}
    bids, asks = [("1.10", "5")], [("1.20", "0.50")]
    for event, mark in (
        (Quote(**origin, bid="1", bid_size="2", ask="3", ask_size="4e0"), mark_of('[null,"1","2","3","4"]')),
        (Quote(**origin, bid="1", bid_size="2", ask="3", ask_size="4", ts_event=8), mark_of('[8,"1","2","3","4"]')),
        (BookL2(**origin, bids=bids, asks=asks), mark_of("", '[["1.10","5"]]', '[["1.20","0.50"]]')),
        (BookL2(**origin, bids=bids, asks=asks, ts_event=8), mark_of("8", '[["1.10","5"]]', '[["1.20","0.50"]]')),
        (Heartbeat(**origin, status="live", silent_for_ms=3, synthetic=True), mark_of('[null,"live",3,true]')),
        (Status(**origin, kind="gap", detail={"a": 1}, ts_event=8), mark_of('[8,"gap"]', '{"a":1}')),
    ):
        assert make_row(event).values[3] == mark, event


def test_the_quarantine_keeps_so_much_of_a_message_and_of_a_reason(one_of_each: list[Message]) -> None:
    long = Status("x", "Y", 1, "gap", {"text": "a" * 70_000})
    row = quarantine_row(long, "why " * 200, 7)
    assert len(row.values[4]) == 65_536
    assert row.values[4].startswith('{"provider": "x"')
    assert len(row.values[3]) == 500
    other = Status("x", "Y", 1, "gap", {"text": "a" * 70_000 + "b"})
    assert quarantine_row(other, "why", 7).values[0] != row.values[0], "the mark is of the whole message"
    [signal] = [message for message in one_of_each if isinstance(message, Signal)]
    held = json.loads(quarantine_row(signal, "why", 7).values[4])
    assert held["reason"] == [msgspec.to_builtins(reason) for reason in signal.reason]
    assert held["trust"] == msgspec.to_builtins(signal.trust)
