"""The 11 features by hand, and when each says that there is no answer."""

from itertools import pairwise
from math import log
from statistics import stdev
from typing import Any

import pytest

from senpai.md_consumer.features import FEATURES, OPTIONAL, SPECIFIED

NAMES = [
    "mid", "spread_abs", "spread_bps", "trade_vwap_10s", "trade_vwap_60s", "trade_count_10s", "trade_volume_10s",
    "return_10s", "realized_vol_60s", "latency_ms_p50", "latency_ms_p95",
]  # fmt: skip


def test_the_eleven_specified_features_are_there_in_order_and_described(market: Any) -> None:
    market.trade(0)
    assert list(market.features)[:11] == NAMES == list(SPECIFIED)
    assert list(FEATURES) == [*SPECIFIED, *OPTIONAL]
    assert all(feature.unit and feature.value.__doc__ for feature in FEATURES.values())


def test_a_first_quote_alone_gives_mid_and_spreads_and_nothing_else(market: Any) -> None:
    market.quote(0, 99, 101, ts_event=None)
    found = market.features
    assert (found["mid"], found["spread_abs"], found["spread_bps"]) == (100, 2, pytest.approx(200, rel=1e-9, abs=0))
    assert (found["trade_count_10s"], found["trade_volume_10s"]) == (0, 0)
    empty = set(NAMES[3:]) - {"trade_count_10s", "trade_volume_10s"}
    assert {name for name in NAMES if found[name] is None} == empty


@pytest.mark.parametrize(("bid", "ask", "spread"), [(100, 100, 0), (101, 99, -2)])
def test_a_locked_or_crossed_quote_has_the_values_as_defined(
    market: Any, bid: float, ask: float, spread: float
) -> None:
    market.quote(0, bid, ask)
    assert market.features["mid"] == 100
    assert market.features["spread_abs"] == spread
    assert market.features["spread_bps"] == pytest.approx(spread * 100, rel=1e-9, abs=0)


@pytest.mark.parametrize("side", ["bid", "ask"])
def test_a_quote_without_one_side_has_no_mid(market: Any, side: str) -> None:
    market.quote(0)
    market.quote(1, **{side: "0"})
    assert (market.features["mid"], market.features["spread_abs"], market.features["spread_bps"]) == (None, None, None)


def test_vwap_weighs_prices_by_size(market: Any) -> None:
    market.trade(0, 100, 1)
    market.trade(1, 110, 3)
    assert market.features["trade_vwap_10s"] == pytest.approx(107.5, rel=1e-9, abs=0)
    assert (market.features["trade_count_10s"], market.features["trade_volume_10s"]) == (2, 4)


def test_the_two_vwaps_look_back_ten_and_sixty_seconds(market: Any) -> None:
    market.trade(0, 100, 1)
    market.trade(10, 200, 1)
    assert market.features["trade_vwap_10s"] == 200
    assert market.features["trade_vwap_60s"] == pytest.approx(150, rel=1e-9, abs=0)
    market.trade(60, 400, 1)
    assert market.features["trade_vwap_60s"] == pytest.approx(300, rel=1e-9, abs=0)


def test_an_empty_window_has_no_vwap_and_no_dust(market: Any) -> None:
    market.trade(0, 0.1, 0.1)
    market.trade(1, 60_000, 123_456_789.123)
    market.trade(1, 0.3, 1e-8)
    market.quote(100)
    found = market.features
    assert (found["trade_vwap_10s"], found["trade_vwap_60s"]) == (None, None)
    assert (found["trade_count_10s"], found["trade_volume_10s"]) == (0, 0)


@pytest.mark.parametrize(
    ("giant", "small", "vwap", "volume"),
    [((1e-10, 1e9), (1e10, 1e-8), 1e10, 1e-8), ((1e12, 1), (1e-6, 1), 1e-6, 1)],
)
def test_a_giant_that_leaves_takes_no_digits_along(
    market: Any, giant: tuple[float, float], small: tuple[float, float], vwap: float, volume: float
) -> None:
    market.trade(0, *giant)
    market.trade(5, *small)
    assert market.features["trade_count_10s"] == 2
    market.quote(10)
    found = market.features
    assert (found["trade_vwap_10s"], found["trade_volume_10s"]) == (
        pytest.approx(vwap, rel=1e-9, abs=0),
        pytest.approx(volume, rel=1e-9, abs=0),
    )


def test_return_is_measured_from_the_last_trade_at_or_before_ten_seconds_ago(market: Any) -> None:
    market.trade(0, 100)
    market.trade(1, 101)
    market.trade(9.999, 110)
    assert market.features["return_10s"] is None
    market.trade(10, 120)
    assert market.features["return_10s"] == pytest.approx(0.2, rel=1e-9, abs=0)
    market.trade(10.9, 130)
    assert market.features["return_10s"] == pytest.approx(0.3, rel=1e-9, abs=0)
    market.trade(11, 130)
    assert market.features["return_10s"] == pytest.approx(130 / 101 - 1, rel=1e-9, abs=0)


def test_return_needs_only_one_old_trade_however_old(market: Any) -> None:
    market.trade(0, 100)
    market.trade(5_000, 103)
    assert market.features["return_10s"] == pytest.approx(0.03, rel=1e-9, abs=0)


def test_return_is_zero_when_nothing_traded_in_the_window(market: Any) -> None:
    market.trade(0, 100)
    market.trade(1, 105)
    market.quote(500)
    assert market.features["return_10s"] == 0


def test_a_late_trade_moves_the_price_a_return_is_measured_from(market: Any) -> None:
    market.trade(0, 100)
    market.trade(20, 110)
    market.trade(9, 105)
    assert market.features["return_10s"] == pytest.approx(110 / 105 - 1, rel=1e-9, abs=0)


def test_volatility_is_the_sample_deviation_of_log_returns(market: Any) -> None:
    prices = [100, 101, 99, 99, 102]
    for second, price in enumerate(prices):
        market.trade(second, price)
    expected = stdev(log(after / before) for before, after in pairwise(prices))
    assert market.features["realized_vol_60s"] == pytest.approx(expected, rel=1e-12, abs=0)


def test_volatility_needs_two_returns(market: Any) -> None:
    for second, price in enumerate((100, 101)):
        market.trade(second, price)
        assert market.features["realized_vol_60s"] is None
    market.trade(2, 102)
    assert market.features["realized_vol_60s"] is not None


def test_volatility_counts_a_return_only_while_both_its_trades_are_inside(market: Any) -> None:
    for second, price in ((0, 50), (1, 100), (2, 101), (3, 100)):
        market.trade(second, price)
    market.quote(60)
    expected = stdev([log(101 / 100), log(100 / 101)])
    assert market.features["realized_vol_60s"] == pytest.approx(expected, rel=1e-12, abs=0)


def test_volatility_of_a_standing_price_is_zero(market: Any) -> None:
    for second in range(5):
        market.trade(second, 100)
    assert market.features["realized_vol_60s"] == 0


def test_a_late_trade_replaces_one_return_by_two(market: Any) -> None:
    for second, price in ((0, 100), (1, 102), (3, 99)):
        market.trade(second, price)
    market.trade(2, 105)
    expected = stdev([log(102 / 100), log(105 / 102), log(99 / 105)])
    assert market.features["realized_vol_60s"] == pytest.approx(expected, rel=1e-12, abs=0)


def test_volatility_survives_a_mean_far_larger_than_the_deviation(market: Any) -> None:
    prices = [1e-5]
    for i in range(60):
        prices.append(prices[-1] * 1.5 * (1 + (1e-7 if i % 3 else -1e-7)))
        market.trade(i / 10, repr(prices[-1]))
    expected = stdev(log(after / before) for before, after in pairwise(prices[1:]))
    assert market.features["realized_vol_60s"] == pytest.approx(expected, rel=1e-7, abs=0)


def test_the_setting_shortens_the_sixty_second_windows_and_only_those(make_market: Any) -> None:
    market = make_market(window_s=4)
    market.trade(0, 100, 1)
    market.trade(5, 200, 1)
    found = market.features
    assert (found["trade_vwap_60s"], found["trade_vwap_10s"]) == (200, pytest.approx(150, rel=1e-9, abs=0))
    assert found["trade_count_10s"] == 2
    market.trade(10.5, 300)
    assert market.features["return_10s"] == pytest.approx(2.0, rel=1e-9, abs=0)


@pytest.mark.parametrize("window_s", [0, -1, 61, float("nan")])
def test_a_window_that_is_none_is_refused(make_market: Any, window_s: float) -> None:
    with pytest.raises(ValueError, match="window_s: expected more than 0 and at most 60"):
        make_market(window_s=window_s)
