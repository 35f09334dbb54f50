"""The momentum rule: one signal per episode, for the stated reason."""

from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

import pytest

from senpai.md_consumer.rules import RULES, Rule, RuleOptions


def play(market: Any, prices: Iterable[float], start_s: float, step_s: float = 0.1, size: float = 1) -> list[Any]:
    """Trades and quotes along a path of prices; returns the signals."""
    signals = []
    for i, price in enumerate(prices):
        at = start_s + i * step_s
        signals += market.quote(at, price * 0.9999, price * 1.0001, ts_event=None, ts_recv=market.ns(at))
        signals += market.trade(at, price, size)
    return signals


def ramp(start: float, end: float, steps: int) -> list[float]:
    return [start + (end - start) * i / steps for i in range(steps + 1)]


def new(signals: list[Any]) -> list[str]:
    """The directions of the signals that are no cancels."""
    return [signal.direction for signal in signals if signal.state == "new"]


def calm(market: Any, price: float, start_s: float, for_s: float) -> list[Any]:
    return play(market, [price] * round(for_s * 2), start_s, 0.5)


@pytest.mark.parametrize(("end", "direction"), [(100.5, "long"), (99.5, "short")])
def test_half_a_percent_in_five_seconds_gives_exactly_one_signal(market: Any, end: float, direction: str) -> None:
    signals = calm(market, 100, 0, 15)
    signals += play(market, ramp(100, end, 50), 15)
    signals += calm(market, end, 20.5, 30)
    assert [(signal.state, signal.direction) for signal in signals] == [("new", direction)]


def test_a_move_there_and_back_gives_one_signal_each_way(market: Any) -> None:
    signals = calm(market, 100, 0, 15)
    signals += play(market, ramp(100, 100.5, 50), 15)
    signals += calm(market, 100.5, 20.5, 20)
    signals += play(market, ramp(100.5, 100, 50), 41)
    signals += calm(market, 100, 47, 20)
    signals += play(market, ramp(100, 100.5, 50), 70)
    assert new(signals) == ["long", "short", "long"]


def test_a_jump_straight_into_the_opposite_direction_gives_both(market: Any) -> None:
    calm(market, 100, 0, 15)
    signals = play(market, [100.5] * 5 + [99.5] * 5, 15)
    assert [(signal.state, signal.direction) for signal in signals] == [
        ("new", "long"),
        ("cancel", "long"),
        ("new", "short"),
    ]


@pytest.mark.parametrize("direction", [1, -1])
def test_a_return_that_flutters_about_the_threshold_gives_one_signal(market: Any, direction: int) -> None:
    signals = calm(market, 100, 0, 15)
    signals += play(market, [100 + direction * (0.32, 0.28)[i % 2] for i in range(80)], 15)
    assert len(signals) == 1


def test_the_next_episode_needs_the_return_back_within_half_the_threshold(make_market: Any) -> None:
    market = make_market(signal_cooldown_s=0)
    calm(market, 100, 0, 15)
    assert new(play(market, [100.4, 100.16, 100.4], 15)) == ["long"]
    assert new(play(market, [100.14, 100.4], 15.5)) == ["long"]


def test_the_inner_threshold_can_be_set(make_market: Any) -> None:
    market = make_market(rearm_fraction=0.9, signal_cooldown_s=0)
    calm(market, 100, 0, 15)
    assert len(new(play(market, [100.4, 100.26, 100.4], 15))) == 2


def test_volume_that_flutters_about_its_threshold_gives_one_signal(make_market: Any) -> None:
    market = make_market(volume_threshold=22)
    signals = calm(market, 100, 0, 15)
    for i in range(40):
        signals += market.trade(15 + i / 10, 100.5, 1)
        signals += market.trade(15 + i / 10 + 0.05, 100.5, 0.01)
    assert len(signals) == 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 1),
        ({"return_threshold": 0.0051}, 0),
        ({"volume_threshold": 1_000}, 0),
        ({"spread_threshold_bps": 1.5}, 0),
    ],
)
def test_every_condition_has_to_hold(make_market: Any, options: dict[str, float], expected: int) -> None:
    market = make_market(**options)
    signals = calm(market, 100, 0, 15)
    assert len(signals + play(market, ramp(100, 100.5, 50), 15)) == expected


def test_a_spread_that_becomes_tight_while_the_price_is_away_gives_the_signal(market: Any) -> None:
    for second in range(15):
        market.trade(second, 100)
    assert market.trade(15, 100.5) == []
    assert market.quote(15, 90, 110) == []
    assert [signal.direction for signal in market.quote(15.1, 100.4, 100.6)] == ["long"]


@pytest.mark.parametrize(("bid", "ask", "expected"), [(101, 100, 0), (100, 100, 1), (100, 100.001, 1)])
def test_a_locked_quote_counts_as_tight_but_a_crossed_one_does_not(
    market: Any, bid: float, ask: float, expected: int
) -> None:
    market.quote(0, bid, ask)
    for second in range(15):
        market.trade(second, 100)
    assert len(market.trade(15, 100.5)) == expected


def test_a_signal_says_what_why_and_for_how_long(make_market: Any) -> None:
    market = make_market(signal_valid_s=7)
    calm(market, 100, 0, 15)
    (signal,) = play(market, [100.5], 15)
    assert (signal.state, signal.rule, signal.provider, signal.symbol) == ("new", "momentum", "binance", "BTCUSDT")
    assert (signal.ts, signal.valid_until) == (market.ns(15), market.ns(22))
    assert signal.id == f"BTCUSDT-momentum-long-{signal.ts}"
    assert [(c.name, c.op, c.threshold) for c in signal.reason] == [
        ("return_10s", ">", 0.003),
        ("trade_volume_10s", ">", 1.0),
        ("spread_bps", "<", 20.0),
    ]
    assert [c.value for c in signal.reason] == [signal.features[c.name] for c in signal.reason]
    assert signal.features == market.features
    assert signal.trust == market.trust


def test_a_short_signal_has_the_mirrored_threshold(market: Any) -> None:
    calm(market, 100, 0, 15)
    (signal,) = play(market, [99.5], 15)
    assert (signal.reason[0].op, signal.reason[0].threshold) == ("<", -0.003)
    assert signal.reason[0].value == pytest.approx(-0.005, rel=1e-9, abs=0)


def test_no_signal_comes_from_a_price_step_between_two_providers(market: Any) -> None:
    calm(market, 100, 0, 15)
    market.provider = "bybit"
    assert calm(market, 101, 15, 60) == []


def test_no_signal_comes_from_a_price_step_over_a_gap(market: Any) -> None:
    calm(market, 100, 0, 15)
    market.pipeline.on_bus_gap("trade", "BTCUSDT", 5, 0)
    assert calm(market, 101, 15, 60) == []


def test_reading_features_does_not_change_what_fires(make_market: Any) -> None:
    path = ramp(100, 100.6, 40) + ramp(100.6, 99.9, 90) + ramp(99.9, 100.5, 30)
    busy, alone = make_market(), make_market()
    found = calm(busy, 100, 0, 15) + calm(alone, 100, 0, 15)
    for i, price in enumerate(path):
        found += play(busy, [price], 15 + i / 10)
        assert busy.features
    twin = play(alone, path, 15)
    assert [(s.id, s.state, s.reason) for s in found] == [(s.id, s.state, s.reason) for s in twin]
    assert len(twin) > 1


def test_thresholds_are_the_specified_ones_unless_told_otherwise() -> None:
    assert RuleOptions() == RuleOptions(0.003, 1.0, 20.0, 0.5)


@pytest.mark.parametrize(("fraction", "is_good"), [(-0.1, False), (0, False), (1e-9, True), (1, True), (1.001, False)])
def test_the_fraction_to_rearm_at_is_above_zero_and_at_most_one(fraction: float, is_good: bool) -> None:
    with nullcontext() if is_good else pytest.raises(ValueError, match="rearm_fraction"):
        RuleOptions(rearm_fraction=fraction)


READS = ("return_10s", "trade_volume_10s", "spread_bps")
OPTIONS = RuleOptions(return_threshold=0.004, volume_threshold=3.0, spread_threshold_bps=8.0, rearm_fraction=0.5)


def momentum(change: float | None, volume: float | None, spread: float | None) -> Rule:
    readers: dict[str, Any] = {"return_10s": lambda: change, "trade_volume_10s": lambda: volume}
    return RULES["momentum"].make({**readers, "spread_bps": lambda: spread}, OPTIONS)


@pytest.mark.parametrize(
    ("change", "volume", "spread", "direction"),
    [
        (0.0041, 3.1, 7.9, "long"),
        (-0.0041, 3.1, 7.9, "short"),
        (0.004, 3.1, 7.9, None),
        (-0.004, 3.1, 7.9, None),
        (0, 3.1, 7.9, None),
        (0.0041, 3.0, 7.9, None),
        (0.0041, 3.1, 8.0, None),
        (0.0041, 3.1, 0, "long"),
        (0.0041, 3.1, -0.1, None),
        (None, 3.1, 7.9, None),
        (0.0041, None, 7.9, None),
        (0.0041, 3.1, None, None),
    ],
)
def test_momentum_begins_when_all_three_are_beyond_their_thresholds(
    change: float | None, volume: float | None, spread: float | None, direction: str | None
) -> None:
    assert momentum(change, volume, spread).begins() == direction


@pytest.mark.parametrize(
    ("change", "volume", "spread", "lost"),
    [
        (0.002, 1.5, 16, ()),
        (0.002, 1.5, 0, ()),
        (0.0019, 1.5, 16, ("return_10s",)),
        (-0.002, 1.5, 16, ("return_10s",)),
        (0.002, 1.4, 16, ("trade_volume_10s",)),
        (0.002, 1.5, 16.1, ("spread_bps",)),
        (0.002, 1.5, -0.1, ("spread_bps",)),
        (None, None, None, READS),
    ],
)
@pytest.mark.parametrize("direction", ["long", "short"])
def test_momentum_is_lost_when_a_condition_is_missed_by_far(
    change: float | None, volume: float | None, spread: float | None, lost: tuple[str, ...], direction: Any
) -> None:
    along = change if change is None or direction == "long" else -change
    rule = momentum(along, volume, spread)
    assert rule.lost(direction) == list(lost)
    assert rule.is_over(direction) == (change is not None and "return_10s" in lost)


def test_momentum_tells_its_conditions_as_far_as_they_are_known() -> None:
    assert momentum(None, None, None).conditions("long") == []
    assert [(c.name, c.value, c.op, c.threshold) for c in momentum(-0.0, 0, 0.0).conditions("short")] == [
        ("return_10s", 0, "<", -0.004),
        ("trade_volume_10s", 0, ">", 3.0),
        ("spread_bps", 0, "<", 8.0),
    ]
