"""Trades, quotes and corrections to events."""

from typing import Any

import pytest

from md_contract.events import Quote, Status, Trade
from md_contract.units import NS_PER_S


@pytest.fixture
def shares(dial: Any) -> Any:
    line = dial("sip", ["AAPL", "BRK.B"])
    line.log_in()
    return line


@pytest.fixture
def coins(dial: Any) -> Any:
    line = dial("crypto", ["BTC/USD"])
    line.log_in()
    return line


def test_a_trade_of_shares(shares: Any, alpaca: Any) -> None:
    frame = alpaca.share_trade(t="2026-11-20T15:51:44.208123456Z")
    ts_event = alpaca.t0_ns + 208123456
    assert shares.hear([frame]) == [
        Trade("alpaca", "AAPL", shares.wall, "241.37", "25", "2026-11-20:K:71234", None, ts_event)
    ]


def test_the_same_number_on_another_exchange_or_day_is_another_trade(shares: Any, alpaca: Any) -> None:
    ids = [
        trade.trade_id
        for trade in shares.hear(
            [
                alpaca.share_trade(628),
                alpaca.share_trade(628, x="Z"),
                alpaca.share_trade(628),
                alpaca.share_trade(628, t="2026-11-21T00:59:59Z"),  # still Friday in New York
                alpaca.share_trade(628, t="2026-11-19T15:51:44Z"),
            ]
        )
    ]
    assert ids == ["2026-11-20:K:628", "2026-11-20:Z:628", "2026-11-19:K:628"]
    assert shares.provider.counters.duplicate_trades == 2


@pytest.mark.parametrize(("tks", "side"), [("B", "buy"), ("S", "sell"), ("", None), ("?", None)])
def test_a_trade_of_coins_has_the_takers_side_and_an_exact_id(coins: Any, alpaca: Any, tks: str, side: Any) -> None:
    (trade,) = coins.hear([alpaca.coin_trade(2**63 - 1, tks=tks)])
    assert (trade.side, trade.trade_id) == (side, "9223372036854775807")
    assert (trade.price, trade.size) == ("98765.4", "0.0125")


def test_a_quote(shares: Any, alpaca: Any) -> None:
    assert shares.hear([alpaca.share_quote(S="BRK.B", t="2026-11-20T15:51:44.41Z")]) == [
        Quote("alpaca", "BRK.B", shares.wall, "241.36", "300", "241.38", "200", alpaca.t0_ns + 410_000_000)
    ]


@pytest.mark.parametrize(
    ("digits", "ns"), [("", 0), (".208", 208e6), (".208123", 208123e3), (".83915973", 839159730), (".838562809",) * 2]
)
def test_times_carry_no_to_nine_digits(shares: Any, alpaca: Any, digits: str, ns: Any) -> None:
    expected = int(ns) if not isinstance(ns, str) else int(ns[1:])
    (quote,) = shares.hear([alpaca.share_quote(t=f"2026-11-20T15:51:44{digits}Z")])
    assert quote.ts_event == alpaca.t0_ns + expected


def test_a_one_sided_quote_is_counted_and_not_published(shares: Any, alpaca: Any) -> None:
    for side in ({"bp": 0, "bs": 0}, {"ap": 0, "as": 0}, {"as": 0}):
        assert shares.hear([alpaca.share_quote(**side)]) == []
    assert shares.provider.counters.one_sided_quotes == 3
    assert shares.quarantined == {}


def test_a_crossed_quote_is_counted_and_published_as_it_is(shares: Any, alpaca: Any) -> None:
    (quote,) = shares.hear([alpaca.share_quote(bp=242, ap=241.5)])
    assert (quote.bid, quote.ask) == ("242", "241.5")
    assert shares.provider.counters.crossed_quotes == 1


def test_a_correction_tells_both_trades(shares: Any, alpaca: Any) -> None:
    message = {"T": "c", "S": "AAPL", "x": "K", "oi": 71234, "op": 241.37, "os": 25, "oc": ["@"], "ci": 71300}
    message |= {"cp": 241.35, "cs": 20, "cc": ["@"], "z": "C", "t": "2026-11-20T15:51:45Z"}
    (trade, correction) = shares.hear([alpaca.share_trade(), message])
    assert correction == Status(
        "alpaca",
        "AAPL",
        shares.wall,
        "correction",
        {
            "action": "correct",
            "trade_id": trade.trade_id,
            "price": "241.37",
            "size": "25",
            "new_trade_id": "2026-11-20:K:71300",
            "new_price": "241.35",
            "new_size": "20",
        },
        alpaca.t0_ns + NS_PER_S,
    )
    assert shares.provider.counters.corrections == 1


@pytest.mark.parametrize(("letter", "action"), [("C", "cancel"), ("E", "error"), ("?", "cancel")])
def test_a_cancelled_trade_is_named(shares: Any, alpaca: Any, letter: str, action: str) -> None:
    message = {
        "T": "x",
        "S": "AAPL",
        "i": 71234,
        "x": "K",
        "p": 241.37,
        "s": 25,
        "a": letter,
        "t": "2026-11-20T16:02:42Z",
    }
    (trade, cancel) = shares.hear([alpaca.share_trade(), message])
    assert cancel.kind == "correction"
    assert cancel.detail == {"action": action, "trade_id": trade.trade_id, "price": "241.37", "size": "25"}


def test_bars_statuses_bands_and_imbalances_are_counted_and_ignored(shares: Any, alpaca: Any) -> None:
    others = [{"T": kind, "S": "AAPL", "t": "2026-11-20T15:51:00Z", "i": "B", "u": 1.5} for kind in "budsli"]
    assert len(shares.hear([*others, alpaca.share_trade()])) == 1
    assert shares.provider.counters.ignored_messages == 6
    assert shares.quarantined == {}


def test_messages_of_all_kinds_share_a_frame_and_keep_their_order(shares: Any, alpaca: Any) -> None:
    events = shares.hear([alpaca.share_quote(), alpaca.share_trade(1), {"T": "b"}, alpaca.share_quote(bp=1.5)])
    assert [type(event) for event in events] == [Quote, Trade, Quote]


BAD = [
    ({"p": "241.37"}, "price"),
    ({"p": 0}, "price"),
    ({"p": -1}, "price"),
    ({"p": 1e15}, "price"),
    ({"p": None}, "price"),
    ({"p": True}, "price"),
    ({"s": -0.5}, "size"),
    ({"s": {}}, "size"),
    ({"t": "yesterday"}, "time"),
    ({"t": "2008-12-31T23:59:59Z"}, "time"),
    ({"t": "2026-11-21T15:51:45Z"}, "time"),
    ({"i": -1}, "trade_id"),
    ({"i": 2**63}, "trade_id"),
    ({"S": "MSFT"}, "unknown_stream"),
    ({"i": "71234"}, "wrong_shape"),
    ({"x": ""}, "wrong_shape"),
    ({"x": None}, "wrong_shape"),
    ({"T": "new"}, "unknown_message"),
    ({"T": None}, "unknown_message"),
]


@pytest.mark.parametrize(("fields", "reason"), BAD)
def test_one_bad_message_costs_none_of_its_neighbours(shares: Any, alpaca: Any, fields: Any, reason: str) -> None:
    bad = alpaca.share_trade(7, c=["!"], **fields) if not set(fields) <= {"i"} else alpaca.share_trade(c=["!"]) | fields
    events = shares.hear([alpaca.share_trade(1), bad, alpaca.share_quote(), bad, alpaca.share_trade(2)])
    assert [type(event) for event in events] == [Trade, Quote, Trade]
    assert shares.quarantined == {reason: 2}
    assert b'"!"' in shares.provider.quarantine.samples[reason]
    assert [notice.fields["reason"] for notice in shares.notices] == [reason]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [(b"", "not_json"), (b"[", "not_json"), (b"\xff", "not_json"), (b"{}", "wrong_shape"), (b"5", "wrong_shape")],
)
def test_what_is_no_array_is_set_aside(shares: Any, frame: bytes, reason: str) -> None:
    assert shares.hear(frame) == []
    assert shares.quarantined == {reason: 1}


@pytest.mark.parametrize("frame", [b"[5]", b"[[]]", b"[{}]", b"[null]", b'["t"]'])
def test_what_is_no_message_is_set_aside(shares: Any, frame: bytes) -> None:
    assert shares.hear(frame) == []
    assert shares.quarantined == {"unknown_message": 1}


def test_after_a_reconnect_a_hole_is_assumed_and_told(dial: Any, alpaca: Any) -> None:
    first = dial("sip", ["AAPL", "BRK.B"])
    assert first.log_in() == []
    (trade,) = first.hear([alpaca.share_trade(1)])
    second = dial(symbols=["AAPL", "BRK.B"], provider=first.provider)
    reconnects = second.log_in("connection lost")
    assert [(event.symbol, event.kind) for event in reconnects] == [("AAPL", "reconnect"), ("BRK.B", "reconnect")]
    assert reconnects[0].detail == {"reason": "connection lost", "last_trade_id": trade.trade_id}
    repeat, fresh = alpaca.share_trade(1), alpaca.share_trade(2)
    gap, after = second.hear([repeat, fresh, alpaca.share_trade(5, S="BRK.B"), alpaca.share_trade(3)])[:2]
    assert gap.kind == "gap"
    assert gap.detail == {"from": trade.trade_id, "to": after.trade_id, "missing": None, "backfilled": 0}
    assert [event.kind for event in second.events if isinstance(event, Status)] == ["reconnect", "reconnect", "gap"]
    assert second.provider.counters.gaps == 1
    assert second.provider.counters.duplicate_trades == 1


def test_repeats_are_known_for_two_minutes_and_thousands_of_trades(shares: Any, alpaca: Any) -> None:
    for start in range(0, 12_000, 500):
        shares.hear([alpaca.share_trade(number) for number in range(start, start + 500)])
        shares.pass_time(1)
        assert shares.hear([alpaca.share_trade(number) for number in range(max(0, start - 1_500), start)]) == []
    assert sum(isinstance(event, Trade) for event in shares.events) == 12_000
