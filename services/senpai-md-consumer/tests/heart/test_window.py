"""Windows: their edges, their order, what they keep and what their followers are told."""

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from senpai.md_consumer.series import Trades
from senpai.md_consumer.window import Clock, Window

SPAN = 10


class Witness:
    """A follower that knows exactly which terms are in: of each event, its price and those of the `reach` before it."""

    def __init__(self, window: Window[Trades], lead: int, reach: int) -> None:
        self.lead = lead
        self.reach = reach
        self._window = window
        self._terms: Counter[Any] = Counter()

    @property
    def terms(self) -> list[Any]:
        assert all(count > 0 for count in self._terms.values())
        return sorted(self._terms.elements())

    def add(self, start: int, stop: int) -> None:
        self._terms += Counter(self._at(start, stop))

    def remove(self, start: int, stop: int) -> None:
        self._terms.subtract(self._at(start, stop))
        self._terms = Counter({term: count for term, count in self._terms.items() if count})

    def reset(self) -> None:
        self._terms.clear()

    def _at(self, start: int, stop: int) -> list[Any]:
        prices = self._window.series.price
        return [tuple(prices[max(i - self.reach, 0) : i + 1]) for i in range(start, stop)]


def push(trades: Trades, ts: int, price: float) -> None:
    trades.clock.now = max(trades.clock.now, ts)
    if trades and ts < trades.ts[-1]:
        trades.insert(ts, price, 1.0, 1, price, 0.0)
    else:
        trades.append(ts, price, 1.0, 1)


def replace_one(trades: Trades, truth: list[tuple[int, float]], from_end: int) -> None:
    """Give an event another price."""
    ts, price = truth[-from_end]
    truth[-from_end] = (ts, price + 0.5)
    trades.replace(len(trades) - from_end, price + 0.5, 1.0, 1, price + 0.5, 0.0)


def inside(window: Window[Trades]) -> list[float]:
    return list(window.series.price[window.advance() :])


def test_a_window_is_open_at_its_far_edge_and_closed_at_the_near_one() -> None:
    trades = Trades(Clock())
    window = trades.window(SPAN)
    for ts in (1, 2, 6, 11):
        push(trades, ts, float(ts))
    assert inside(window) == [2.0, 6.0, 11.0]
    trades.clock.now = 12
    assert inside(window) == [6.0, 11.0]


def test_events_of_one_time_keep_their_order_of_arrival() -> None:
    trades = Trades(Clock())
    for ts, price in ((1, 1.0), (3, 2.0), (3, 3.0), (5, 4.0), (3, 5.0), (1, 6.0)):
        push(trades, ts, price)
    assert list(trades.price) == [1.0, 6.0, 2.0, 3.0, 5.0, 4.0]
    assert list(trades.ts) == [1, 1, 3, 3, 3, 5]


def test_one_event_older_than_the_window_is_kept_when_all_have_left() -> None:
    trades = Trades(Clock())
    window = trades.window(SPAN)
    for ts in range(1, 2_000):
        push(trades, ts, float(ts))
    trades.clock.now = 1_000_000
    trades.trim()
    assert window.count == 0
    assert list(trades.price) == [1_999.0]


def test_memory_follows_the_window_and_not_the_stream() -> None:
    trades = Trades(Clock())
    trades.window(SPAN)
    longest = 0
    for ts in range(50_000):
        push(trades, ts, 1.0)
        trades.trim()
        longest = max(longest, len(trades))
    assert longest < 2 * 256 + SPAN


def test_windows_of_one_length_are_one_and_all_share_the_events() -> None:
    trades = Trades(Clock())
    short, long = trades.window(SPAN), trades.window(6 * SPAN)
    assert trades.window(SPAN) is short
    for ts in range(0, 100, 5):
        push(trades, ts, 1.0)
    assert (short.count, long.count, trades.span_ns) == (2, 12, 60)


def test_a_follower_that_comes_late_is_told_what_is_inside() -> None:
    trades = Trades(Clock())
    window = trades.window(SPAN)
    for ts in range(3, 30, 3):
        push(trades, ts, float(ts))
    witness = Witness(window, 1, 1)
    window.follow(witness)
    assert witness.terms == [(18.0, 21.0), (21.0, 24.0), (24.0, 27.0)]


def test_a_cleared_series_begins_anew() -> None:
    trades = Trades(Clock())
    window = trades.window(SPAN)
    witness = Witness(window, 0, 0)
    window.follow(witness)
    for ts in (1, 2):
        push(trades, ts, float(ts))
    window.sync()
    trades.clear()
    assert (len(trades), window.count, witness.terms, trades.began) == (0, 0, [], None)
    push(trades, 3, 3.0)
    window.sync()
    assert (witness.terms, trades.began) == ([(3.0,)], 3)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_followers_hold_exactly_the_terms_inside_their_window(data: st.DataObject) -> None:
    trades = Trades(Clock())
    witnesses = []
    for span in (SPAN, 3 * SPAN):
        for lead, reach in ((0, 0), (0, 1), (1, 1), (1, 2), (2, 2)):
            window = trades.window(span)
            witness = Witness(window, lead, reach)
            window.follow(witness)
            witnesses.append((window, witness))
    now, price, truth = 1, 0.0, list[tuple[int, float]]()
    for _ in range(300):  # enough for a trim to delete something
        price += 1
        push(trades, now, price)
        truth.append((now, price))
    for _ in range(data.draw(st.integers(1, 60))):
        now += data.draw(st.sampled_from([0, 0, 1, 2, 5, 10, 11, 50]))
        price += 1
        ts = now - data.draw(st.sampled_from([0, 0, 0, 1, 4, 9, 10, 15, 29]))
        push(trades, ts, price)
        truth.append((ts, price))
        truth.sort(key=lambda row: row[0])
        if data.draw(st.booleans()):
            replace_one(trades, truth, data.draw(st.integers(1, min(5, len(trades)))))
        for window, witness in data.draw(st.lists(st.sampled_from(witnesses), max_size=3)):
            window.sync()
            kept = [row for row in truth if row[0] > trades.clock.now - window.span_ns]
            first = len(truth) - len(kept)
            expected = sorted(
                tuple(p for _, p in truth[max(i - witness.reach, 0) : i + 1])
                for i in range(first + witness.lead, len(truth))
            )
            assert witness.terms == expected
        if data.draw(st.booleans()):
            trades.trim()
