"""One wildly wrong price: doubted until the next ones say whether it is true; never altered."""

from typing import Any

import pytest

from senpai.md_consumer.plausible import TABLE, Belief, Plausibility, Sign, is_near


def walk(market: Any, start_s: float = 0, for_s: float = 70, price: float = 100) -> list[Any]:
    """A quote and a trade twice a second."""
    signals = []
    for i in range(round(for_s * 2)):
        signals += market.quote(start_s + i / 2, price * 0.9999, price * 1.0001)
        signals += market.trade(start_s + i / 2, price)
    return signals


@pytest.mark.parametrize("wrong", [1_000, 10, 115, 85])
def test_one_wrong_trade_makes_no_signal_neither_at_once_nor_ten_seconds_later(market: Any, wrong: float) -> None:
    walk(market)
    signals = market.trade(70, wrong)
    assert market.features["return_10s"] == pytest.approx(wrong / 100 - 1, rel=1e-9, abs=0)
    assert "implausible_price" in market.trust.reasons
    signals += walk(market, 70.1, 60)
    assert signals == []
    assert market.pipeline.counters.implausible["trade"] == 2
    signals += walk(market, 130.1, 10)
    assert (signals, market.trust.reasons) == ([], [])


def test_a_true_jump_is_believed_as_soon_as_two_more_trades_confirm_it(market: Any) -> None:
    walk(market)
    market.quote(70, 120, 120.01)
    market.quote(70, 120, 120.01)
    market.quote(70, 120, 120.01)
    assert market.trade(70.1, 120) == []
    assert market.trust.reasons == ["implausible_price"]
    assert list(market.pipeline.withheld) == [("momentum", "long", "implausible_price")]
    assert market.trade(70.2, 120.01) == []
    assert [signal.direction for signal in market.trade(70.3, 120.02)] == ["long"]
    assert market.trust.reasons == []


def test_a_step_of_less_than_a_tenth_is_believed_at_once(market: Any) -> None:
    walk(market)
    assert [signal.direction for signal in market.trade(70, 109)] == ["long"]
    assert market.pipeline.counters.implausible == {}


def test_one_wrong_quote_is_told_until_the_next_one(market: Any) -> None:
    walk(market)
    market.quote(70, 1000, 1000.1)
    assert market.features["mid"] == pytest.approx(1000.05, rel=1e-9, abs=0)
    assert "implausible_price" in market.trust.reasons
    assert market.trade(70.1, 101) == []
    assert list(market.pipeline.withheld) == [("momentum", "long", "implausible_price")]
    assert [signal.direction for signal in market.quote(70.2, 101, 101.01)] == ["long"]


def test_a_quote_with_one_side_is_no_jump(market: Any) -> None:
    walk(market)
    market.quote(70, 0, 100.01)
    market.quote(70.1, 99.99, 100.01)
    assert (market.pipeline.counters.implausible, market.trust.reasons) == ({}, [])


def test_a_wrong_price_at_the_very_beginning_is_told_when_the_next_one_contradicts_it(market: Any) -> None:
    market.quote(0)
    market.trade(0, 1000)
    market.trade(1, 100)
    assert "implausible_price" in market.trust.reasons
    signals = [signal for second in range(2, 20) for signal in market.trade(second, 100)]
    assert signals == []
    assert ("momentum", "short", "implausible_price") in market.pipeline.withheld


def test_a_wrong_price_that_comes_out_of_order_is_told_and_a_right_one_is_not(market: Any) -> None:
    walk(market)
    market.trade(65.25, 100.1)
    assert market.trust.reasons == []
    market.trade(65.3, 1000)
    assert market.trust.reasons == ["implausible_price"]


def test_a_new_history_has_no_level_to_jump_from(market: Any) -> None:
    walk(market)
    market.pipeline.on_bus_gap("trade", "BTCUSDT", 3, market.mono_ns)
    for second in range(70, 76):
        market.trade(second, 150)
    assert market.pipeline.counters.implausible == {}


def test_after_every_belief_every_sign_is_decided_but_a_confirmation_of_what_is_believed() -> None:
    decided = {(belief, sign) for belief in Belief for sign in (Sign.AWAY, Sign.CONFIRMED)}
    assert set(TABLE) == (decided - {(Belief.BELIEVED, Sign.CONFIRMED)}) | {(Belief.DOUBTED, Sign.BACK)}


def doubted(*prices: float) -> tuple[list[bool], list[bool]]:
    """After each price: whether it waits to be confirmed, and whether a wrong price is now in the past."""
    plausible, before, waiting, wrong = Plausibility(), None, [], []
    for seen, price in enumerate(prices):
        jumps = before is not None and not is_near(price, before)
        wrong.append(jumps and plausible.jump(before or 0.0, price, seen))
        waiting.append(plausible.is_doubtful(seen + 1))
        before = price
    return waiting, wrong


@pytest.mark.parametrize(
    ("prices", "waiting", "wrong"),
    [
        ((100, 100, 100, 150, 150, 150, 150), "...??..", "......."),
        ((100, 100, 100, 150, 100, 100), "...?..", "....!."),
        ((100, 100, 100, 150, 200, 200, 200), "...???.", "....!.."),
        ((100, 100, 100, 150, 150, 100), "...??.", ".....!"),
        ((100, 100, 100, 150, 150, 150, 100, 100), "...??.??", "........"),
        ((100, 150, 150, 150, 150), ".....", ".!..."),
        ((100, 100, 150, 150), "..??", "...."),
        ((100, 150, 150, 100, 100), ".....", ".!.!."),
        ((100, 150, 150, 150, 100), "....?", ".!..."),
    ],
)
def test_which_prices_wait_and_which_were_wrong(prices: tuple[float, ...], waiting: str, wrong: str) -> None:
    assert doubted(*prices) == ([mark == "?" for mark in waiting], [mark == "!" for mark in wrong])


def test_after_a_restart_no_level_is_known() -> None:
    plausible = Plausibility()
    assert not plausible.jump(100, 150, 2)
    assert plausible.is_doubtful(3)
    plausible.restart(3)
    assert not plausible.is_doubtful(3)
    assert plausible.jump(150, 100, 4)
    plausible.restart(10)
    assert not plausible.jump(100, 50, 12)


@pytest.mark.parametrize(("price", "near"), [(109.9, True), (110.1, False), (90.1, True), (89.9, False), (100, True)])
def test_a_jump_is_a_step_of_a_tenth(price: float, near: bool) -> None:
    assert is_near(price, 100) == near
    assert is_near(2.0**-13 * 10, 10) is False


def test_only_a_jump_can_make_history_wrong() -> None:
    assert {sign for (_, sign), (_, is_wrong) in TABLE.items() if is_wrong} == {Sign.AWAY, Sign.BACK}
    assert not any(is_wrong for (_, sign), (_, is_wrong) in TABLE.items() if sign is Sign.CONFIRMED)
