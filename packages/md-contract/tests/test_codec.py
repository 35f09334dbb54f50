import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from md_contract import codec
from md_contract.events import EVENT_TYPES, BookL2, Event, Heartbeat, Quote, Status, Trade

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
price = st.decimals(min_value=0, max_value=10**9, places=8, allow_nan=False).map(str)
nanoseconds = st.integers(0, 2**63 - 1)
maybe_nanoseconds = st.none() | nanoseconds
level = st.tuples(price, price)
wire = {"seq": nanoseconds, "epoch": nanoseconds, "ts_event": maybe_nanoseconds}
head: dict[str, Any] = {"provider": text, "symbol": text, "ts_recv": nanoseconds}
side = st.sampled_from(["buy", "sell", None])

events: st.SearchStrategy[Event] = st.one_of(
    st.builds(Trade, **head, price=price, size=price, trade_id=text, side=side, backfill=st.booleans(), **wire),
    st.builds(Quote, **head, bid=price, bid_size=price, ask=price, ask_size=price, **wire),
    st.builds(BookL2, **head, bids=st.lists(level, max_size=5), asks=st.lists(level, max_size=5), **wire),
    st.builds(
        Heartbeat,
        **head,
        status=st.sampled_from(["live", "silent"]),
        silent_for_ms=nanoseconds,
        synthetic=st.booleans(),
        **wire,
    ),
    st.builds(
        Status,
        **head,
        kind=text,
        detail=st.dictionaries(text, st.integers(-(2**62), 2**62) | text | st.none(), max_size=4),
        **wire,
    ),
)
TRADE = {
    "type": "trade",
    "provider": "binance",
    "symbol": "BTCUSDT",
    "ts_recv": 5,
    "price": "1.50",
    "size": "2",
    "trade_id": "7",
}


def dump(**changes: Any) -> bytes:
    return json.dumps({**TRADE, **changes}).encode()


@given(events)
def test_an_event_survives_the_wire(event: Event) -> None:
    assert codec.decode_event(codec.encode(event)) == event


@given(events)
def test_an_event_on_the_wire_is_one_line_of_plain_json_that_names_its_type(event: Event) -> None:
    payload = codec.encode(event)
    assert b"\n" not in payload
    fields = json.loads(payload)
    assert EVENT_TYPES[fields["type"]] is type(event)
    assert fields["symbol"] == event.symbol
    assert "ts_event" in fields, "null is said, never left out"


def test_optional_fields_that_are_missing_are_null() -> None:
    event = codec.decode_event(dump())
    assert isinstance(event, Trade)
    assert (event.side, event.ts_event, event.seq, event.epoch, event.v) == (None, None, 0, 0, 1)
    assert not event.backfill


def test_unknown_fields_are_ignored() -> None:
    assert codec.decode_event(dump(colour="red", nested={"a": [1]})) == codec.decode_event(dump())


def test_decimal_text_keeps_its_last_digit() -> None:
    event = codec.decode_event(dump(price="0.10000000000000000001"))
    assert isinstance(event, Trade)
    assert event.price == "0.10000000000000000001"


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"nonsense", "not_json"),
        (b"\xff\xfe{}", "not_json"),
        (dump().replace(b"BTCUSDT", b"BTC\xffSDT"), "not_json"),
        (b"[1,2]", "not_json"),
        (b'"trade"', "not_json"),
        (b"[" * 200_000, "not_json"),
        (dump()[:-1], "not_json"),
        (dump() + b"x", "not_json"),
        (dump(type="kline"), "unknown_type"),
        (dump(type="Trade"), "unknown_type"),
        (dump(type=7), "wrong_shape"),
        (dump(type=None), "wrong_shape"),
        (json.dumps({key: value for key, value in TRADE.items() if key != "type"}).encode(), "wrong_shape"),
        (json.dumps({key: value for key, value in TRADE.items() if key != "price"}).encode(), "wrong_shape"),
        (dump(price=1.5), "wrong_shape"),
        (dump(side="BUY"), "wrong_shape"),
        (dump(ts_recv="now"), "wrong_shape"),
        (dump(ts_recv=1.5), "wrong_shape"),
        (dump(symbol=None), "wrong_shape"),
    ],
)
def test_what_is_no_event_says_why(payload: bytes, kind: str) -> None:
    with pytest.raises(codec.UnreadableError) as caught:
        codec.decode_event(payload)
    assert caught.value.kind == kind


@given(st.binary(max_size=200))
def test_random_bytes_never_raise_anything_else(payload: bytes) -> None:
    with pytest.raises(codec.UnreadableError):
        codec.decode_event(payload)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | text,
        lambda inner: st.lists(inner) | st.dictionaries(text | st.sampled_from(list(TRADE)), inner),
    )
)
def test_random_json_never_raises_anything_else(value: object) -> None:
    payload = json.dumps(value).encode()
    with pytest.raises(codec.UnreadableError):
        codec.decode_event(payload)


@given(events, st.data())
def test_a_cut_message_is_never_read_as_another(event: Event, data: st.DataObject) -> None:
    payload = codec.encode(event)
    cut = data.draw(st.integers(0, len(payload) - 1))
    with pytest.raises(codec.UnreadableError):
        codec.decode_event(payload[:cut])


@pytest.mark.parametrize("decode", [codec.decode_features, codec.decode_signal, codec.decode_alert])
def test_signals_are_read_as_carefully_as_events(decode: Any) -> None:
    for payload, kind in ((b"{", "not_json"), (b"{}", "wrong_shape"), (b"\xff", "not_json"), (b"[]", "wrong_shape")):
        with pytest.raises(codec.UnreadableError) as caught:
            decode(payload)
        assert caught.value.kind == kind
