"""What a symbol's state takes in, and what time it is for it."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from md_contract.events import Quote, Trade
from md_contract.units import NS_PER_MS, NS_PER_S
from senpai.md_consumer.features import select

BAD_NUMBERS = [
    "NaN",
    "nan",
    "inf",
    "-inf",
    "-1",
    "abc",
    "",
    "1e400",
    "1,5",
    "0x10",
    "1_000",
    "1１",
    "٣",
    "1\u00a0",
    None,
]


def rejected(market: Any) -> dict[tuple[str, str], int]:
    return dict(market.pipeline.counters.rejected)


# Values at the door


@pytest.mark.parametrize("bad", [*BAD_NUMBERS, "0", "1e15", "1e-15"])
@pytest.mark.parametrize("field", ["price", "size"])
def test_a_trade_that_is_none_is_counted_and_changes_nothing(market: Any, field: str, bad: Any) -> None:
    market.trade(0)
    market.quote(0)
    before = market.features
    assert market.trade(1, **{field: bad}) == []
    assert market.features == before
    assert sum(rejected(market).values()) == 1
    assert {event_type for event_type, _ in rejected(market)} == {"trade"}


@pytest.mark.parametrize("most", ["1.000001e-15", "999999999999999.9"])
@pytest.mark.parametrize("field", ["price", "size"])
def test_a_trade_just_inside_the_bounds_counts(market: Any, field: str, most: str) -> None:
    market.trade(0, **{field: most})
    assert market.features["trade_count_10s"] == 1
    assert rejected(market) == {}


@pytest.mark.parametrize("bad", [*BAD_NUMBERS, "1e15"])
@pytest.mark.parametrize("field", ["bid", "bid_size", "ask", "ask_size"])
def test_a_quote_that_is_none_is_counted_and_changes_nothing(market: Any, field: str, bad: Any) -> None:
    market.quote(0)
    before = market.features
    market.quote(1, **{field: str(bad)})
    assert market.features == before
    assert sum(rejected(market).values()) == 1


@pytest.mark.parametrize(
    "level",
    [
        ["NaN", "1"],
        ["1", "NaN"],
        ["-1", "1"],
        ["0", "1"],
        ["1", "-1"],
        ["x", "1"],
        ["inf", "1"],
        ["1_0", "1"],
        ["1", "１"],
    ],
)
@pytest.mark.parametrize("side", ["bids", "asks"])
def test_a_book_with_a_level_that_is_none_is_counted_and_set_aside(market: Any, side: str, level: list[str]) -> None:
    market.book(0, [["99", "1"]], [["101", "1"]])
    market.book(1, **{side: [["100", "1"], level, ["100.5", "2"]]})
    assert market.pipeline.latest("BTCUSDT").book.bids == [["99", "1"]]
    assert sum(rejected(market).values()) == 1


@pytest.mark.parametrize("fields", [{"ts_event": -1}, {"ts_recv": -1}, {"ts_recv": 1 << 63}, {"ts_event": 1 << 70}])
@pytest.mark.parametrize("kind", ["trade", "quote", "book"])
def test_a_time_that_is_none_is_counted_and_set_aside(market: Any, kind: str, fields: dict[str, int]) -> None:
    market.trade(0)
    getattr(market, kind)(1, **fields)
    assert list(rejected(market).values()) == [1]
    assert market.clock_s == 0


def test_an_event_from_more_than_a_day_ahead_is_set_aside(market: Any) -> None:
    market.trade(0)
    market.trade(86_401, ts_recv=market.ns(1) - 1)
    assert rejected(market) == {("trade", "bad_time"): 1}
    market.trade(86_401, ts_recv=market.ns(1))
    assert market.clock_s == 86_401


def test_latest_holds_the_last_usable_event_of_each_kind(market: Any) -> None:
    market.trade(0, 100)
    market.trade(1, 101)
    market.trade(0.5, 99)  # out of order: in the windows, but not the latest
    market.trade(2, "NaN")
    market.quote(1, 99, 101)
    market.book(1, [["99", "1"]], [["101", "1"]])
    latest = market.pipeline.latest("BTCUSDT")
    assert (latest.trade.price, latest.quote.bid, latest.book.bids) == ("101", "99", [["99", "1"]])
    assert market.pipeline.latest("ETHUSDT") is None


def test_quotes_and_books_older_than_the_latest_are_not_applied(market: Any) -> None:
    market.quote(2, 99, 101)
    market.quote(1, 89, 91)
    market.book(2, [["99", "1"]])
    market.book(1, [["89", "1"]])
    assert market.features["mid"] == 100
    assert market.pipeline.latest("BTCUSDT").book.bids == [["99", "1"]]
    assert (market.pipeline.counters.old_quotes, market.pipeline.counters.old_books) == (1, 1)
    market.quote(3, 79, 81, ts_event=None)
    assert market.features["mid"] == 80


def test_a_quote_of_nothing_at_a_price_is_a_quote(market: Any) -> None:
    market.quote(0, 99, 101, bid_size="0", ask_size="0")
    assert market.features["mid"] == 100
    assert rejected(market) == {}


def test_odd_quotes_are_counted(market: Any) -> None:
    market.quote(0, 100, 100)
    for second in range(1, 4):
        market.quote(second, 101, 100)
    market.quote(4, 0, 100)
    market.quote(5, 100, 0)
    counters = market.pipeline.counters
    assert (counters.locked_quotes, counters.crossed_quotes, counters.one_sided_quotes) == (1, 3, 2)


# The clock


def test_the_clock_is_the_largest_event_time(market: Any) -> None:
    for at, expected in ((0, 0), (2, 2), (1, 2), (2.5, 2.5)):
        market.trade(at)
        assert market.clock_s == expected


def test_an_event_without_a_time_counts_as_its_reception_less_the_last_known_delay(market: Any) -> None:
    market.trade(0, ts_recv=market.ns(5))
    market.quote(8, ts_event=None, ts_recv=market.ns(8))
    assert market.clock_s == 3
    market.trade(4, ts_recv=market.ns(2.5))
    market.quote(3, ts_event=None, ts_recv=market.ns(3))
    assert market.clock_s == 4.5


def test_a_late_trade_does_not_displace_the_quotes_after_it(market: Any, batch: Any) -> None:
    truth = batch()

    def feed(event: Any) -> None:
        market.feed(event)
        truth.apply([event])
        truth.agrees(market.features)

    def quote(at: float, spread: float, size: int) -> Quote:
        recv = market.ns(at + 0.01)
        return Quote("binance", "BTCUSDT", recv, "100", str(size), str(100 + spread), "1", ts_event=None)

    def trade(at: float, recv: float) -> Trade:
        return Trade("binance", "BTCUSDT", market.ns(recv), "100", "1", "1", ts_event=market.ns(at))

    feed(trade(0, 0.01))
    for second in range(1, 20):
        feed(quote(second, 0.1 + second % 3, second))
    feed(trade(4, 19.5))  # only it was late
    assert market.clock_s == 19
    feed(quote(20, 2, 50))
    feed(quote(21, 5, 7))
    assert market.clock_s == 21
    sizes = [*range(12, 20), 50, 7]  # of the bid: 11 < T - 10 s; the price never changes
    spreads = [0.1 + second % 3 for second in range(1, 20)] + [2]
    asks = [round(100 + spread, 9) for spread in [*spreads, 5]]
    flow = sizes[-1] - 11
    flow += sum((after >= before) * 1 - (after <= before) * 1 for before, after in pairwise(asks[-11:]))
    assert market.features["order_flow_imbalance_10s"] == pytest.approx(flow, rel=1e-9, abs=0)
    assert market.features["mid"] == 102.5
    assert market.features["spread_zscore_60s"] == pytest.approx(
        (5 - np.mean(spreads)) / np.std(spreads, ddof=1), rel=1e-9, abs=0
    )


def test_when_all_trades_lie_behind_for_ten_seconds_it_is_the_clock_that_runs_ahead(market: Any) -> None:
    market.trade(0)
    for second in range(1, 60):
        market.quote(0, ts_event=None, ts_recv=market.ns(second))
        market.trade(second - 3, ts_recv=market.ns(second))  # delays have grown from 10 ms to 3 s
        expected = second - 0.01 if second <= 12 else max(11.99, second - 3)
        assert market.clock_s == pytest.approx(expected, rel=1e-9, abs=0), second


def test_one_time_ahead_does_not_hold_the_clock_where_quotes_have_no_time(market: Any) -> None:
    market.trade(0)
    market.trade(3_600, ts_recv=market.ns(0))
    for second in range(1, 100):
        market.mono_ns += NS_PER_S
        market.quote(0, ts_event=None, ts_recv=market.ns(second))
        market.trade(second)
    assert market.pipeline.counters.clock_restarts == 1
    assert market.clock_s == pytest.approx(99, rel=1e-9, abs=0)


def test_until_an_event_time_is_known_the_clock_runs_on_reception_and_then_starts_anew(market: Any) -> None:
    market.quote(0, ts_event=None, ts_recv=market.ns(100))
    market.trade(0, 100, ts_event=None, ts_recv=market.ns(101))
    assert market.clock_s == 101
    assert market.features["trade_count_10s"] == 1
    assert market.features["order_flow_imbalance_10s"] == 0
    market.trade(1, 102, ts_recv=market.ns(102))
    assert market.clock_s == 1
    assert market.features["trade_count_10s"] == 1
    assert market.features["order_flow_imbalance_10s"] is None  # nor is there a quote from before
    assert "event_time_began" in market.trust.reasons


def test_trades_older_than_the_longest_window_are_counted_as_late(market: Any) -> None:
    market.trade(0, 100)
    market.trade(100, 101)
    market.trade(40, 102)
    market.trade(40.001, 103)
    counters = market.pipeline.counters
    assert (counters.late_trades, counters.inserted_trades) == (1, 1)
    assert market.features["return_10s"] == pytest.approx(101 / 103 - 1, rel=1e-9, abs=0)


def test_a_late_trade_counts_only_in_the_windows_that_reach_back_to_it(market: Any) -> None:
    market.trade(0, 100, 1)
    market.trade(50, 100, 1)
    market.trade(30, 400, 2)
    assert market.features["trade_vwap_60s"] == pytest.approx(250, rel=1e-9, abs=0)
    assert market.features["trade_vwap_10s"] == 100
    market.trade(41, 100, 2)
    assert market.features["trade_volume_10s"] == 3


def test_out_of_order_trades_give_what_ordered_ones_give(make_market: Any) -> None:
    trades = [(second, 100 + second % 7, 1 + second % 3) for second in range(50)]
    ordered, shuffled = make_market(features=select("none")), make_market(features=select("none"))
    ordered.quote(0)
    shuffled.quote(0)
    for trade in trades:
        ordered.trade(*trade)
    for i in range(0, 50, 5):
        for trade in reversed(trades[i : i + 5]):
            shuffled.trade(*trade)
    assert shuffled.features == pytest.approx(ordered.features, rel=1e-12, abs=0)


# Silence


def test_a_second_that_ends_in_silence_is_news_while_there_is_something_to_weigh(market: Any) -> None:
    market.trade(0.5, 100)
    market.trade(1.5, 101)
    assert market.silence(0.6) == []  # that short a silence does not move the clock
    assert market.silence(1.9) == ["BTCUSDT"]  # to 4.0: the second of the last trade is over
    before = market.features["ewma_vol_60s"]
    assert market.silence(1) == ["BTCUSDT"]
    assert 0 < market.features["ewma_vol_60s"] < before
    market.silence(100)
    assert market.features["ewma_vol_60s"] is None
    assert market.silence(1) == []


def test_windows_of_a_quiet_symbol_empty_as_time_goes_by(make_market: Any) -> None:
    market = make_market(features=select("none"))
    market.trade(0, 100, 2)
    market.trade(1, 110, 2)
    assert market.silence(8.9) == []
    assert market.features["trade_count_10s"] == 2
    assert market.silence(0.1) == ["BTCUSDT"]
    assert (market.clock_s, market.features["trade_count_10s"]) == (10, 1)
    market.silence(1)
    found = market.features
    assert (found["trade_count_10s"], found["trade_vwap_10s"], found["trade_volume_10s"]) == (0, None, 0)
    assert found["trade_vwap_60s"] == 105
    market.silence(60)
    found = market.features
    assert (found["trade_vwap_60s"], found["latency_ms_p50"], found["return_10s"]) == (None, None, 0)
    assert (market.clock_s, market.trust.trades_60s) == (71, 0)


def test_a_symbol_that_spoke_within_the_last_second_is_not_moved(market: Any) -> None:
    market.trade(0)
    market.silence(0.999)
    assert market.clock_s == 0
    market.silence(0.001)
    assert market.clock_s == 1
    market.silence(0.5)
    assert market.clock_s == 1.5


def test_an_event_after_a_silence_goes_where_its_time_says(market: Any) -> None:
    market.trade(0, 100)
    market.silence(20)
    assert market.clock_s == 20
    market.trade(15, 105)
    assert market.clock_s == 20
    assert (market.features["trade_count_10s"], market.features["return_10s"]) == (
        1,
        pytest.approx(0.05, rel=1e-9, abs=0),
    )
    market.silence(2)
    assert market.clock_s == 22
    market.trade(30, 110)
    assert market.clock_s == 30


def test_a_clock_that_one_wrong_time_sent_ahead_recovers(market: Any) -> None:
    market.trade(0, 100)
    market.trade(3_600, 100, ts_recv=market.ns(0))
    for second in range(1, 100):
        market.mono_ns += NS_PER_S
        market.trade(second, 100 + second)
    assert market.pipeline.counters.clock_restarts == 1
    assert market.clock_s == 99
    assert market.features["trade_count_10s"] == 10
    assert "clock_restart" in market.trust.reasons


def test_a_time_that_runs_ahead_of_ours_is_told_at_once(market: Any) -> None:
    for second in range(70):
        market.trade(second, 100)
    assert (market.trust.gap, market.trust.reasons) == (False, [])
    market.trade(3_600, 100, ts_recv=market.ns(70))
    assert market.trust.gap
    assert "clock_jump" in market.trust.reasons


def test_a_symbol_that_was_quiet_for_long_has_not_jumped(market: Any) -> None:
    market.trade(0, 100)
    market.trade(3_600, 100)
    assert "clock_jump" not in market.trust.reasons


def test_backfilled_trades_count_in_windows_but_not_in_latencies(market: Any) -> None:
    market.trade(0, 100)
    market.trade(10, 110)
    before = market.features
    market.trade(5, 105, ts_recv=market.ns(30), backfill=True)
    assert market.features["trade_count_10s"] == before["trade_count_10s"] + 1
    assert market.features["latency_ms_p95"] == before["latency_ms_p95"]
    market.quote(10, ts_event=None, ts_recv=market.ns(10.5))
    assert market.clock_s == pytest.approx(10.49, rel=1e-9, abs=0)


def test_late_events_among_timely_ones_do_not_restart_the_clock(market: Any) -> None:
    for second in range(300, 500):
        market.mono_ns += NS_PER_S
        market.trade(second)
        market.trade(second - 100)
    assert market.pipeline.counters.clock_restarts == 0
    assert market.pipeline.counters.late_trades == 200


# Two histories


def test_another_provider_begins_a_new_history(market: Any) -> None:
    market.quote(0, 99, 101)
    for second in range(20):
        market.trade(second, 100, ts_recv=market.ns(second) + 50 * NS_PER_MS)
    market.trade(20, 150, provider="bybit", ts_recv=market.ns(20) + 5 * NS_PER_MS)
    found, trust = market.features, market.trust
    assert (found["return_10s"], found["mid"], found["trade_count_10s"], found["trade_vwap_60s"]) == (
        None,
        None,
        1,
        150,
    )
    assert found["latency_ms_p95"] == pytest.approx(5, abs=0.5)
    assert (market.message.provider, trust.source, trust.warm) == ("bybit", "bybit", False)
    assert "source_switch" in trust.reasons
    assert market.pipeline.counters.source_switches == 1


def test_trades_from_before_a_restart_do_not_come_back(market: Any) -> None:
    market.trade(0, 100)
    market.pipeline.on_bus_gap("trade", "BTCUSDT", 3, 0)
    market.trade(20, 110)
    market.trade(5, 100)
    assert market.features["return_10s"] is None
    assert market.pipeline.counters.late_trades == 1
    market.trade(21, 120)
    market.trade(20.5, 115)
    market.trade(20, 110)  # at the very time of the first one
    assert (market.features["trade_count_10s"], market.pipeline.counters.late_trades) == (4, 1)
