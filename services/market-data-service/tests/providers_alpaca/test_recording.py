"""The documented frames: every one is read, none is set aside, and each keeps its numbers and times."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.providers.alpaca.errors import RULES
from md_contract.events import Event, Quote, Status, Trade


@pytest.fixture
def frames(recordings: Path) -> list[dict[str, Any]]:
    path = recordings / "alpaca" / "alpaca_docs_frames.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 52
    return lines


def messages(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the venue says in them, with exact numbers."""
    received = [json.loads(line["frame"], parse_float=Decimal) for line in frames if line["dir"] == "<"]
    return [message for frame in received for message in frame]


def is_crypto(line: dict[str, Any]) -> bool:
    return "crypto" in line["session"]


def read(dial: Any, frames: list[dict[str, Any]], feed: str) -> Any:
    """Hear the data frames of one kind of feed, after a login of our own for all of their symbols."""
    data = [frame for frame in frames if frame["dir"] == "<" and frame["session"] != "errors"]
    symbols = {message["S"] for message in messages(data) if "S" in message}
    line = dial(feed, sorted(symbols))
    line.log_in()
    for frame in data:
        line.hear(frame["frame"])
        line.pass_time(0.2)
    assert line.quarantined == {}
    return line


def is_exact(event: Event, message: dict[str, Any]) -> bool:
    match event:
        case Trade():
            return (Decimal(event.price), Decimal(event.size)) == (message["p"], message["s"])
        case Quote():
            texts = (event.bid, event.bid_size, event.ask, event.ask_size)
            return tuple(map(Decimal, texts)) == tuple(message[key] for key in ("bp", "bs", "ap", "as"))
        case _:
            return isinstance(event, Status) and event.kind == "correction"


def is_on_time(event: Event, message: dict[str, Any]) -> bool:
    digits = message["t"][20:-1]
    return event.ts_event is not None and event.ts_event % 10**9 == int((digits + "0" * 9)[:9])


@pytest.mark.parametrize(("feed", "kinds"), [("sip", "tqcx"), ("crypto", "tq")])
def test_every_documented_message_becomes_its_event(dial: Any, frames: Any, feed: str, kinds: str) -> None:
    ours = [frame for frame in frames if is_crypto(frame) == (feed == "crypto")]
    line = read(dial, ours, feed)
    expected = [message for message in messages(ours) if message["T"] in kinds]
    events = [event for event in line.events if isinstance(event, Trade | Quote | Status)]
    assert len(events) == len(expected) > 0
    for event, message in zip(events, expected, strict=True):
        assert event.symbol == message["S"]
        assert is_exact(event, message)
        assert is_on_time(event, message)
    others = [message for message in messages(ours) if message["T"] in "budsli"]
    assert line.provider.counters.ignored_messages == len(others) > 0


def test_the_documented_book_is_published_whole(dial: Any, frames: Any) -> None:
    line = read(dial, [frame for frame in frames if is_crypto(frame)], "crypto")
    (whole,) = (message for message in messages(frames) if message["T"] == "o" and message.get("r"))
    (book,) = (event for event in line.events if not isinstance(event, Trade | Quote | Status))
    for levels, raw in ((book.bids, whole["b"]), (book.asks, whole["a"])):
        assert [(Decimal(price), Decimal(size)) for price, size in levels] == [(lvl["p"], lvl["s"]) for lvl in raw]


@pytest.mark.parametrize("session", ["stock_sip", "test_feed", "crypto_us"])
def test_the_documented_handshakes_log_in(dial: Any, frames: Any, session: str) -> None:
    feed = {"stock_sip": "sip", "test_feed": "test", "crypto_us": "crypto"}[session]
    line = dial(feed, ["FAKEPACA"])
    line.open()
    for frame in frames:
        if frame["session"] == session and frame["dir"] == "<":
            line.hear(frame["frame"])
    assert [message["action"] for message in line.sent][:2] == ["auth", "subscribe"]
    assert line.hang_ups == []


def test_every_documented_error_is_in_the_table(frames: Any) -> None:
    codes = {message["code"] for message in messages(frames) if message["T"] == "error"}
    assert codes == set(RULES) - {411}
