"""Messages to rows: what is kept to the last digit, what is refused, and that nothing in between exists."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.storage import schema
from app.storage.rows import MAX_PAYLOAD, PoisonError, make_row, quarantine_row
from md_contract.codec import Message
from md_contract.events import Event, Quote, Status, Trade

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
        ("-1.5", "-1.5"),
        ("1e-7", "0.0000001"),
        ("1E+3", "1000"),
        ("007.50", "7.50"),
        (".5", "0.5"),
        ("+1", "1"),
        ("1.", "1"),
        ("-0.00", "0.00"),
        ("-0.01", "-0.01"),
        ("12345678901234567890.12345678", "12345678901234567890.12345678"),
    ],
)
def test_a_number_keeps_every_digit_and_loses_another_notation(text: str, stored: str, trades: Any) -> None:
    [trade] = trades(1, price=text)
    assert make_row(trade).values[6] == stored


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
