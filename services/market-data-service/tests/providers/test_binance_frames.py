"""Binance frames: each documented payload, each awkward one, and where it ends up."""

import json
from typing import Any

import pytest

from app.providers.provider import Notice, Replace
from md_contract.events import Quote, Trade
from md_contract.units import NS_PER_S

LONG = "x" * 5_000


def test_a_trade_keeps_the_venues_text_and_match_time(talk: Any) -> None:
    assert talk.trade() == (
        Trade(
            provider="binance",
            symbol="BTCUSDT",
            ts_recv=1_795_350_001_000_000_000,
            price="98765.43000000",
            size="0.01250000",
            trade_id="5123456789",
            side="buy",
            ts_event=1_795_350_000_121_000_000,
        ),
    )


def test_a_buyer_who_was_the_maker_means_that_a_seller_was_the_aggressor(talk: Any) -> None:
    (event,) = talk.trade(m=True)
    assert event.side == "sell"


def test_a_book_ticker_has_no_time_and_gets_none(talk: Any) -> None:
    assert talk.quote() == (
        Quote(
            provider="binance",
            symbol="BTCUSDT",
            ts_recv=1_795_350_001_000_000_000,
            bid="98765.42000000",
            bid_size="3.10000000",
            ask="98765.43000000",
            ask_size="0.52000000",
            ts_event=None,
        ),
    )


@pytest.mark.parametrize(
    "extra",
    [{"b": 88, "a": 50}, {"x": [1, {"y": None}]}, {"E": None}, {"M": "gone"}],
    ids=["order ids", "new", "E", "M"],
)
def test_fields_that_come_and_go_do_not_matter(talk: Any, extra: dict[str, Any]) -> None:
    assert len(talk.trade(**extra)) == 1
    assert talk.aside == {}


def test_the_order_of_keys_does_not_matter(talk: Any) -> None:
    (event,) = talk.trade()
    frame = json.dumps({"data": {"m": False, "T": 1795350000121, "q": "1", "p": "2", "t": 5123456790, "s": "BTCUSDT"}})
    (other,) = talk.read((frame[:-1] + ', "stream":"btcusdt@trade"}').encode())
    assert (event.trade_id, other.trade_id) == ("5123456789", "5123456790")


@pytest.mark.parametrize("number", [0, -1, 2**63, 10**30])
def test_quotes_not_newer_than_the_last_are_dropped_and_counted(talk: Any, number: int) -> None:
    talk.quote(u=2**62)
    assert len(talk.quote(u=number)) == (number > 2**62)
    assert talk.provider.counters.stale_quotes == (number <= 2**62)


def test_a_quote_that_comes_on_two_connections_at_once_goes_out_once(talk: Any, make_talk: Any) -> None:
    talk.conversation.opened(0, None)
    talk.quote(u=100)
    assert talk.quote(u=100) == ()
    other = make_talk("BTCUSDT", provider=talk.provider)
    other.conversation.opened(0, None)
    assert other.quote(u=100) == ()
    assert len(other.quote(u=101)) == 1
    assert talk.quote(u=101) == ()
    talk.conversation.closed()
    assert other.quote(u=101) == ()


def test_update_numbers_are_not_compared_with_those_of_a_connection_that_is_gone(talk: Any, make_talk: Any) -> None:
    talk.conversation.opened(0, None)
    talk.quote(u=100)
    talk.conversation.closed()
    after = make_talk("BTCUSDT", provider=talk.provider)
    after.conversation.opened(0, "lost")
    assert len(after.quote(u=5)) == 1


def test_numbers_that_stay_behind_for_10_s_are_a_new_numbering(talk: Any) -> None:
    talk.quote(u=10**15)
    talk.ts_recv += 10 * NS_PER_S
    assert talk.quote(u=5) == ()
    talk.ts_recv += 1
    assert len(talk.quote(u=6)) == 1
    assert talk.quote(u=6) == ()
    assert len(talk.quote(u=7)) == 1


@pytest.mark.parametrize(("ask", "crossed"), [("98765.43", 0), ("98765.42", 0), ("98765.41", 1)])
def test_a_crossed_quote_is_published_and_counted(talk: Any, ask: str, crossed: int) -> None:
    assert len(talk.quote(a=ask)) == 1
    assert talk.provider.counters.crossed_quotes == crossed


BAD_FIELDS = [
    ("trade", {"p": text}, "price") for text in ("NaN", "inf", "-1", "", "1e400", "0", "0.00000000", " 1", "1e15")
] + [
    ("trade", {"q": text}, "size") for text in ("NaN", "inf", "-1", "", "1e400", "-0.5", "1000000000000000")
] + [
    ("trade", {"p": 98765.43}, "wrong_shape"),
    ("trade", {"q": None}, "wrong_shape"),
    ("trade", {"t": "5123456789"}, "wrong_shape"),
    ("trade", {"t": 1.5}, "wrong_shape"),
    ("trade", {"m": "true"}, "wrong_shape"),
    ("trade", {"T": None}, "wrong_shape"),
    ("trade", {"t": -1}, "trade_id"),
    ("trade", {"t": 2**63}, "trade_id"),
    ("trade", {"T": 1795350000}, "time"),
    ("trade", {"T": 1795350000121000}, "time"),
    ("trade", {"T": -1}, "time"),
    ("trade", {"s": "ETHUSDT"}, "symbol"),
    ("trade", {"s": "BTC.>"}, "symbol"),
    ("bookTicker", {"b": "NaN"}, "price"),
    ("bookTicker", {"a": "0.00000000"}, "price"),
    ("bookTicker", {"B": "-1"}, "size"),
    ("bookTicker", {"A": "inf"}, "size"),
    ("bookTicker", {"s": "ETHUSDT"}, "symbol"),
    ("bookTicker", {"u": "1"}, "wrong_shape"),
    ("bookTicker", {"b": 1.0}, "wrong_shape"),
    ("depth@100ms", {"b": [["98765.42000000"]]}, "wrong_shape"),
    ("depth@100ms", {"b": [["1", "1", "1"]]}, "wrong_shape"),
    ("depth@100ms", {"a": {}}, "wrong_shape"),
    ("depth@100ms", {"b": [["1", "1"], ["0", "1"]]}, "price"),
    ("depth@100ms", {"a": [["1", "NaN"]]}, "size"),
    ("depth@100ms", {"s": "ETHUSDT"}, "symbol"),
    ("depth@100ms", {"E": 1}, "time"),
    ("depth@100ms", {"U": 71234567931}, "update_id"),
    ("depth@100ms", {"U": -1}, "update_id"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "fields", "reason"), BAD_FIELDS)
def test_a_bad_field_is_set_aside_under_its_reason_and_its_neighbours_are_kept(
    talk: Any, kind: str, fields: dict[str, Any], reason: str
) -> None:
    good = {"trade": talk.trade, "bookTicker": talk.quote, "depth@100ms": talk.depth}[kind]
    assert len(talk.trade(t=1)) == 1
    assert good(**fields) == ()
    assert talk.aside == {reason: 1}
    assert len(talk.trade(t=2)) == 1
    assert len(talk.quote()) == 1
    assert talk.aside == {reason: 1}
    assert talk.provider.counters.gaps == 0


OTHER_FRAMES = [
    (b"", "not_json"),
    (b"{", "not_json"),
    (b"null", "not_json"),
    (b"[]", "not_json"),
    (b'"stream"', "not_json"),
    (b"\xff\xfe{}", "not_json"),
    (b'{"stream":"btcusdt@trade","data":{"s":"\xff"}}', "wrong_shape"),
    (b'{"stream":"btcusdt@trade","data":{"e":"trade","s":"BTC', "not_json"),
    (b"[" * 100_000, "not_json"),
    (b'{"stream":' + b"[" * 100_000, "not_json"),
    (b'{"a":' * 100_000, "not_json"),
    (b'{"stream":"btcusdt@trade","data":' + b'{"a":' * 100_000, "not_json"),
    (b"{}", "unknown_message"),
    (b'{"e":"kline"}', "unknown_message"),
    (b'{"e":7}', "unknown_message"),
    (b'{"id":1}', "unknown_message"),
    (b'{"stream":"btcusdt@trade"}', "unknown_message"),
    (b'{"e":"trade","s":"BTCUSDT","t":1,"p":"1","q":"1","T":1795350000121,"m":true}', "unknown_message"),
    (b'{"stream":"dogeusdt@trade","data":{}}', "unknown_stream"),
    (b'{"stream":"btcusdt@kline_1m","data":{"e":"kline"}}', "unknown_stream"),
    (b'{"stream":"BTCUSDT@trade","data":{}}', "unknown_stream"),
    (b'{"stream":7,"data":{}}', "unknown_stream"),
    (b'{"stream":null,"data":null}', "unknown_stream"),
    (b'{"stream":"btcusdt@trade","data":null}', "wrong_shape"),
    (b'{"stream":"btcusdt@trade","data":[]}', "wrong_shape"),
    (b'{"stream":"btcusdt@trade","data":{}}', "wrong_shape"),
    (b'{"result":null,"id":99}', "answer"),
    (b'{"result":null,"id":"a"}', "answer"),
    (b'{"result":null,"id":null}', "answer"),
    (b'{"result":null,"id":true}', "wrong_shape"),
    (b'{"code":3,"msg":"Invalid JSON"}', "answer"),
    (b'{"error":{"code":2,"msg":"Invalid request"},"id":99}', "answer"),
    (b'{"error":"no","id":99}', "wrong_shape"),
]


@pytest.mark.parametrize(
    ("frame", "reason"), OTHER_FRAMES, ids=[frame[:40].decode("latin-1") for frame, _ in OTHER_FRAMES]
)
def test_what_is_no_market_data_is_routed_or_set_aside(talk: Any, frame: bytes, reason: str) -> None:
    assert talk.read(frame) == ()
    assert talk.aside == {reason: 1}


def test_the_first_of_a_kind_is_told_with_a_short_sample_and_the_rest_are_counted(talk: Any) -> None:
    for _ in range(3):
        talk.trade(p=LONG)
        talk.trade(q=LONG)
    assert talk.conversation.due == 0
    _, wants = talk.turn(0)
    assert [want.fields["reason"] for want in wants if isinstance(want, Notice)] == ["price", "size"]
    assert talk.aside == {"price": 3, "size": 3}
    assert {len(sample) for sample in talk.provider.quarantine.samples.values()} == {240}


@pytest.mark.parametrize(
    "frame",
    [
        {"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": 1795350000123}},
        {"e": "serverShutdown", "E": 1795350000123},
    ],
    ids=["combined", "raw"],
)
def test_a_connection_to_a_server_that_shuts_down_is_to_be_replaced(talk: Any, frame: dict[str, Any]) -> None:
    assert talk.read(frame) == ()
    assert talk.turn(0)[1] == [Replace("serverShutdown")]
    assert talk.aside == {}


@pytest.mark.parametrize(
    ("symbol", "fits"),
    [("BTCUSDT", True), ("1000SATSUSDT", True), ("A", True), ("A" * 32, True), ("A" * 33, False), ("", False)]
    + [
        (bad, False)
        for bad in ("btcusdt", "BTC USDT", "BTC.>\r\n", "BTC*", "-BTC", "BTC\n", "BTC\x00", "₿USDT", ".BTC")
    ],
)
def test_only_what_can_be_a_symbol_is_accepted(talk: Any, symbol: str, fits: bool) -> None:
    assert (talk.provider.refuse(symbol) is None) is fits
