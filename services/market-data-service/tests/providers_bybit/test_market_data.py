"""Trades, quotes and books out of frames: the awkward shapes Bybit is known for, and what must not get through."""

import json
from typing import Any

import pytest

from app.providers.bybit import Bybit
from md_contract.events import BookL2, Quote, Trade
from md_contract.units import NS_PER_MS, NS_PER_S


@pytest.fixture
def line(dial: Any) -> Any:
    line = dial(Bybit())
    line.open()
    line.serve()
    return line


def reversed_keys(value: Any) -> Any:
    """The same JSON with the keys of every object in reverse order."""
    if isinstance(value, dict):
        return {key: reversed_keys(value[key]) for key in reversed(value)}
    return [reversed_keys(item) for item in value] if isinstance(value, list) else value


def test_a_trade_carries_the_match_time_and_the_takers_side(line: Any, bybit: Any) -> None:
    row = bybit.trade("a9188a0a-82bc-50de-be60-03eedbe3cdd7", ms=126, price="98765.40", size="0.004", side="Sell")
    assert line.hear(bybit.trades(row)) == [
        Trade(
            provider="bybit",
            symbol="BTCUSDT",
            ts_recv=line.wall,
            price="98765.40",
            size="0.004",
            trade_id="a9188a0a-82bc-50de-be60-03eedbe3cdd7",
            side="sell",
            ts_event=bybit.t0_ns + 126 * NS_PER_MS,
        )
    ]


def test_a_side_that_is_none_of_the_two_is_null(line: Any, bybit: Any) -> None:
    (event,) = line.hear(bybit.trades(bybit.trade("1", side="None")))
    assert event.side is None


def test_trades_keep_their_order_and_those_split_over_messages_with_one_seq_all_come(line: Any, bybit: Any) -> None:
    rows = [bybit.trade(str(number), ms=number // 400, seq=77) for number in range(1_500)]
    events = line.hear(bybit.trades(*rows[:1_024]), bybit.trades(*rows[1_024:]))
    assert [event.trade_id for event in events] == [str(number) for number in range(1_500)]
    assert line.provider.counters.gaps == 0


def test_a_trade_that_comes_twice_is_published_once_on_whichever_connection(dial: Any, line: Any, bybit: Any) -> None:
    frame = bybit.trades(bybit.trade("1"), bybit.trade("2"), bybit.trade("1"))
    assert [event.trade_id for event in line.hear(frame)] == ["1", "2"]
    other = dial(line.provider)
    other.open()
    assert other.hear(frame) == []
    assert line.provider.counters.duplicate_trades == 4


def test_the_key_order_of_a_frame_does_not_matter(dial: Any, bybit: Any) -> None:
    frames = [bybit.trades(bybit.trade("1")), bybit.book(5, depth=1), bybit.book(5), bybit.book(6, kind="delta")]
    heard = []
    for turned in (False, True):
        line = dial(Bybit())
        line.open()
        events = line.hear(*(reversed_keys(frame) if turned else frame for frame in frames))
        heard.append(events + list(line.conversation.closed()))
    assert heard[0] == heard[1]
    assert len(heard[0]) == 4


@pytest.mark.parametrize("key", ["ts", "cts"])
def test_times_may_be_strings_of_digits(line: Any, bybit: Any, key: str) -> None:
    frame = bybit.book(5, depth=1)
    frame[key] = str(frame[key])
    (quote,) = line.hear(frame)
    assert quote.ts_event == bybit.t0_ns + 3 * NS_PER_MS


def test_a_quote_carries_the_matching_engines_time_or_the_venues_where_that_is_absent(line: Any, bybit: Any) -> None:
    frame = bybit.book(5, [("100.10", "1")], [("100.20", "2.50")], depth=1, ms=7)
    assert line.hear(frame) == [
        Quote(
            provider="bybit",
            symbol="BTCUSDT",
            ts_recv=line.wall,
            bid="100.10",
            bid_size="1",
            ask="100.20",
            ask_size="2.50",
            ts_event=bybit.t0_ns + 7 * NS_PER_MS,
        )
    ]
    frame["data"]["u"] = 6
    del frame["cts"]
    assert line.hear(frame)[0].ts_event == bybit.t0_ns + 9 * NS_PER_MS


def test_a_repeated_quote_is_a_sign_of_life_and_publishes_nothing(line: Any, bybit: Any) -> None:
    assert line.conversation.heard("BTCUSDT") is None
    line.hear(bybit.book(5, depth=1))
    for _ in range(3):
        line.pass_time(3)
        assert line.hear(bybit.book(5, depth=1)) == []
        assert line.conversation.heard("BTCUSDT") == line.wall
    assert line.provider.counters.repeated_quotes == 3


def test_a_quote_whose_number_begins_anew_is_published_and_an_older_one_is_not(line: Any, bybit: Any) -> None:
    assert line.hear(bybit.book(500, depth=1, ms=10))
    assert line.hear(bybit.book(499, depth=1, ms=9)) == []
    assert line.provider.counters.stale_quotes == 1
    assert line.hear(bybit.book(1, depth=1, ms=10))
    assert line.hear(bybit.book(2, depth=1, ms=10))
    assert line.hear(bybit.book(700, depth=1, ms=10))
    assert line.hear(bybit.book(3, depth=1, ms=11))


def test_a_crossed_quote_is_published_as_it_came_and_counted(line: Any, bybit: Any) -> None:
    for number in (5, 1):
        (quote,) = line.hear(bybit.book(number, [("102", "1")], [("101", "1")], depth=1))
        assert (quote.bid, quote.ask) == ("102", "101")
    assert line.provider.counters.crossed_quotes == 2


@pytest.mark.parametrize(
    ("bids", "asks"),
    [([], [("101", "2")]), ([("100", "1")], []), ([("100", "0")], [("101", "2")]), ([("100", "1")], [("101", "0.00")])],
)
def test_a_top_with_an_empty_side_is_no_quote(line: Any, bybit: Any, bids: Any, asks: Any) -> None:
    assert line.hear(bybit.book(5, bids, asks, depth=1)) == []
    assert line.provider.counters.one_sided_quotes == 1
    assert line.provider.quarantine.total == 0
    assert line.hear(bybit.book(6, depth=1))


def test_a_snapshot_in_mid_stream_replaces_the_book(line: Any, bybit: Any) -> None:
    line.hear(bybit.book(5, [("100", "1"), ("99", "1")]), bybit.book(6, [("98", "1")], [], kind="delta"))
    line.hear(bybit.book(40, [("97", "3")], [("103", "1")]), bybit.book(41, [("96", "1")], [], kind="delta"))
    line.pass_time(1)
    last = line.events[-1]
    assert isinstance(last, BookL2)
    assert (last.bids, last.asks) == ([("97", "3"), ("96", "1")], [("103", "1")])
    assert line.provider.counters.books.resyncs == 0


@pytest.mark.parametrize("kind", ["snapshot", "delta"])
def test_an_update_numbered_one_is_the_book_of_a_service_that_began_anew(line: Any, bybit: Any, kind: str) -> None:
    line.hear(bybit.book(5_000), bybit.book(1, [("97", "3")], [("99", "1")], kind=kind))
    line.hear(bybit.book(2, [("98", "1")], [], kind="delta"))
    line.pass_time(1)
    last = line.events[-1]
    assert isinstance(last, BookL2)
    assert (last.bids, last.asks) == ([("98", "1"), ("97", "3")], [("99", "1")])
    assert line.provider.counters.books.resyncs == 0


def test_deleting_an_absent_level_changes_nothing(line: Any, bybit: Any) -> None:
    line.hear(bybit.book(5), bybit.book(6, [("55", "0")], [("155", "0")], kind="delta"))
    line.pass_time(1)
    last = line.events[-1]
    assert isinstance(last, BookL2)
    assert (last.bids, last.asks) == ([("100", "1")], [("101", "2")])


@pytest.mark.parametrize("number", [3, 5, 7, 100])
def test_a_suspicious_step_ends_the_book_at_once(line: Any, bybit: Any, number: int) -> None:
    line.hear(bybit.book(5))
    before = len(line.events)
    line.hear(bybit.book(number, [("99", "1")], [], kind="delta"))
    assert line.provider.counters.books.resyncs == 1
    line.pass_time(1)
    assert line.events[before:] == []


def test_an_unreadable_update_ends_the_book_at_once(line: Any, bybit: Any) -> None:
    for broken in ([("abc", "1")], [("99", "-1")], [["99"]], 7):
        line.hear(bybit.book(5))
        resyncs = line.provider.counters.books.resyncs
        line.hear(bybit.book(6, broken, [], kind="delta") if isinstance(broken, list) else bybit.book(6) | {"data": 7})
        assert line.provider.counters.books.resyncs == resyncs + 1
        line.serve()


def test_books_are_published_at_their_rate_the_last_state_always_cut_to_the_depth(dial: Any, bybit: Any) -> None:
    line = dial(Bybit(), depth=2, rate_hz=10.0)
    line.open()
    line.hear(bybit.book(1, [("100", "1")], [("200", "1"), ("201", "1"), ("202", "1")]))
    for number in range(2, 102):  # one every 10 ms
        line.pass_time(0.01)
        line.hear(bybit.book(number, [("100", str(number))], [], kind="delta", ms=number))
    line.pass_time(1)
    books = [event for event in line.events if isinstance(event, BookL2)]
    assert 10 <= len(books) <= 12
    assert books[-1].bids == [("100", "101")]
    assert books[-1].asks == [("200", "1"), ("201", "1")]
    assert books[-1].ts_event == bybit.t0_ns + 101 * NS_PER_MS


def test_what_a_book_still_had_to_say_is_said_at_the_end(line: Any, bybit: Any) -> None:
    line.hear(bybit.book(1), bybit.book(2, [("99", "1")], [], kind="delta"))
    (last,) = line.conversation.closed()
    assert last.bids == [("100", "1"), ("99", "1")]


def test_depth_one_serves_as_quotes_and_as_books_over_one_topic(dial: Any, bybit: Any) -> None:
    line = dial(Bybit(orderbook_depth=1))
    line.open()
    (request,) = line.serve()
    assert request["args"] == ["publicTrade.BTCUSDT", "orderbook.1.BTCUSDT"]
    line.hear(bybit.book(5, depth=1))
    line.pass_time(3)
    line.hear(bybit.book(5, depth=1))
    line.pass_time(3)
    line.hear(bybit.book(6, [], [("101", "2")], depth=1))
    line.pass_time(1)
    assert [type(event) for event in line.events] == [Quote, BookL2, BookL2]
    assert (line.events[-1].bids, line.events[-1].asks) == ([], [("101", "2")])
    line.hear(bybit.book(7, [("x", "1")], depth=1))
    assert line.provider.counters.books.resyncs == 1


@pytest.mark.parametrize("depth", [50, 200, 1000])
def test_each_depth_has_its_topic(dial: Any, depth: int) -> None:
    line = dial(Bybit("linear", depth))
    line.open()
    (request,) = line.serve()
    assert f"orderbook.{depth}.BTCUSDT" in request["args"]


def test_a_linear_perpetual_is_no_spot_pair(dial: Any, bybit: Any) -> None:
    line = dial(Bybit("linear"))
    line.open()
    (event,) = line.hear(bybit.trades(bybit.trade("1")))
    assert event.provider == "bybit_linear"


BAD_ROWS = [
    ({"p": "0"}, "price"),
    ({"p": "-1"}, "price"),
    ({"p": "NaN"}, "price"),
    ({"p": "1e3"}, "price"),
    ({"p": "1000000000000000"}, "price"),
    ({"v": "inf"}, "size"),
    ({"v": "-0.1"}, "size"),
    ({"v": ""}, "size"),
    ({"s": "ETHUSDT"}, "symbol"),
    ({"T": 0}, "time"),
    ({"T": 10**30}, "time"),
    ({"T": 1_795_350_000_000 + 86_400_000 + 1_000}, "time"),
    ({"i": "a\0b"}, "trade_id"),
    ({"i": ""}, "wrong_shape"),
    ({"i": "x" * 65}, "wrong_shape"),
    ({"i": 5}, "wrong_shape"),
    ({"p": 98765.4}, "wrong_shape"),
    ({"T": None}, "wrong_shape"),
]


@pytest.mark.parametrize(("fault", "reason"), BAD_ROWS)
def test_an_unusable_trade_is_set_aside_and_costs_no_other(line: Any, bybit: Any, fault: Any, reason: str) -> None:
    events = line.hear(bybit.trades(bybit.trade("1"), bybit.trade("2") | fault, bybit.trade("3")))
    assert [event.trade_id for event in events] == ["1", "3"]
    assert line.provider.quarantine.counts[reason] == 1
    assert line.provider.quarantine.total == 1
    assert [notice.fields["reason"] for notice in line.notices] == [reason]


BAD_QUOTES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"b": [["abc", "1"]]}, "price"),
    ({}, {"a": [["101", "nan"]]}, "size"),
    ({}, {"s": "ETHUSDT"}, "symbol"),
    ({}, {"u": -5}, "update_id"),
    ({}, {"u": 2**63}, "update_id"),
    ({"cts": 5}, {}, "time"),
    ({}, {"b": [["100", "1"], ["99", "1"]]}, "wrong_shape"),
    ({}, {"b": [["100"]]}, "wrong_shape"),
    ({"ts": "soon"}, {}, "wrong_shape"),
]


@pytest.mark.parametrize(("outer", "inner", "reason"), BAD_QUOTES)
def test_an_unusable_quote_is_set_aside(line: Any, bybit: Any, outer: Any, inner: Any, reason: str) -> None:
    frame = bybit.book(5, depth=1) | outer
    frame["data"] |= inner
    assert line.hear(frame) == []
    assert line.provider.quarantine.counts[reason] == 1
    assert line.provider.quarantine.total == 1
    assert line.hear(bybit.book(6, depth=1))


def test_topics_that_were_not_asked_for_are_counted_with_a_sample_and_touch_nothing(line: Any) -> None:
    ticker = {
        "topic": "tickers.BTCUSDT",
        "type": "delta",
        "data": {"symbol": "BTCUSDT", "bid1Price": "65114.20", "bid1Size": "6.054"},
        "cs": 753843907770,
        "ts": 1786310817883,
    }
    others = [ticker | {"topic": topic} for topic in ("kline.1.BTCUSDT", "orderbook.500.BTCUSDT")]
    assert line.hear(ticker, ticker, *others) == []
    assert line.provider.quarantine.counts["unknown_stream"] == 4
    assert json.loads(line.provider.quarantine.samples["unknown_stream"]) == ticker
    assert len(line.notices) == 1


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"[" * 100_000, "not_json"),
        (b'{"topic":"publicTrade.BTCUSDT","data":[\xff]}', "not_json"),
        (b"[1]", "not_json"),
        (b'{"hello":1}', "unknown_message"),
        (b'{"topic":5}', "unknown_stream"),
        (b'{"topic":"publicTrade.BTCUSDT"}', "wrong_shape"),
        (b'{"topic":"publicTrade.BTCUSDT","data":{}}', "wrong_shape"),
        (b'{"op":"subscribe","success":"perhaps"}', "wrong_shape"),
    ],
)
def test_frames_that_make_no_sense_are_set_aside(line: Any, frame: bytes, reason: str) -> None:
    assert line.hear(frame) == []
    assert line.provider.quarantine.counts[reason] == 1
    assert line.provider.quarantine.total == 1


def test_an_id_is_remembered_for_two_minutes_and_the_memory_is_bounded(line: Any, bybit: Any) -> None:
    assert line.hear(bybit.trades(bybit.trade("first")))
    for number in range(115):
        line.pass_time(1)
        line.hear(bybit.trades(bybit.trade(f"{number}")))
    assert line.hear(bybit.trades(bybit.trade("first"))) == []
    for number in range(20_000):
        line.hear(bybit.trades(bybit.trade(f"many {number}")))
    assert len(line.hear(bybit.trades(bybit.trade("many 19000"), bybit.trade("first")))) == 1
    assert line.wall < bybit.t0_ns + 200 * NS_PER_S
