"""Columns of trades, delays and quotes, as what is put into them says."""

from decimal import Context, Decimal
from itertools import pairwise
from math import log
from typing import Any

import pytest

from md_contract.units import NS_PER_S
from senpai.md_consumer.series import Quotes, Trades, log_return
from senpai.md_consumer.window import Clock


def trades_of(*prices: float) -> tuple[Trades, list[Any]]:
    """Trades at the times 10, 20, 30..., and a list of the doubts that they raise from then on."""
    trades, doubts = Trades(Clock()), list[Any]()
    trades.window(1_000)
    for i, price in enumerate(prices, 1):
        trades.clock.now = i * 10
        trades.append(i * 10, price, 2.0, 1)
    trades.on_jump = lambda *prices: doubts.append(prices)
    trades.on_misfit = lambda: doubts.append("misfit")
    return trades, doubts


def put_in(trades: Trades, ts: int, price: float) -> None:
    trades.insert(ts, price, 2.0, 1, price * 2, 0.0)


def test_a_trade_knows_its_money_and_its_return_from_the_one_before() -> None:
    trades, _ = trades_of(100, 101, 50)
    assert list(trades.notional) == [200, 202, 100]
    assert list(trades.log_return) == [
        0,
        pytest.approx(log(1.01), rel=1e-9, abs=0),
        pytest.approx(log(50 / 101), rel=1e-9, abs=0),
    ]


@pytest.mark.parametrize(
    ("price", "doubts"), [(10.99, []), (11, [(10, 11)]), (9.01, []), (9, [(10, 9)]), (5, [(10, 5)])]
)
def test_a_step_of_a_tenth_is_told(price: float, doubts: list[Any]) -> None:
    trades, found = trades_of(10)
    trades.append(20, price, 1.0, 1)
    assert found == doubts


@pytest.mark.parametrize(
    ("prices", "ts", "price", "doubts"),
    [
        ((), 15, 100, []),
        ((100,), 5, 1_000, ["misfit"]),
        ((100,), 5, 101, []),
        ((100, 100), 15, 1_000, ["misfit"]),
        ((100, 1_000), 15, 1_000, []),
        ((100, 1_000), 15, 100, []),
        ((100, 1_000), 5, 1_000, ["misfit"]),
    ],
)
def test_a_price_put_in_far_from_all_its_neighbours_is_told(
    prices: tuple[float, ...], ts: int, price: float, doubts: list[Any]
) -> None:
    trades, found = trades_of(*prices)
    put_in(trades, ts, price)
    assert found == doubts
    chain = list(trades.price)
    assert list(trades.log_return)[:1] == [0]
    assert list(trades.log_return)[1:] == pytest.approx(
        [log(after / before) for before, after in pairwise(chain)], rel=1e-9, abs=0
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [(3, 3 + 1e-15), (61_837.63, 61_837.64), (3, 3 - 1e-9), (1, 0.5), (1, 0.4), (1e-6, 1e6), (1e6, 1e-6)],
)
def test_a_log_return_has_all_its_digits(before: float, after: float) -> None:
    context = Context(prec=60)
    exact = context.ln(context.divide(Decimal(after), Decimal(before)))
    assert log_return(before, after) == pytest.approx(float(exact), rel=1e-15, abs=0)


def test_quotes_that_come_later_than_ten_seconds_are_too_late() -> None:
    quotes = Quotes(Clock())
    assert not quotes.put_back(5, 1.0, 1.0, 2.0, 1.0)
    quotes.clock.now = 20 * NS_PER_S
    quotes.append(20 * NS_PER_S, 1.0, 1.0, 2.0, 1.0)
    assert not quotes.put_back(10 * NS_PER_S, 1.0, 3.0, 2.0, 1.0)
    assert quotes.put_back(10 * NS_PER_S + 1, 1.0, 5.0, 2.0, 1.0)
    assert list(quotes.flow) == [0, -4]
    quotes.append(20 * NS_PER_S, 1.0, 4.0, 2.0, 1.0)
    assert list(quotes.flow) == [0, -4, 3]


def test_quotes_whose_time_is_a_guess_are_moved_up_to_the_last_one() -> None:
    quotes = Quotes(Clock())
    for ts in (10, 20, 15, 20, 30):
        quotes.append(ts, 1.0, 1.0, 2.0, 1.0)
    assert list(quotes.ts) == [10, 20, 20, 20, 30]


def test_a_quote_put_in_behind_all_others_has_its_flow() -> None:
    """It is late for the clock alone, which trades move as well."""
    quotes = Quotes(Clock())
    quotes.append(10, 1.0, 3.0, 2.0, 1.0)
    quotes.clock.now = 30
    assert quotes.put_back(20, 1.0, 7.0, 2.0, 1.0)
    assert list(quotes.flow) == [0, 4]
    assert quotes.put_back(25, 1.0, 9.0, 2.0, 1.0)
    quotes.append(30, 1.0, 8.0, 2.0, 1.0)
    assert list(quotes.flow) == [0, 4, 2, -1]


def test_a_quote_put_in_before_all_others_has_no_flow() -> None:
    quotes = Quotes(Clock())
    for ts, size in ((20, 3.0), (30, 7.0)):
        quotes.append(ts, 1.0, size, 2.0, 1.0)
    assert quotes.put_back(10, 1.0, 2.0, 2.0, 1.0)
    assert list(quotes.flow) == [0, 1, 4]


def test_after_a_restart_quotes_from_before_its_first_one_stay_out() -> None:
    quotes = Quotes(Clock())
    quotes.append(10, 1.0, 1.0, 2.0, 1.0)
    quotes.clear()
    assert not quotes.put_back(15, 1.0, 1.0, 2.0, 1.0)
    for ts in (20, 30):
        quotes.append(ts, 1.0, 1.0, 2.0, 1.0)
    assert [quotes.put_back(ts, 1.0, 1.0, 2.0, 1.0) for ts in (19, 20, 25)] == [False, True, True]
    assert list(quotes.ts) == [20, 20, 25, 30]
