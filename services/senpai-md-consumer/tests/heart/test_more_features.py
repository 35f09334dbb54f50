"""The twelve optional features by hand, when each says that there is no answer, and which of them are on."""

import re
from collections.abc import Callable
from fractions import Fraction
from math import log, sqrt
from statistics import mean, stdev
from typing import Any

import pytest

from senpai.md_consumer.counters import Counters
from senpai.md_consumer.features import FEATURES, OPTIONAL, SPECIFIED, Feature, FeatureSet, UnknownFeatureError, select
from senpai.md_consumer.state import SymbolState

LEVELS = [["99", "4"], ["98", "3"], ["97", "2"], ["96", "1"], ["95", "5"], ["94", "1000"]]


def quote(market: Any, at_s: float, bid: Any, bid_size: Any, ask: Any, ask_size: Any, **fields: Any) -> None:
    market.quote(at_s, bid, ask, bid_size=str(bid_size), ask_size=str(ask_size), **fields)


# The latest quote and book


def test_microprice_leans_to_the_side_of_the_smaller_size(market: Any) -> None:
    quote(market, 0, 99, 3, 101, 1)
    assert market.features["microprice"] == pytest.approx((99 * 1 + 101 * 3) / 4, rel=1e-9, abs=0)
    assert market.features["book_imbalance"] == pytest.approx(0.5, rel=1e-9, abs=0)


@pytest.mark.parametrize(("bid", "bid_size", "ask", "ask_size"), [(0, 1, 101, 1), (99, 1, 0, 1), (99, 0, 101, 0)])
def test_a_quote_without_a_side_or_without_sizes_has_no_balance(
    market: Any, bid: float, bid_size: float, ask: float, ask_size: float
) -> None:
    quote(market, 0, bid, bid_size, ask, ask_size)
    assert (market.features["microprice"], market.features["book_imbalance"]) == (None, None)


def test_a_quote_with_one_size_leans_all_the_way(market: Any) -> None:
    quote(market, 0, 99, 0, 101, 2)
    assert (market.features["microprice"], market.features["book_imbalance"]) == (99, -1)
    quote(market, 1, 99, 2, 101, 0)
    assert (market.features["microprice"], market.features["book_imbalance"]) == (101, 1)


def test_locked_and_crossed_quotes_have_the_values_as_defined(market: Any) -> None:
    quote(market, 0, 101, 1, 100, 3)
    assert (market.features["microprice"], market.features["book_imbalance"]) == (100.75, -0.5)


def test_after_lost_quotes_sizes_are_unknown_until_the_next_quote(market: Any) -> None:
    quote(market, 0, 99, 1, 101, 1)
    market.pipeline.on_bus_gap("quote", "BTCUSDT", 1, 0)
    found = market.features
    assert (found["microprice"], found["book_imbalance"], found["order_flow_imbalance_10s"]) == (None, None, None)
    quote(market, 1, 99, 1, 101, 1)
    found = market.features
    assert (found["microprice"], found["book_imbalance"], found["order_flow_imbalance_10s"]) == (100, 0, 0)


def test_depth_imbalance_is_of_the_five_best_levels(market: Any) -> None:
    market.book(0, LEVELS, [["101", "1"], ["102", "4"]])
    assert market.features["depth_imbalance_5"] == pytest.approx((15 - 5) / 20, rel=1e-9, abs=0)


@pytest.mark.parametrize(("bids", "asks"), [([], LEVELS), (LEVELS, []), ([["99", "0"]], [["101", "0"]])])
def test_a_book_without_a_side_or_without_sizes_has_no_balance(market: Any, bids: Any, asks: Any) -> None:
    market.trade(0)
    assert market.features["depth_imbalance_5"] is None
    market.book(0, bids, asks)
    assert market.features["depth_imbalance_5"] is None


def test_after_lost_books_depth_is_unknown_until_the_next_book(market: Any) -> None:
    market.book(0, LEVELS, LEVELS)
    market.status("gap", type="book_l2")
    assert market.features["depth_imbalance_5"] is None
    assert market.pipeline.latest("BTCUSDT").book is not None
    market.book(1, LEVELS, [["101", "5"]])
    assert market.features["depth_imbalance_5"] == pytest.approx(0.5, rel=1e-9, abs=0)


def test_another_provider_begins_a_new_history(market: Any) -> None:
    quote(market, 0, 99, 1, 101, 1)
    quote(market, 0.5, 99, 7, 101.5, 1)
    market.book(0, LEVELS, LEVELS)
    for second in range(5):
        market.trade(second + 0.5, 100 + second, side="buy")
    market.trade(6, 100, provider="bybit")
    found = market.features
    left = {name: found[name] for name in OPTIONAL if found[name] is not None}
    assert left == {"trade_intensity_60s": pytest.approx(1 / 60, rel=1e-9, abs=0), "vwap_deviation_60s": 0}


# Flows over ten seconds


def test_trade_imbalance_is_of_the_aggressors(market: Any) -> None:
    market.trade(0, size=3, side="buy")
    market.trade(1, size=1, side="sell")
    market.trade(1, size=100)
    assert market.features["trade_imbalance_10s"] == pytest.approx(0.5, rel=1e-9, abs=0)
    market.trade(10, size=1, side="sell")
    assert market.features["trade_imbalance_10s"] == -1
    market.trade(20, size=1)
    assert market.features["trade_imbalance_10s"] is None


def test_there_is_no_imbalance_once_those_with_a_side_have_left(market: Any) -> None:
    market.trade(0, size=3, side="buy")
    market.trade(1, size=2, side="sell")
    market.trade(5, size=100)
    assert market.features["trade_imbalance_10s"] == pytest.approx(0.2, rel=1e-9, abs=0)
    market.quote(12)
    assert market.features["trade_count_10s"] == 1
    assert market.features["trade_imbalance_10s"] is None


def test_an_imbalance_forgets_the_digits_that_giants_took(market: Any) -> None:
    market.trade(0, size="1e9", side="buy")
    market.trade(5, size="1e-8", side="buy")
    assert market.features["trade_imbalance_10s"] == 1
    market.trade(6, size="1e9", side="buy")
    market.trade(6, size="1e9", side="sell")
    assert market.features["trade_imbalance_10s"] == pytest.approx(1 / 3, rel=1e-9, abs=0)
    market.quote(11)
    assert market.features["trade_imbalance_10s"] == pytest.approx(1e-8 / 2e9, rel=1e-9, abs=0)


def test_giants_of_both_sides_that_leave_take_no_small_trade_along(market: Any) -> None:
    market.trade(0, size="1e9", side="buy")
    market.trade(0, size="1e9", side="sell")
    market.trade(5, size="1e-8", side="buy")
    assert market.features["trade_imbalance_10s"] == pytest.approx(1e-8 / 2e9, rel=1e-9, abs=0)
    market.quote(11)
    assert market.features["trade_imbalance_10s"] == 1


def test_a_late_trade_joins_the_imbalance(market: Any) -> None:
    market.trade(0, size=1, side="buy")
    market.trade(5, size=1, side="buy")
    market.trade(3, size=2, side="sell")
    assert market.features["trade_imbalance_10s"] == 0


@pytest.mark.parametrize(
    ("bid", "bid_size", "ask", "ask_size", "flow"),
    [
        (99, 10, 101, 20, 0),
        (99, 13, 101, 20, 3),
        (99, 10, 101, 25, -5),
        (99.5, 4, 101, 20, 4),
        (98, 4, 101, 20, -10),
        (99, 10, 100.5, 7, -7),
        (99, 10, 102, 7, 20),
        (101, 4, 99, 6, 4 - 6),
        (0, 0, 101, 20, 0),
        (99, 10, 0, 0, 0),
    ],
)
def test_order_flow_is_what_came_to_and_left_the_best_prices(
    market: Any, bid: float, bid_size: float, ask: float, ask_size: float, flow: float
) -> None:
    quote(market, 0, 99, 10, 101, 20)
    assert market.features["order_flow_imbalance_10s"] == 0
    quote(market, 1, bid, bid_size, ask, ask_size)
    assert market.features["order_flow_imbalance_10s"] == flow


def test_order_flow_forgets_the_digits_that_a_giant_took(market: Any) -> None:
    quote(market, 0, 99, 0, 101, 1)
    quote(market, 0, 99, "1e9", 101, 1)
    quote(market, 5, 100, "1e-8", 101, 1)
    assert market.features["order_flow_imbalance_10s"] == 1e9
    market.trade(11)
    assert market.features["order_flow_imbalance_10s"] == 1e-8


def test_order_flow_leaves_after_ten_seconds_though_the_quote_before_left_earlier(market: Any) -> None:
    for second, size in ((0, 1), (5, 3), (9, 8)):
        quote(market, second, 99, size, 101, 1)
    market.trade(10)
    assert market.features["order_flow_imbalance_10s"] == 7
    market.trade(14.9)
    assert market.features["order_flow_imbalance_10s"] == 7
    market.trade(15)
    assert market.features["order_flow_imbalance_10s"] == 5
    market.trade(100)
    assert market.features["order_flow_imbalance_10s"] == 0


def test_a_late_quote_takes_its_place_in_the_flow_and_is_not_the_latest(market: Any) -> None:
    quote(market, 0, 99, 1, 101, 1)
    quote(market, 2, 98, 1, 101, 1)
    assert market.features["order_flow_imbalance_10s"] == -1
    quote(market, 1, 100, 5, 101, 1)
    assert market.features["order_flow_imbalance_10s"] == 5 - 5
    assert market.features["mid"] == 99.5
    counters = market.pipeline.counters
    assert (counters.old_quotes, counters.inserted_quotes) == (1, 1)


def test_a_quote_that_is_ten_seconds_late_is_too_late(market: Any) -> None:
    quote(market, 0, 99, 1, 101, 1)
    quote(market, 15, 99, 2, 101, 1)
    quote(market, 5, 99, 9, 101, 1)
    assert market.pipeline.counters.inserted_quotes == 0
    quote(market, 5.001, 98, 9, 101, 1)
    assert market.pipeline.counters.inserted_quotes == 1
    assert market.features["order_flow_imbalance_10s"] == -1 + 2


def test_a_quote_from_before_the_first_one_is_in_time_when_nothing_was_lost(market: Any) -> None:
    quote(market, 1, 99, 2, 101, 1)
    quote(market, 0, 99, 1, 101, 1)
    assert market.pipeline.counters.inserted_quotes == 1
    assert market.features["order_flow_imbalance_10s"] == 1


def test_quotes_from_before_a_gap_do_not_come_back(market: Any) -> None:
    quote(market, 0, 99, 1, 101, 1)
    quote(market, 5, 99, 1, 101, 1)
    market.pipeline.on_bus_gap("quote", "BTCUSDT", 1, 0)
    quote(market, 4, 99, 9, 101, 1)
    assert market.features["order_flow_imbalance_10s"] is None
    quote(market, 6, 99, 2, 101, 1)
    quote(market, 5.5, 99, 9, 101, 1)
    quote(market, 7, 99, 4, 101, 1)
    assert market.features["order_flow_imbalance_10s"] == 2


def test_quotes_without_a_time_of_their_own_keep_their_order(market: Any) -> None:
    market.trade(0, ts_recv=market.ns(0))
    quote(market, 0, 99, 1, 101, 1, ts_event=None, ts_recv=market.ns(5))
    market.trade(5, ts_recv=market.ns(8))  # a larger delay: the next quote seems to be from before the last one
    quote(market, 0, 99, 4, 101, 1, ts_event=None, ts_recv=market.ns(7))
    assert market.features["order_flow_imbalance_10s"] == 3
    market.trade(14.9, ts_recv=market.ns(14.9))
    assert market.features["order_flow_imbalance_10s"] == 3
    market.trade(15, ts_recv=market.ns(15))
    assert market.features["order_flow_imbalance_10s"] == 0


# A minute, by trades


def test_intensity_is_trades_per_second(make_market: Any) -> None:
    market = make_market(window_s=4)
    market.quote(0)
    assert market.features["trade_intensity_60s"] == 0
    for at_s in (0, 1, 2, 2):
        market.trade(at_s)
    assert market.features["trade_intensity_60s"] == 1
    market.trade(4)
    assert market.features["trade_intensity_60s"] == 1


def test_vwap_deviation_compares_the_last_price(market: Any) -> None:
    market.trade(0, 100, 1)
    market.trade(1, 110, 3)
    assert market.features["vwap_deviation_60s"] == pytest.approx(110 / 107.5 - 1, rel=1e-9, abs=0)
    market.quote(61)
    assert market.features["vwap_deviation_60s"] is None


def test_vwap_deviation_keeps_its_digits_where_the_last_price_is_next_to_the_average(market: Any) -> None:
    for i in range(1_000):
        market.trade(i / 20, "60000" if i % 2 else "60000.00000001", "0.1")
    last, vwap = 60_000.0, (60_000.0 + 60_000.00000001) / 2
    assert market.features["vwap_deviation_60s"] == pytest.approx((last - vwap) / vwap, abs=2e-16)


def test_vwap_deviation_forgets_the_digits_that_a_larger_trade_took(market: Any) -> None:
    small = [("60000.3", "0.7"), ("60000.1", "0.9")]
    for at_s, price, size in [(0, "60000.1", "10000.3")] + [(5, *trade) for trade in small]:
        market.trade(at_s, price, size)
    assert market.features["trade_vwap_60s"] == pytest.approx(60_000.1, rel=1e-9, abs=0)
    market.quote(61)
    (first, q), (last, r) = ((Fraction(price), Fraction(size)) for price, size in small)
    vwap = (first * q + last * r) / (q + r)
    assert market.features["vwap_deviation_60s"] == pytest.approx(float((last - vwap) / vwap), abs=3e-16)


# A minute, by seconds


def trades(market: Any, *rows: tuple[float, float, float, str | None]) -> None:
    for at_s, price, size, side in rows:
        market.trade(at_s, price, size, side=side)


def test_sampled_volatility_is_of_the_last_prices_of_whole_seconds(market: Any) -> None:
    trades(market, (0.1, 90, 1, None), (0.9, 100, 1, None), (1.0, 101, 1, None), (1.4, 150, 1, None))
    assert market.features["realized_vol_1s_60s"] is None
    trades(market, (2.0, 102, 1, None))
    assert market.features["realized_vol_1s_60s"] is None  # the second that ends at 2 is over when time has passed it
    trades(market, (5.5, 99, 1, None))
    assert market.features["realized_vol_1s_60s"] == pytest.approx(abs(log(102 / 101)), rel=1e-9, abs=0)
    trades(market, (6.1, 99, 1, None))
    assert market.features["realized_vol_1s_60s"] == pytest.approx(
        sqrt(log(102 / 101) ** 2 + log(99 / 102) ** 2), rel=1e-9, abs=0
    )


def test_a_second_counts_while_all_of_it_is_in_the_window(market: Any) -> None:
    trades(market, (0.5, 100, 1, None), (1.5, 101, 1, None), (2.5, 103, 1, None))
    market.quote(60)
    both = market.features["realized_vol_1s_60s"]
    assert both == pytest.approx(sqrt(log(101 / 100) ** 2 + log(103 / 101) ** 2), rel=1e-9, abs=0)
    market.quote(60.001)
    assert market.features["realized_vol_1s_60s"] == pytest.approx(log(103 / 101), rel=1e-9, abs=0)
    market.quote(61.001)
    assert market.features["realized_vol_1s_60s"] is None


def test_a_trade_that_comes_late_for_a_second_changes_it(market: Any) -> None:
    trades(market, (0.5, 100, 1, "buy"), (1.5, 101, 1, "buy"), (3.5, 103, 2, "sell"), (5, 104, 1, None))
    assert market.features["kyle_lambda_60s"] == pytest.approx((1 * 1 + -2 * 2) / 5, rel=1e-9, abs=0)
    trades(market, (1.75, 102, 1, "buy"))
    assert market.features["kyle_lambda_60s"] == pytest.approx((2 * 2 + -2 * 1) / 8, rel=1e-9, abs=0)
    trades(market, (2.5, 100, 3, "sell"))
    assert market.features["kyle_lambda_60s"] == pytest.approx((2 * 2 + -3 * -2 + -2 * 3) / 17, rel=1e-9, abs=0)
    trades(market, (1.1, 70, 1, "sell"))
    assert market.features["kyle_lambda_60s"] == pytest.approx((1 * 2 + -3 * -2 + -2 * 3) / 14, rel=1e-9, abs=0)


def test_a_trade_younger_than_all_trades_may_still_be_late_for_its_second(market: Any) -> None:
    trades(market, (0.5, 100, 1, "buy"), (1.5, 101, 1, "buy"))
    market.quote(8)
    assert market.features["kyle_lambda_60s"] == 1
    trades(market, (1.9, 104, 1, "buy"), (4.5, 103, 2, "buy"))
    market.quote(9)
    assert market.features["kyle_lambda_60s"] == pytest.approx((2 * 4 + 2 * -1) / 8, rel=1e-9, abs=0)


def test_ewma_volatility_weighs_seconds_by_their_age(market: Any) -> None:
    trades(market, (0.5, 100, 1, None), (1.5, 101, 1, None), (3.5, 100, 1, None), (4.5, 7, 1, None))
    squares = [log(101 / 100) ** 2, 0, log(100 / 101) ** 2]
    weights = [0.94**2, 0.94, 1]
    expected = sum(w * s for w, s in zip(weights, squares, strict=True)) / sum(weights)
    assert market.features["ewma_vol_60s"] == pytest.approx(sqrt(expected), rel=1e-9, abs=0)


def test_volatility_of_seconds_with_one_price_is_zero_and_needs_two(market: Any) -> None:
    trades(market, (0.5, 100, 1, None), (1.5, 100, 1, None))
    assert (market.features["ewma_vol_60s"], market.features["realized_vol_1s_60s"]) == (None, None)
    trades(market, (2.5, 100, 1, None))
    assert (market.features["ewma_vol_60s"], market.features["realized_vol_1s_60s"]) == (0, 0)


def test_amihud_is_the_mean_return_per_money_of_seconds_that_traded(market: Any) -> None:
    trades(market, (0.5, 100, 1, None), (1.2, 50, 1, None), (1.5, 101, 2, None), (5.5, 99, 1, None), (7, 1, 1, None))
    expected = mean([log(101 / 100) / (50 + 202), log(101 / 99) / 99])
    assert market.features["amihud_60s"] == pytest.approx(expected, rel=1e-9, abs=0)


def test_kyles_lambda_is_null_without_signed_volume(market: Any) -> None:
    trades(
        market, (0.5, 100, 1, "buy"), (1.5, 101, 1, None), (2.5, 102, 1, "buy"), (2.6, 103, 1, "sell"), (4, 1, 1, None)
    )
    assert market.features["kyle_lambda_60s"] is None
    assert market.features["amihud_60s"] is not None


def test_lost_trades_restart_the_seconds(market: Any) -> None:
    trades(market, (0.5, 100, 1, "buy"), (1.5, 101, 1, "buy"), (3, 102, 1, "buy"))
    assert market.features["kyle_lambda_60s"] == 1
    market.pipeline.on_bus_gap("trade", "BTCUSDT", 1, 0)
    trades(market, (4.5, 200, 1, "buy"), (6, 201, 1, "buy"))
    assert market.features["kyle_lambda_60s"] is None
    trades(market, (7.5, 203, 1, "buy"))
    assert market.features["kyle_lambda_60s"] == 1


def test_spread_zscore_compares_the_latest_spread_with_those_of_the_seconds(market: Any) -> None:
    spreads = [2, 4, 3]
    for second, spread in enumerate(spreads):
        quote(market, second + 0.2, 50, 1, 99, 1)
        quote(market, second + 0.7, 100, 1, 100 + spread, 1)
        quote(market, second + 0.8, 0, 1, 100, 1)
    quote(market, 3.5, 100, 1, 106, 1)
    assert market.features["spread_zscore_60s"] == pytest.approx((6 - mean(spreads)) / stdev(spreads), rel=1e-9, abs=0)
    quote(market, 3.6, 100, 1, 0, 1)
    assert market.features["spread_zscore_60s"] is None


def test_a_spread_that_differs_by_rounding_alone_is_not_unusual(market: Any) -> None:
    for second in range(20):
        quote(market, second + 0.5, f"{60_000 + second}.01", 1, f"{60_000 + second}.02", 1)
    assert market.features["spread_zscore_60s"] is None
    quote(market, 20.5, "60000.01", 1, "60000.03", 1)
    quote(market, 21.5, "60000.01", 1, "60000.02", 1)
    assert market.features["spread_zscore_60s"] == pytest.approx(-1 / sqrt(20 + 1), rel=1e-6, abs=0)


@pytest.mark.parametrize(("part", "is_known"), [(0.98, False), (1.02, True)])
def test_spreads_have_to_differ_by_a_billionth_of_a_thousandth_of_the_mid(
    market: Any, part: float, is_known: bool
) -> None:
    for second in range(2):
        quote(market, second + 0.5, 1024, 1, repr(1024 + second * part * sqrt(2) * 1024e-12), 1)
    quote(market, 3, 1024, 1, 1024, 1)
    assert (market.features["spread_zscore_60s"] is not None) == is_known


def test_lost_quotes_restart_the_usual_spread(market: Any) -> None:
    for second, spread in enumerate((1, 2, 3, 4)):
        quote(market, second + 0.5, 100, 1, 100 + spread, 1)
    assert market.features["spread_zscore_60s"] == pytest.approx(2, rel=1e-9, abs=0)
    market.pipeline.on_bus_gap("quote", "BTCUSDT", 1, 0)
    quote(market, 5.5, 100, 1, 105, 1)
    assert market.features["spread_zscore_60s"] is None


# Which are on


def test_a_window_is_as_long_as_the_name_says() -> None:
    names = {name: re.search(r"_(\d+)s$", name) for name in FEATURES if "latency" not in name}
    windows = {name: int(match[1]) if match else None for name, match in names.items()}
    assert {name: feature.window_s for name, feature in FEATURES.items()} == {
        **windows, "latency_ms_p50": 60, "latency_ms_p95": 60
    }  # fmt: skip
    assert set(windows.values()) == {None, 10, 60}
    assert {feature.grid_s for feature in FEATURES.values()} == {None, 1}


def test_a_feature_says_what_it_is_made_of() -> None:
    several = FEATURES["mid"]._replace(inputs={"trades": 5, "quotes": 0})
    features = (FEATURES["mid"], FEATURES["amihud_60s"], several)
    assert [dict(feature.spans_s) for feature in features] == [
        {"quotes": 0},
        {"trades": 60},
        {"trades": 5, "quotes": 0},
    ]


def test_all_are_on_unless_told_otherwise(market: Any) -> None:
    market.trade(0)
    assert list(market.features) == list(FEATURES) == list(select("")) == list(select("all"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none", []),
        (" amihud_60s , microprice,", ["microprice", "amihud_60s"]),
        ("MICROPRICE,mid,microprice", ["microprice"]),
    ],
)
def test_the_setting_selects_beside_the_eleven(make_market: Any, text: str, expected: list[str]) -> None:
    market = make_market(features=select(text))
    market.trade(0)
    assert list(market.features) == [*SPECIFIED, *expected]


@pytest.mark.parametrize("text", ["microprise", "all,microprice", "none,mid", "microprice;amihud_60s"])
def test_an_unknown_name_is_told_with_those_there_are(text: str) -> None:
    with pytest.raises(UnknownFeatureError, match=r"unknown feature '.*': expected all, none, or some of microprice, "):
        select(text)


@pytest.mark.parametrize("text", ["none", "amihud_60s,vwap_deviation_60s,microprice,depth_imbalance_5"])
def test_quotes_are_kept_only_for_features_that_look_back_at_them(text: str) -> None:
    state = SymbolState("BTCUSDT", 60, Counters())
    FeatureSet(state, select(text))
    assert state.quotes is None


def test_a_feature_need_not_be_built_in(make_market: Any) -> None:
    class Widest:
        """A user's own: the widest spread of the last five seconds."""

        def __init__(self, window: Any) -> None:
            self._window = window

        def widest(self) -> float | None:
            """max(ask - bid)."""
            quotes, first = self._window.series, self._window.advance()
            spreads = [ask - bid for bid, ask in zip(quotes.bid[first:], quotes.ask[first:], strict=True)]
            return max(spreads, default=None)

    own = {"widest_spread_5s": Feature(Widest, Widest.widest, "quotes", 5, "price")}
    market = make_market(features={**select("none"), **own})
    for second, ask in ((0, 105), (2, 102), (4, 101)):
        market.quote(second, 100, ask)
    assert market.features["widest_spread_5s"] == 5
    market.quote(5, 100, 101)
    assert market.features["widest_spread_5s"] == 2


@pytest.mark.parametrize(
    "made_of",
    [
        lambda family: Feature(family, len, "books", 10, "price"),
        lambda family: Feature(family, len, "delays", 10, "price", grid_s=1),
        lambda family: Feature(family, len, "trades", 10, "price", grid_s=5),
    ],
)
def test_a_feature_of_what_there_is_not_is_refused(make_market: Any, made_of: Callable[[type], Feature]) -> None:
    market = make_market(features={"odd": made_of(object)})
    with pytest.raises(ValueError, match="found"):
        market.trade(0)
