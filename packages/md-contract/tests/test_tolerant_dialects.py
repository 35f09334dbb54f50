"""Any event in any accepted dialect reads back as itself; nothing, however it is bent, is read as something else."""

import json
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from md_contract import codec
from md_contract.codec import UnreadableError
from md_contract.events import TYPE_OF, BookL2, Event, Heartbeat, Quote, Status, Trade
from md_contract.subjects import event_subject
from md_contract.tolerant import read_event
from md_contract.tolerant.names import OTHER_NAMES

NOW = 1_795_350_000_130_123_456
DAY = 86_400 * 10**9
SCALES = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)  # noqa: UP017 - beside timezone(offset)

word = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
decimals = st.decimals(min_value=0, max_value=10**12, places=8, allow_nan=False).map(lambda d: format(d, "f"))
sizes = st.decimals(min_value=Decimal("0.0001"), max_value=10**6, places=4).map(lambda d: format(d, "f"))
times = st.integers(1_300_000_000, 1_795_350_000).map(lambda s: s * 10**9)


@st.composite
def events(draw: st.DrawFn) -> Event:
    head: dict[str, Any] = {
        "provider": draw(word),
        "symbol": draw(word),
        "ts_recv": draw(times) + draw(st.integers(0, 999_999_999)),
        "seq": draw(st.integers(0, 2**63 - 1)),
        "epoch": draw(st.integers(0, 2**63 - 1)),
    }
    head["ts_event"] = draw(st.none() | st.integers(-DAY, 10**9).map(lambda ns: head["ts_recv"] + ns))
    kind = draw(st.sampled_from([Trade, Quote, BookL2, Heartbeat, Status]))
    if kind is Trade:
        side: Any = draw(st.sampled_from([None, "buy", "sell"]))
        return Trade(**head, price=draw(decimals), size=draw(decimals), trade_id=draw(word), side=side)
    if kind is Quote:
        return Quote(**head, bid=draw(decimals), bid_size=draw(decimals), ask=draw(decimals), ask_size=draw(decimals))
    if kind is BookL2:
        prices = sorted(draw(st.lists(decimals, max_size=6, unique_by=Decimal)), key=Decimal)
        levels = [(price, draw(sizes)) for price in prices]
        half = len(levels) // 2
        return BookL2(**head, bids=levels[:half][::-1], asks=levels[half:])
    if kind is Heartbeat:
        status: Any = draw(st.sampled_from(["live", "silent"]))
        return Heartbeat(
            **head, status=status, silent_for_ms=draw(st.integers(0, 10**9)), synthetic=draw(st.booleans())
        )
    values = st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(-1e9, 1e9) | word
    detail = draw(st.dictionaries(word, values | st.lists(values, max_size=3), max_size=3))
    return Status(**head, kind=draw(word), detail=detail)


class Dialect:
    """Writes the fields of one event, drawing a form for each."""

    def __init__(self, draw: Any, event: Event) -> None:
        self.draw = draw
        self.event = event
        self.names = set(event.__struct_fields__) | {"type"}

    def one_of(self, *forms: str) -> str:
        return str(self.draw(st.sampled_from(forms)))

    def payload(self) -> bytes:
        fields = json.loads(codec.encode(self.event))
        written = []
        for name, value in fields.items():
            if self.may_be_left_out(name, value) and self.draw(st.booleans()):
                continue
            written.append(f"{json.dumps(self.name(name))}: {self.value(name, value)}")
        written += self.draw(st.sampled_from([[], ['"volume": 1e400'], ['"p": [{}], "": null']]))
        return ("{" + ", ".join(self.draw(st.permutations(written))) + "}").encode()

    def may_be_left_out(self, name: str, value: Any) -> bool:
        return name in ("type", "symbol", "v") or (name in ("seq", "epoch", "backfill") and not value) or value is None

    def name(self, name: str) -> str:
        other = self.one_of(name, *OTHER_NAMES.get(name, ()))
        form = self.one_of("as is", "upper", "camel", "dashes")
        if form == "upper":
            return other.upper()
        if form == "camel":
            head, *rest = other.split("_")
            return head + "".join(part.title() for part in rest)
        return other.replace("_", "-") if form == "dashes" else other

    def value(self, name: str, value: Any) -> str:
        if value is None or isinstance(value, bool):
            return json.dumps(value)
        if name in ("ts_recv", "ts_event"):
            return self.time(value)
        if name in ("seq", "epoch", "v", "silent_for_ms"):
            return self.one_of(str(value), f'"{value}"')
        if name in ("type", "side", "status"):
            return json.dumps(self.one_of(value, value.upper(), value.title(), value[0] if name == "side" else value))
        if name in ("bids", "asks"):
            return f"[{', '.join(self.level(*level) for level in value)}]"
        if name in ("provider", "symbol", "trade_id", "kind", "detail"):
            return json.dumps(value)
        return self.decimal(value)

    def level(self, price: str, size: str) -> str:
        if self.draw(st.booleans()):
            return f"[{self.decimal(price)}, {self.decimal(size)}]"
        return f'{{"{self.name("price")}": {self.decimal(price)}, "{self.name("size")}": {self.decimal(size)}, "n": 3}}'

    def decimal(self, text: str) -> str:
        return self.one_of(text, f'"{text}"')

    def time(self, ns: int) -> str:
        """In any form that holds all of its digits."""
        form = self.one_of("ns", "us", "ms", "s", "exponent", "iso")
        if form == "exponent":
            return f"{Decimal(ns).scaleb(-18)}e18"
        if form == "iso":
            offset = timedelta(minutes=self.draw(st.integers(-14 * 60, 14 * 60)))
            local = (EPOCH + timedelta(seconds=ns // 10**9)).astimezone(timezone(offset)).isoformat()
            return json.dumps(f"{local[:19]}.{ns % 10**9:09}{local[19:]}")
        whole, rest = divmod(ns, SCALES[form])
        digits = str(whole) if not rest else f"{whole}.{str(rest).zfill(len(str(SCALES[form])) - 1)}"
        return self.one_of(digits, f'"{digits}"')


@given(st.data())
def test_any_event_in_any_accepted_dialect_reads_back_as_itself(data: st.DataObject) -> None:
    event = data.draw(events())
    payload = Dialect(data.draw, event).payload()
    subject = event_subject(TYPE_OF[type(event)], event.symbol)
    assert read_event(payload, subject, NOW).event == event, payload


@given(st.data())
def test_a_field_that_is_there_twice_is_never_read(data: st.DataObject) -> None:
    event = data.draw(events())
    fields = json.loads(codec.encode(event))
    name = data.draw(st.sampled_from(sorted(fields)))
    twice = json.dumps(fields)[:-1] + f", {json.dumps(name)}: {json.dumps(fields[name])}}}"
    with pytest.raises(UnreadableError) as caught:
        read_event(twice.encode(), "", NOW)
    assert caught.value.kind == "ambiguous"


NAMES = [
    *OTHER_NAMES,
    *(name for names in OTHER_NAMES.values() for name in names),
    "type",
    "symbol",
    "bids",
    "kind",
    "v",
]
leaf = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, 1, 1.5, 1e-7, 1795350000, 1795350000121, 1795350000121000000, 1795350000.5, 1e400, -1])
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["1.5", "1e-7", "1_0", "１", "buy", "trade", "X", "2026-11-22T12:20:00Z", "2026-11-22T12:20:00"])
)
anything = st.recursive(
    leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6)
)


def tokens(value: Any) -> set[Decimal]:
    """Every number that the value holds, in quotes or not."""
    if isinstance(value, dict):
        return set().union(*map(tokens, value.values()))
    if isinstance(value, list):
        return set().union(*map(tokens, value))
    try:
        return {Decimal(str(value))} if not isinstance(value, bool) else set()
    except ArithmeticError:
        return set()


LEAST: dict[str, dict[str, Any]] = {
    "trade": {"price": 1, "size": 2},
    "quote": {"bid": 1, "bid_size": 2, "ask": 3, "ask_size": 4},
    "book_l2": {"bids": [], "asks": []},
    "x": {},
}


@given(st.dictionaries(st.sampled_from(NAMES), anything, max_size=4), st.sampled_from(sorted(LEAST)))
def test_whatever_is_read_was_said(body: dict[str, Any], subject_type: str) -> None:
    payload = json.dumps(LEAST[subject_type] | body).encode()
    try:
        event = read_event(payload, f"md.events.{subject_type}.BTCUSDT", NOW).event
    except UnreadableError:
        return
    said = tokens(json.loads(payload, parse_float=str))
    if isinstance(event, Trade):
        assert {Decimal(event.price), Decimal(event.size)} <= said
    elif isinstance(event, Quote):
        assert {Decimal(event.bid), Decimal(event.bid_size), Decimal(event.ask), Decimal(event.ask_size)} <= said
    assert event.ts_event is None or 1_230_768_000 * 10**9 <= event.ts_event <= event.ts_recv + DAY
    assert event.ts_recv <= NOW + DAY
    assert codec.decode_event(codec.encode(event)) == event


@given(st.binary(max_size=200), st.text(max_size=40))
def test_random_bytes_from_random_subjects_raise_nothing_else(payload: bytes, subject: str) -> None:
    with pytest.raises(UnreadableError):
        read_event(payload, subject, NOW)


@given(st.data())
def test_one_changed_byte_of_a_golden_message_raises_nothing_else(data: st.DataObject) -> None:
    golden = sorted((Path(__file__).parent / "golden").glob("*.json"))
    payload = bytearray(data.draw(st.sampled_from(golden)).read_bytes())
    payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    with suppress(UnreadableError):
        read_event(bytes(payload), "md.events.trade.BTCUSDT", NOW)
