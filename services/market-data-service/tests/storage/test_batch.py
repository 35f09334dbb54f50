"""Rows of many messages at once are those of each by itself, however much is wrong with some of them."""

from collections import defaultdict
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.storage import bulk
from app.storage.batch import Batch
from app.storage.copycsv import copy_csv
from app.storage.rows import PoisonError, Values, make_row, quarantine_row
from md_contract.codec import Message
from md_contract.events import Event, Quote, Trade

NOW = 1_790_000_000_000_000_000
plain_numbers = st.decimals("0.00000001", "999999999999999", places=8).map(lambda number: format(number, "f"))
numbers = plain_numbers | st.sampled_from(
    ["0", "0.0", "-1", "-1.5", "-0.0", "1" + "0" * 15, "999999999999999.5", "1_0.5",
     "1e5", "1E5", "007", "1.", ".5", "+1", "-0", "--1", "1_0", "0x1", "nan", "Infinity", "null", "", " ", " 1", "1\n",
     "1,2", "[1]", '"1"', "1.2.3", "9" * 40, "9" * 41, "0." + "1" * 40, "1" * 400, "\u0661", None, 1, 1.5, ["1"]]
)  # fmt: skip
times = st.integers(NOW, NOW + 9) | st.sampled_from([2**63 - 1, 2**63, -(2**63), -(2**63) - 1, True, 1.5, "1", None])
names = st.sampled_from(
    ["binance", "BTC/USD", "a\0", "\ud800", "x" * 256, "x" * 257, "\u00e4", "", "null", None, 7, ["x"]]
)
usual: dict[str, Any] = {
    "provider": st.just("binance"), "symbol": st.sampled_from(["BTCUSDT", "ETHUSDT"]),
    "ts_recv": st.integers(NOW, NOW + 9), "ts_event": st.none() | st.integers(NOW, NOW + 9),
}  # fmt: skip
unusual: dict[str, Any] = {"provider": names, "symbol": names, "ts_recv": times, "ts_event": times}


def trade(origin: dict[str, Any], number: Any, text: Any, side: Any, truth: Any) -> Any:
    return st.builds(Trade, **origin, price=number, size=number, trade_id=text, side=side, backfill=truth)


def quote(origin: dict[str, Any], number: Any) -> Any:
    return st.builds(Quote, **origin, bid=number, bid_size=number, ask=number, ask_size=number)


fine = trade(
    usual,
    plain_numbers,
    st.text("09af-", min_size=1, max_size=9),
    st.sampled_from(["buy", "sell", None]),
    st.booleans(),
)
fine |= quote(usual, plain_numbers)
awkward = trade(unusual, numbers, names, names, st.sampled_from([True, 1, None])) | quote(unusual, numbers)


def one_by_one(messages: list[Event]) -> dict[str, list[Values]]:
    tables: defaultdict[str, list[Values]] = defaultdict(list)
    for message in messages:
        try:
            row = make_row(message)
        except PoisonError as error:
            row = quarantine_row(message, str(error), NOW)
        tables[row.table].append(row.values)
    return {table: sorted(rows, key=lambda row: row[0]) for table, rows in tables.items()}


@given(st.lists(fine | awkward, min_size=1, max_size=12), st.integers(1, 13))
def test_many_at_once_are_the_rows_of_each(messages: list[Event], step: int) -> None:
    batch = Batch(messages, NOW)
    while batch.make_rows(step):
        pass
    assert batch.tables() == one_by_one(messages)


@given(st.lists(fine, min_size=1, max_size=12))
def test_the_usual_is_made_at_once(messages: list[Event]) -> None:
    for kind in (Trade, Quote):
        if alike := [message for message in messages if isinstance(message, kind)]:
            assert bulk.make_rows(kind, alike) == [make_row(message).values for message in alike]


@given(st.lists(awkward, min_size=1, max_size=3), st.lists(fine, max_size=3))
def test_what_is_made_at_once_is_storable(some: list[Event], others: list[Event]) -> None:
    for kind in (Trade, Quote):
        alike = [message for message in some + others if isinstance(message, kind)]
        if alike and (rows := bulk.make_rows(kind, alike)) is not None:
            assert rows == [make_row(message).values for message in alike]


plain: dict[type[Event], Event] = {
    Trade: Trade("binance", "BTCUSDT", NOW, "64000.10", "0.5", "7", "buy", NOW - 5),
    Quote: Quote("binance", "BTCUSDT", NOW, "1.10", "0", "1.20", "3.000", NOW - 5),
}
bad_texts = ["a\0", "\ud800", "x" * 257, "\u00e4" * 129, "tab\t", None, 7, ["x"]]
bad_times = [2**63, -(2**63) - 1, True, 1.5, "1", None]
bad_numbers = [
    "1e5", "1E5", "007", "1.", ".5", "+1", "--1", "1_0", "nan", "null", "", " 1", "1\t", "1\r", "1\n", "1,2", "[1]",
    '"1"', "-0", "-0.0", "-0.5", "0", "-1", "1" + "0" * 15, "9" * 41, "0." + "1" * 41, "\u0661", None, 1, 1.5, ["1"],
]  # fmt: skip
bad: dict[str, list[Any]] = {
    **dict.fromkeys(("provider", "symbol", "trade_id", "side"), bad_texts),
    **dict.fromkeys(("ts_recv", "ts_event"), bad_times),
    **dict.fromkeys(("price", "size", "bid", "bid_size", "ask", "ask_size"), bad_numbers),
    "backfill": [None, 0, 1, "true"],
}


@pytest.mark.parametrize(
    ("kind", "field"), [(kind, name) for kind in plain for name in plain[kind].__struct_fields__ if name in bad]
)
def test_a_single_wrong_value_among_right_ones_is_seen_wherever_it_is(kind: type[Event], field: str) -> None:
    right = plain[kind]
    values = {name: getattr(right, name) for name in right.__struct_fields__}
    for value in bad[field]:
        wrong = kind(**(values | {field: value}))
        for messages in ([wrong, right, right], [right, right, wrong]):
            assert Batch(messages, NOW).tables() == one_by_one(messages), value


def test_other_kinds_are_made_one_by_one(one_of_each: list[Message]) -> None:
    batch = Batch(one_of_each, NOW)
    rows = [make_row(message) for message in one_of_each]
    assert batch.tables() == {row.table: [row.values] for row in rows}


def test_halves_hold_every_message_once_and_in_order(trades: Any) -> None:
    messages = trades(7)
    first, second = Batch(messages, NOW).halves()
    assert [*first.messages, *second.messages] == messages
    assert abs(len(first) - len(second)) == 1


def test_set_aside_is_a_row_of_the_quarantine_and_can_be_taken_back(trades: Any) -> None:
    batch = Batch(trades(1), NOW)
    assert not batch.is_set_aside
    batch.set_aside("because")
    assert batch.is_set_aside
    assert batch.tables() == {"quarantine": [quarantine_row(batch.messages[0], "because", NOW).values]}
    batch.restart()
    assert set(batch.tables()) == {"trade"}


fields = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(exclude_categories=["Cs"]))
)


def read_csv(text: str) -> list[list[str | None]]:
    """CSV by PostgreSQL's rules: the escape counts before a quote or itself only; null is never in quotes."""
    lines: list[list[str | None]] = []
    line: list[str | None] = []
    at = 0
    while at < len(text):
        field = ""
        quoted = text[at] == '"'
        if quoted:
            at += 1
            while text[at] != '"':
                at += text[at] == "\\" and text[at + 1] in '"\\'
                field += text[at]
                at += 1
            at += 1
        while text[at] not in ",\n":
            field += text[at]
            at += 1
        line.append(None if field == "null" and not quoted else field)
        if text[at] == "\n":
            lines.append(line)
            line = []
        at += 1
    assert line == []
    return lines


def shown(value: object) -> str | None:
    return None if value is None else str(value).lower() if type(value) is bool else str(value)


@given(st.lists(st.tuples(fields, fields, fields), min_size=1, max_size=6))
def test_csv_reads_back_as_what_it_was(rows: list[tuple[Any, ...]]) -> None:
    assert read_csv(copy_csv(rows).decode()) == [list(map(shown, row)) for row in rows]


@pytest.mark.parametrize("text", ["null", "", "true", "7"])
def test_a_text_is_quoted_so_that_it_is_no_null_and_no_number(text: str) -> None:
    assert copy_csv([(text, None, True, 7)]) == b"%s,null,true,7\n" % msgspec.json.encode(text)
