"""Rows of seconds: whatever comes when, they are the seconds that the events fall into."""

from itertools import pairwise
from math import log
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from md_contract.units import NS_PER_MS, NS_PER_S
from senpai.md_consumer.seconds import QuoteSeconds, Remembered, TradeSeconds
from senpai.md_consumer.series import Quotes, Trades
from senpai.md_consumer.window import Clock

SPAN_NS = 10 * NS_PER_S


def push(trades: Trades, ts: int, price: float, size: float, side: int) -> None:
    trades.clock.now = max(trades.clock.now, ts)
    if trades and ts < trades.ts[-1]:
        trades.insert(ts, price, size, side, price * size, 0.0)
    else:
        trades.append(ts, price, size, side)


def rows_of(seconds: TradeSeconds) -> list[tuple[int, float, float, float]]:
    """Of those in the window: the end of the second, in s, last price, Σ price * size, Σ size * side."""
    seconds.catch_up()
    first = seconds.window(SPAN_NS).advance()
    ends = [(ts - 1) // NS_PER_S + 1 for ts in seconds.ts[first:]]
    return list(zip(ends, seconds.close[first:], seconds.notional[first:], seconds.flow[first:], strict=True))


def regrouped(now: int, events: list[tuple[int, int, int, int]]) -> list[tuple[int, float, float, float]]:
    """The same from a list of ts, price, size and side."""
    found = []
    for end in range((now - SPAN_NS) // NS_PER_S, now // NS_PER_S + 1):
        inside = [row for row in events if (end - 1) * NS_PER_S < row[0] <= end * NS_PER_S]
        if inside and now > end * NS_PER_S and (end - 1) * NS_PER_S >= now - SPAN_NS:
            money, flow = sum(p * s for _, p, s, _ in inside), sum(s * d for _, _, s, d in inside)
            found.append((end, float(inside[-1][1]), float(money), float(flow)))
    return found


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 0, 1, 10, 300, 999, 1_000, 1_001, 4_000, 9_000, 30_000]),
            st.sampled_from([0, 0, 0, 1, 500, 999, 1_000, 1_001, 5_000, 9_999]),
            st.integers(1, 50),
            st.integers(1, 9),
            st.sampled_from([-1, 0, 1]),
            st.sampled_from(["trade", "trade", "trade", "look", "time", "trim"]),
        ),
        max_size=60,
    )
)
def test_rows_are_the_seconds_of_the_trades(steps: list[tuple[Any, ...]]) -> None:
    trades = Trades(Clock())
    trades.window(SPAN_NS)
    seconds = TradeSeconds(trades)
    seconds.window(SPAN_NS)
    now, truth = 1_000 * NS_PER_S, list[tuple[int, int, int, int]]()
    for _ in range(300):  # enough for a trim to delete something
        push(trades, now, 1.0, 1.0, 1)
        truth.append((now, 1, 1, 1))
    for after_ms, back_ms, price, size, side, what in steps:
        now += after_ms * NS_PER_MS
        if what == "trade":
            ts = now - back_ms * NS_PER_MS
            push(trades, ts, price, size, side)
            truth.append((ts, price, size, side))
            truth.sort(key=lambda row: row[0])
        elif what == "time":
            trades.clock.now = max(trades.clock.now, now)
        elif what == "trim":
            trades.trim()
        else:
            found = rows_of(seconds)
            assert found == regrouped(trades.clock.now, truth)
    assert rows_of(seconds) == regrouped(trades.clock.now, truth)
    closes = list(seconds.close)
    expected = [log(after / before) for before, after in pairwise(closes)]
    assert list(seconds.log_return)[1:] == pytest.approx(expected, rel=1e-9, abs=0)


def test_rows_older_than_the_window_are_forgotten() -> None:
    trades = Trades(Clock())
    trades.window(SPAN_NS)
    seconds = TradeSeconds(trades)
    seconds.window(SPAN_NS)
    for second in range(5_000):
        push(trades, second * NS_PER_S, 1.0, 1.0, 1)
        trades.trim()
        seconds.catch_up()
        assert len(seconds) < 2 * 256 + 10
        assert len(trades) < 2 * 256 + 10


def test_rows_begin_anew_with_the_series_and_with_the_clock() -> None:
    trades = Trades(Clock())
    seconds = TradeSeconds(trades)
    seconds.window(SPAN_NS)
    push(trades, 100 * NS_PER_S, 1.0, 1.0, 1)
    push(trades, 102 * NS_PER_S, 2.0, 1.0, 1)
    assert [end for end, *_ in rows_of(seconds)] == [100]
    trades.clear()
    assert rows_of(seconds) == []
    trades.clock.now = -1
    push(trades, 5 * NS_PER_S, 3.0, 2.0, -1)
    push(trades, 6 * NS_PER_S, 4.0, 1.0, 1)
    assert rows_of(seconds) == [(5, 3.0, 6.0, -2.0)]


def test_the_first_row_has_no_return_though_it_is_made_again() -> None:
    trades = Trades(Clock())
    seconds = TradeSeconds(trades)
    seconds.window(SPAN_NS)
    for second, price in ((1, 1.0), (2, 2.0), (4, 4.0)):
        push(trades, second * NS_PER_S, price, 1.0, 1)
    seconds.catch_up()
    push(trades, NS_PER_S, 0.5, 1.0, 1)
    seconds.catch_up()
    assert list(seconds.log_return) == [0, pytest.approx(log(4), rel=1e-9, abs=0)]


def test_the_version_tells_whether_a_row_has_changed() -> None:
    trades = Trades(Clock())
    seconds = TradeSeconds(trades)
    seconds.window(SPAN_NS)
    push(trades, 1 * NS_PER_S, 1.0, 1.0, 1)
    seconds.catch_up()
    versions = [seconds.version]
    trades.clock.now = 1 * NS_PER_S + 1
    for _ in range(2):
        seconds.catch_up()
        versions.append(seconds.version)
    push(trades, 3 * NS_PER_S, 1.0, 1.0, 1)
    seconds.catch_up()
    versions.append(seconds.version)
    push(trades, 1 * NS_PER_S, 2.0, 1.0, 1)
    seconds.catch_up()
    versions.append(seconds.version)
    assert versions == [versions[0], *[versions[0] + 1] * 3, versions[0] + 2]


def test_a_second_of_quotes_has_the_spread_of_the_last_with_both_sides() -> None:
    quotes = Quotes(Clock())
    seconds = QuoteSeconds(quotes)
    seconds.window(SPAN_NS)
    for at_ms, bid, ask in ((100, 10, 11), (900, 10, 12), (950, 0, 12), (1_500, 10, 0), (2_500, 10, 15), (4_000, 1, 9)):
        quotes.clock.now = at_ms * NS_PER_MS
        quotes.append(at_ms * NS_PER_MS, float(bid), 1.0, float(ask), 1.0)
    seconds.catch_up()
    assert list(seconds.spread) == [2.0, 5.0]
    assert quotes.put_back(1_400 * NS_PER_MS, 10.0, 1.0, 17.0, 1.0)
    assert quotes.put_back(930 * NS_PER_MS, 10.0, 1.0, 10.5, 1.0)
    seconds.catch_up()
    assert list(seconds.spread) == [0.5, 7.0, 5.0]


def every_second(span_s: int, *seconds: int) -> TradeSeconds:
    """Rows of a trade in the middle of each of these seconds, read after each."""
    trades = Trades(Clock())
    rows = TradeSeconds(trades)
    trades.window(span_s * NS_PER_S)
    rows.window(span_s * NS_PER_S)
    for second in seconds:
        push(trades, second * NS_PER_S - NS_PER_S // 2, float(second), 1.0, 1)
        trades.clock.now = second * NS_PER_S + 1
        rows.catch_up()
    return rows


def counted(rows: TradeSeconds, span_s: int) -> Remembered[TradeSeconds, Any]:
    return Remembered(rows.window(span_s * NS_PER_S), lambda rows, first: (len(rows) - first, rows.close[-1]))


def test_what_is_remembered_is_forgotten_when_a_row_comes_while_another_is_deleted() -> None:
    rows = every_second(511, *range(1, 512))
    value = counted(rows, 511)
    assert value.value() == (510, 511)
    push(rows.source, 512 * NS_PER_S, 7.0, 1.0, 1)
    rows.clock.now = 512 * NS_PER_S + 1
    assert value.value() == (510, 7)
    assert len(rows) == 511


def test_what_is_remembered_is_forgotten_when_one_row_leaves_and_another_is_deleted() -> None:
    rows = every_second(512, *range(1, 300), *range(301, 513))
    push(rows.source, 300 * NS_PER_S - 5, 1.0, 1.0, 1)
    value = counted(rows, 512)
    assert value.value() == (511, 512)
    assert len(rows) == 512
    rows.clock.now += NS_PER_S
    assert value.value() == (510, 512)
    assert len(rows) == 511


def test_only_the_row_of_a_late_trade_is_made_again() -> None:
    rows = every_second(10, 1, 2, 3)
    before = rows.version
    push(rows.source, NS_PER_S // 4, 5.0, 1.0, 1)
    rows.catch_up()
    assert (rows.version - before, rows_of(rows)[0]) == (1, (1, 1.0, 6.0, 2.0))


@pytest.mark.parametrize("looks", [0, 1, 3])  # after so many of the trades
@pytest.mark.parametrize("edge", [2 * NS_PER_S - 1, 2 * NS_PER_S, 2 * NS_PER_S + 1])
def test_a_second_ends_with_its_last_nanosecond_whenever_its_trades_come(edge: int, looks: int) -> None:
    trades, truth = Trades(Clock()), [(3 * NS_PER_S // 2, 1, 2, 1), (edge, 3, 4, 1), (9 * NS_PER_S // 2, 5, 6, -1)]
    rows = TradeSeconds(trades)
    rows.window(SPAN_NS)
    for i, (ts, price, size, side) in enumerate(truth):
        push(trades, ts, price, size, side)
        trades.clock.now = max(trades.clock.now, 2 * NS_PER_S + 1)
        if i < looks:
            rows.catch_up()
    trades.clock.now = 6 * NS_PER_S
    assert rows_of(rows) == regrouped(trades.clock.now, truth)
    late = (NS_PER_S + 1, 7, 8, 1)
    push(trades, *late)
    assert rows_of(rows) == regrouped(trades.clock.now, [late, *truth])


def test_time_changes_what_is_read_while_there_are_rows_in_any_window() -> None:
    rows = every_second(10, 1, 2, 3)
    rows.window(2 * NS_PER_S)
    seen = []
    for second in (6, 7, 100, 101):
        rows.clock.now = second * NS_PER_S + 1
        seen.append(rows.edges())
    assert seen[0] != seen[1]
    assert seen[2] == seen[3]
