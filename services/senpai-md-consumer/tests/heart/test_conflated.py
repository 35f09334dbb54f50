"""What the producer conflated (a `drop` that kept the latest): the latest state is right, what looks back is not."""

from typing import Any

import pytest

from senpai.md_consumer.features import select

LATEST = ("mid", "spread_abs", "spread_bps", "microprice", "book_imbalance", "depth_imbalance_5")
LOOKING_BACK = ("order_flow_imbalance_10s", "spread_zscore_60s")  # over quotes


def feed(market: Any, start: int, stop: int) -> None:
    for i in range(start, stop):
        at = i / 2
        market.mono_ns += 500_000_000
        market.quote(at, 100 - i % 7 / 100, 101 + i % 5 / 100, bid_size=str(1 + i % 4))
        market.book(at, [("99", str(1 + i % 3))], [("101", "1")])
        market.trade(at, 100 + i % 3)


@pytest.fixture
def pair(make_market: Any) -> tuple[Any, Any]:
    """Two that have seen the same for two minutes."""
    both = make_market(features=select("all")), make_market(features=select("all"))
    for market in both:
        feed(market, 0, 240)
    return both


def test_conflated_quotes_begin_the_quote_windows_anew_and_touch_nothing_else(pair: tuple[Any, Any]) -> None:
    market, twin = pair
    market.status("drop", type="quote", missing=9, latest_kept=True)
    assert (market.trust.reasons, market.trust.gap) == (["quote_gap"], True)
    assert {name for name, value in twin.features.items() if market.features[name] != value} == set(LOOKING_BACK)
    assert [market.features[name] for name in LOOKING_BACK] == [None, None]
    assert None not in [market.features[name] for name in LATEST]
    for each in pair:
        feed(each, 240, 242)
    assert market.trust.reasons == ["quote_gap"], "windows still hold the time of the loss"
    for each in pair:
        feed(each, 242, 364)
    assert market.trust.reasons == []
    for name, value in twin.features.items():
        assert market.features[name] == (value if value is None else pytest.approx(value, rel=1e-9, abs=0)), name
    assert None not in [twin.features[name] for name in (*LATEST, *LOOKING_BACK)]


def test_a_conflated_book_leaves_the_latest_one_and_is_told_of(pair: tuple[Any, Any]) -> None:
    market, twin = pair
    market.status("drop", type="book_l2", missing=2, latest_kept=True)
    assert market.features == twin.features
    assert (market.trust.reasons, market.trust.gap) == (["book_l2_gap"], True)


@pytest.mark.parametrize("kept", [False, None, 1, "yes"])
def test_anything_else_lost_is_lost_until_the_next_one(pair: tuple[Any, Any], kept: Any) -> None:
    market, twin = pair
    market.status("drop", type="quote", missing=1, latest_kept=kept)
    assert market.features["microprice"] is market.features["book_imbalance"] is None
    market.status("drop", type="book_l2", missing=1, latest_kept=kept)
    assert market.features["depth_imbalance_5"] is None
    assert market.features["trade_volume_10s"] == twin.features["trade_volume_10s"]
