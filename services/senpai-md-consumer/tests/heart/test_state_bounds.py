"""Where a symbol's state draws its lines: the last time, number or event that counts, and the first that does not."""

from collections.abc import Callable
from typing import Any

import pytest

from md_contract.events import BookL2, Quote, Trade
from md_contract.units import NS_PER_MS, NS_PER_S
from senpai.md_consumer.counters import Counters
from senpai.md_consumer.state import SymbolState

SPAN_S = 60


@pytest.fixture
def state() -> SymbolState:
    return SymbolState("BTCUSDT", SPAN_S * NS_PER_S, Counters())


def trade(at_s: float, price: str = "100", **fields: Any) -> Trade:
    at = round(at_s * NS_PER_S)
    return Trade(
        "binance", "BTCUSDT", price=price, size="1", trade_id="1", **({"ts_recv": at, "ts_event": at} | fields)
    )


def quote(at_s: float, bid: str = "99", ask: str = "101") -> Quote:
    at = round(at_s * NS_PER_S)
    return Quote("binance", "BTCUSDT", at, bid, "1", ask, "1", at)


def book(at_s: float, *levels: tuple[str, str]) -> BookL2:
    at = round(at_s * NS_PER_S)
    return BookL2("binance", "BTCUSDT", at, list(levels), [], at)


# What was applied


def test_the_caller_learns_whether_an_event_was_applied(state: SymbolState) -> None:
    steps: list[tuple[Callable[[Any, int], bool], Any, bool]] = [
        (state.on_trade, trade(100), True),
        (state.on_trade, trade(99), True),  # out of order, but in the windows
        (state.on_trade, trade(40), False),
        (state.on_trade, trade(101, "x"), False),
        (state.on_trade, trade(101, "-1"), False),
        (state.on_trade, trade(101, ts_recv=-1), False),
        (state.on_quote, quote(101), True),
        (state.on_quote, quote(100), False),
        (state.on_quote, quote(102, "x"), False),
        (state.on_quote, quote(-1), False),
        (state.on_book, book(101, ("1", "1")), True),
        (state.on_book, book(100, ("1", "1")), False),
        (state.on_book, book(102, ("x", "1")), False),
        (state.on_book, book(-1, ("1", "1")), False),
    ]
    for apply, event, applied in steps:
        assert apply(event, 0) is applied, event
    assert state.seen == {"trades": 2, "quotes": 1, "books": 1, "delays": 6}  # an old quote or book tells a delay


def test_a_trade_behind_a_clock_that_quotes_moved_on_is_the_latest_and_not_out_of_order(market: Any) -> None:
    market.quote(9)
    for number, at in enumerate((3, 3, 4)):
        market.trade(at, 100 + number)
        assert market.pipeline.latest("BTCUSDT").trade.price == str(100 + number)
    assert market.pipeline.counters.inserted_trades == 0
    assert market.features["trade_count_10s"] == 3


def test_a_trade_as_old_as_the_longest_window_is_late_and_no_sign_of_life(market: Any) -> None:
    market.quote(60)
    market.mono_ns += 2 * NS_PER_S
    market.trade(0)
    assert (market.pipeline.counters.late_trades, market.trust.age_ms) == (1, 2_000)
    market.trade(0.001)
    assert (market.pipeline.counters.late_trades, market.trust.age_ms) == (1, 0)


def test_a_trade_out_of_order_whose_side_nobody_knows_was_neither_bought_nor_sold(market: Any) -> None:
    market.trade(5, side="buy")
    market.trade(6, side="sell")
    market.trade(4, side=None)
    assert market.features["trade_imbalance_10s"] == 0
    market.trade(3, side="sell")
    assert market.features["trade_imbalance_10s"] == pytest.approx(-1 / 3, rel=1e-9, abs=0)


def test_the_first_two_prices_make_a_level_that_a_third_can_jump_from(market: Any) -> None:
    for second, price in enumerate((100, 100, 150)):
        market.trade(second, price)
    assert "implausible_price" in market.trust.reasons
    for second in (3, 4):
        market.trade(second, 150)
    assert "implausible_price" not in market.trust.reasons


def test_what_is_kept_of_a_symbol_is_bounded_by_its_windows_however_long_it_lives(state: SymbolState) -> None:
    for second in range(10_000):
        state.on_trade(trade(second), second * NS_PER_S)
    assert len(state.trades.ts) < 2_000
    assert len(state.trades) >= SPAN_S


# Numbers


@pytest.mark.parametrize(
    ("levels", "usable"),
    [
        ([("0.001", "0.001"), ("0.0005", "1")], True),
        ([("100", "0")], True),
        ([("0", "1")], False),
        ([("100", "-0.001")], False),
        ([("100", "1"), ("-0.5", "1")], False),
        ([("999999999999998", "1")], True),
        ([("999999999999999", "1")], False),  # with its size, 1e15
        ([], True),
    ],
)
def test_a_level_of_a_book_has_a_price_above_nothing_and_a_size_that_may_be_nothing(
    state: SymbolState, levels: list[tuple[str, str]], usable: bool
) -> None:
    assert state.on_book(book(0, *levels), 0) is usable


# Times


@pytest.mark.parametrize(
    ("times", "usable"),
    [
        ({"ts_event": None, "ts_recv": -1}, False),
        ({"ts_event": None, "ts_recv": 0}, True),
        ({"ts_event": None, "ts_recv": (1 << 62) - 1}, True),
        ({"ts_event": None, "ts_recv": 1 << 62}, False),
        ({"ts_event": -1, "ts_recv": 5}, False),
        ({"ts_event": 0, "ts_recv": 5}, True),
        ({"ts_event": 86_400 * NS_PER_S + 5, "ts_recv": 5}, True),
        ({"ts_event": 86_400 * NS_PER_S + 6, "ts_recv": 5}, False),
    ],
)
def test_the_first_and_the_last_time_that_count(state: SymbolState, times: dict[str, Any], usable: bool) -> None:
    assert state.on_trade(trade(0, **times), 0) is usable
    assert state.counters.rejected == ({} if usable else {("trade", "bad_time"): 1})


@pytest.mark.parametrize(("beyond_ns", "jumps"), [(0, False), (1, True)])
def test_a_clock_that_jumps_by_more_than_the_longest_window_is_told(market: Any, beyond_ns: int, jumps: bool) -> None:
    for second in range(70):
        market.trade(second)
    at = market.ns(70 + SPAN_S) + beyond_ns
    market.trade(0, ts_event=at, ts_recv=market.ns(70) + 10 * NS_PER_MS)
    assert ("clock_jump" in market.trust.reasons) == jumps


def test_one_late_trade_says_nothing_of_the_delay_of_what_comes_next(market: Any) -> None:
    market.trade(0)
    market.trade(1)
    market.trade(0.5, ts_recv=market.ns(20))
    market.quote(0, ts_event=None, ts_recv=market.ns(21))
    assert market.clock_s == pytest.approx(20.99, rel=1e-9, abs=0)


def test_the_clock_restarts_when_late_events_alone_have_come_for_longer_than_the_longest_window(market: Any) -> None:
    market.trade(1_000)
    restarts = []
    for elapsed_ns in (1, SPAN_S * NS_PER_S, 1):
        market.mono_ns += elapsed_ns
        market.trade(5)
        restarts.append(market.pipeline.counters.clock_restarts)
    assert restarts == [0, 0, 1]
    assert (market.clock_s, market.trust.age_ms) == (5, 0)


def test_late_events_of_the_same_instant_as_a_timely_one_do_not_count_yet(market: Any) -> None:
    market.trade(1_000)
    market.trade(5)
    for elapsed_s in (30, 31):
        market.mono_ns += elapsed_s * NS_PER_S
        market.trade(5)
    assert market.pipeline.counters.clock_restarts == 0


# Holes


def test_without_a_trade_since_trades_were_lost_there_is_no_history(state: SymbolState) -> None:
    state.on_trade(trade(0), 0)
    state.on_trade(trade(5), 0)
    assert state.history_ns == 5 * NS_PER_S
    state.lose_trades("trade_gap")
    assert state.history_ns == 0
    state.on_quote(quote(7), 0)
    assert state.history_ns == 0


@pytest.mark.parametrize(("holes", "are_told_apart"), [(16, True), (17, False)])
def test_sixteen_holes_can_be_filled_at_one_time_and_of_more_it_is_not_known_which_are(
    market: Any, holes: int, are_told_apart: bool
) -> None:
    market.trade(0)
    for number in range(holes):
        market.status("backfill", **{"from": number, "missing": 3})
    for number in range(holes):
        assert "backfill" in market.trust.reasons
        market.status("backfill", **{"from": number, "missing": 0})
    assert ("backfill" not in market.trust.reasons) == are_told_apart
