"""The table of refused messages in docs/input.md, row by row: each is set aside under the kind that the page names."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[4] / "docs" / "input.md"
SUBJECT = "md.events.trade.BTCUSDT"
TRADE: dict[str, Any] = {"price": 60_000.1, "qty": 0.5, "timestamp": 1_760_000_000_000, "id": 7, "exchange": "x"}
QUOTE: dict[str, Any] = {"bid": 1, "bid_qty": 2, "ask": 3, "ask_qty": 4, "exchange": "x"}
BOOK: dict[str, Any] = {"bids": [[2, 1], [1, 1]], "asks": [[3, 1]], "exchange": "x"}
HEARTBEAT: dict[str, Any] = {"exchange": "x", "status": "live", "silent_for_ms": 0, "synthetic": 0}

Example = tuple[str, bytes]


def message(body: dict[str, Any], kind: str = "trade", symbol: str = "BTCUSDT", **changes: Any) -> Example:
    fields = {name: value for name, value in (body | changes).items() if value is not ...}
    return f"md.events.{kind}.{symbol}", json.dumps(fields).encode()


def raw(text: str) -> Example:
    return SUBJECT, text.encode()


def elsewhere(changes: dict[str, Any]) -> Example:
    """A trade on a subject that tells nothing."""
    return "other", json.dumps(TRADE | {"type": "trade", "symbol": "BTCUSDT"} | changes).encode()


def repeated(body: dict[str, Any], extra: str) -> Example:
    return raw(json.dumps(body)[:-1] + "," + extra + "}")


EXAMPLES: dict[str, list[Example]] = {
    "text that is not one JSON object": [
        raw("hello"), raw("[1]"), raw("{} {}"), raw(json.dumps(TRADE)[:-1] + ',"x":NaN}'), raw('{"price":Infinity}'),
        (SUBJECT, b'{"price":"\xff"}'),
    ],
    "a type that version 1 does not know": [message(TRADE, type="kline")],
    "a field that is there twice": [repeated(TRADE, '"price":1'), repeated(TRADE, '"x":{"y":[{"z":1,"z":1}]}')],
    "several other names of one field": [message(TRADE, amount=30_000), message(TRADE, time=1_760_000_001_000)],
    "a `type` or `symbol` that contradicts": [message(TRADE | {"symbol": "ETHUSDT"}), message(TRADE, type="quote")],
    "a `side` that contradicts": [message(TRADE, side="buy", isBuyerMaker=True)],
    "a time of day without an offset": [message(TRADE, timestamp="2025-10-09T08:53:20")],
    "a side of a book that is not best first": [
        message(BOOK, "book_l2", bids=[[1, 1], [2, 1]]), message(BOOK, "book_l2", asks=[[3, 1], [3, 2]]),
        message(BOOK, "book_l2", bids=[[2, 0]]),
    ],
    "a number that is a time in no unit": [
        message(TRADE, timestamp=value) for value in (20_371, "soon", "2025-10-09", "2025-10-09T08:53:60Z")
    ],
    "`volume` for `size`": [message(TRADE, qty=..., volume=0.5)],
    "one letter names": [
        message({"p": 1, "q": 1, "t": 7, "s": "BTCUSDT", "exchange": "x", "timestamp": 1_760_000_000_000})
    ],
    "a price or size below zero": [message(TRADE, price=-1), message(TRADE, qty="-0.5")],
    "a price or size with a sign": [
        message(TRADE, price=value)
        for value in ("+1", " 1", "1_000", "1,000", "\u0661\u0662", 10**15, "1000000000000000", "0." + "1" * 31)
    ],
    "true or false for a number": [
        message(TRADE, price=True), message(TRADE, isBuyerMaker=1), message(TRADE, isBuyerMaker="true"),
    ],
    "a `side` of `bid`": [message(TRADE, side=value) for value in ("bid", "ask", 1, -1, "1", "up")],
    "levels of three": [message(BOOK, "book_l2", bids=[[2, 1, 5]])],
    "an id with a point": [raw(json.dumps(TRADE).replace('"id": 7', '"id": 7.0')), message(TRADE, id=1e20)],
    "a heartbeat without": [
        *(message(HEARTBEAT | {name: ...}, "heartbeat") for name in ("status", "silent_for_ms", "synthetic")),
        message(QUOTE, "quote", bid_qty=...),
    ],
    "an empty symbol, provider or id": [
        elsewhere({"symbol": ""}), elsewhere({"exchange": ""}), elsewhere({"id": ""}),
    ],
    "the system's symbol on a trade": [
        message(TRADE, symbol="__system__"), elsewhere({"symbol": "X" * 300}),
    ],
    "more than 512 KiB": [message(TRADE, note="x" * 600_000)],
    "what needs tolerance": [
        message(TRADE, note="x" * 140_000), message(TRADE | {f"field{i}": i for i in range(501)}),
        message(BOOK, "book_l2", asks=[[3 + i, 1] for i in range(2_501)]),
    ],
}  # fmt: skip


def rows() -> dict[str, str]:
    """What is refused, to the kind it is counted under, as the page has them."""
    table = PAGE.read_text().split("## Foreign messages: what is refused")[1]
    found = {}
    for line in table.splitlines():
        match = re.fullmatch(r"\| (.+?) \| `(\w+)`.*\|", line)
        if match is not None and match[1] != "Refused":
            found[match[1]] = match[2]
    return found


def test_every_row_has_its_example() -> None:
    for row in rows():
        assert sum(row.startswith(beginning) for beginning in EXAMPLES) == 1, row
    assert len(rows()) == len(EXAMPLES)


@pytest.mark.parametrize(("row", "kind"), rows().items())
def test_what_the_page_calls_refused_is_set_aside_under_its_kind(make_rig: Any, row: str, kind: str) -> None:
    [examples] = [examples for beginning, examples in EXAMPLES.items() if row.startswith(beginning)]
    for subject, payload in examples:
        rig = make_rig()
        rig.subscriber.on_message(subject, payload)
        rig.settle()
        assert rig.recorder.seen == [], payload[:200]
        counts = {name: count for name, count in rig.subscriber.quarantine.counts.items() if count}
        assert counts == {kind: 1}, payload[:200]


@pytest.mark.parametrize(
    ("body", "kind"),
    [(TRADE, "trade"), (QUOTE, "quote"), (BOOK, "book_l2"), (HEARTBEAT | {"synthetic": False}, "heartbeat")],
)
def test_the_same_without_the_fault_is_read(make_rig: Any, body: dict[str, Any], kind: str) -> None:
    rig = make_rig()
    rig.subscriber.on_message(*message(body, kind))
    rig.settle()
    assert len(rig.recorder.seen) == 1
