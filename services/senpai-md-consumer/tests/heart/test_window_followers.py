"""What followers are told, to the letter: nothing for nothing, a reset when all leaves, and memory in proportion."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from senpai.md_consumer.series import Trades
from senpai.md_consumer.window import Clock

SPAN = 10


class Ear:
    """A follower that writes down what it is told, and refuses to be told nothing."""

    def __init__(self, lead: int = 0, reach: int | None = None) -> None:
        self.lead = lead
        self.reach = lead if reach is None else reach
        self.told: list[Any] = []

    def add(self, start: int, stop: int) -> None:
        assert start < stop
        self.told.append(("add", start, stop))

    def remove(self, start: int, stop: int) -> None:
        assert start < stop
        self.told.append(("remove", start, stop))

    def reset(self) -> None:
        self.told.append("reset")


def push(trades: Trades, ts: int) -> None:
    trades.clock.now = max(trades.clock.now, ts)
    if trades and ts < trades.ts[-1]:
        trades.insert(ts, 1.0, 1.0, 0, 1.0, 0.0)
    else:
        trades.append(ts, 1.0, 1.0, 0)


def test_a_window_that_has_seen_nothing_holds_nothing() -> None:
    trades = Trades(Clock())
    window, ear = trades.window(SPAN), Ear()
    assert (window.sync(), window.count, window.advance()) == (0, 0, 0)
    window.follow(ear)
    assert window.sync() == 0
    assert ear.told == ["reset"]


@pytest.mark.parametrize("lead", [0, 1, 2])
def test_a_follower_is_told_of_each_event_once_and_of_nothing_else(lead: int) -> None:
    trades = Trades(Clock())
    window, ear = trades.window(SPAN), Ear(lead)
    window.follow(ear)
    for ts in (1, 2, 3, 4):
        push(trades, ts)
    assert window.sync() == 4
    assert window.sync() == 4, "nothing has happened"
    push(trades, 12)  # 1 and 2 leave
    assert window.sync() == 3
    assert window.sync() == 3, "nothing has happened"
    push(trades, 13)  # 3 leaves
    assert window.sync() == 3
    expected: list[Any] = ["reset", "reset", ("add", lead, 4), ("remove", lead, 2 + lead), ("add", 4, 5)]
    expected += [("remove", 2 + lead, 3 + lead), ("add", 5, 6)]
    if lead == 2:  # what leaves takes all terms with it
        expected[3] = expected[5] = "reset"
    assert ear.told == expected


def test_when_all_events_have_left_a_follower_is_reset_so_that_no_rounding_error_stays() -> None:
    trades = Trades(Clock())
    window, ear = trades.window(SPAN), Ear()
    window.follow(ear)
    push(trades, 1)
    push(trades, 2)
    window.sync()
    trades.clock.now = 12
    assert window.sync() == 0
    assert ear.told[-1] == "reset"
    push(trades, 30)
    assert window.sync() == 1
    assert ear.told[-2:] == ["reset", ("add", 2, 3)]


@pytest.mark.parametrize(("lead", "told"), [(0, ["reset", ("add", 1, 2)]), (1, ["reset"]), (3, ["reset"])])
def test_a_follower_of_one_event_is_told_of_its_term_if_it_has_one(lead: int, told: list[Any]) -> None:
    trades = Trades(Clock())
    window, ear = trades.window(SPAN), Ear(lead)
    push(trades, 1)
    push(trades, 20)
    window.follow(ear)
    assert ear.told == told
    window.resum(ear)
    assert ear.told == told * 2


@given(st.data())
def test_a_follower_is_never_told_nothing(data: st.DataObject) -> None:
    trades = Trades(Clock())
    for span in (SPAN, 3 * SPAN):
        for lead, reach in ((0, 0), (0, 1), (1, 1), (1, 2), (2, 2)):
            trades.window(span).follow(Ear(lead, reach))
    now = 1
    for _ in range(data.draw(st.integers(1, 30))):
        now += data.draw(st.sampled_from([0, 1, 5, 10, 11, 40]))
        push(trades, now - data.draw(st.sampled_from([0, 0, 1, 9, 10, 15])))
        if data.draw(st.booleans()):
            for window in trades.windows.values():
                window.sync()
        if data.draw(st.booleans()):
            trades.replace(data.draw(st.integers(0, len(trades) - 1)), 2.0, 1.0, 0, 2.0, 0.0)


def test_a_long_window_costs_little_more_memory_than_its_events() -> None:
    trades = Trades(Clock())
    trades.window(20_000)
    longest = 0
    for ts in range(1, 60_000):
        push(trades, ts)
        trades.trim()
        longest = max(longest, len(trades))
    assert longest < 20_000 * 1.1 + 512


def test_a_short_window_is_not_trimmed_at_every_event() -> None:
    trades = Trades(Clock())
    trades.window(SPAN)
    trims = 0
    for ts in range(1, 5_000):
        before = len(trades)
        push(trades, ts)
        trades.trim()
        trims += len(trades) <= before
    assert trims <= 5_000 / 250


def test_the_only_event_leaves_like_any_other() -> None:
    trades = Trades(Clock())
    window = trades.window(SPAN)
    push(trades, 1)
    trades.clock.now = 11
    assert (window.count, window.advance()) == (0, 1)


def test_what_leaves_after_a_trim_is_told_as_if_there_had_been_none() -> None:
    trades = Trades(Clock())
    window, ear = trades.window(SPAN), Ear()
    window.follow(ear)
    for ts in range(1, 301):
        push(trades, ts)
    trades.trim()
    assert list(trades.ts) == list(range(290, 301)), "the window, and one event before it"
    push(trades, 303)
    assert window.sync() == 8
    assert ear.told[-2:] == [("remove", 1, 4), ("add", 11, 12)]


def test_an_event_needs_a_value_for_each_column() -> None:
    trades = Trades(Clock())
    push(trades, 1)
    with pytest.raises(ValueError, match="shorter"):
        trades.insert(1, 2.0)
    with pytest.raises(ValueError, match="shorter"):
        trades.replace(0, 2.0)


def test_a_series_knows_that_it_had_an_earlier_life() -> None:
    trades = Trades(Clock())
    assert not trades.restarted
    trades.clear()
    assert trades.restarted


def test_what_is_cleared_is_kept_as_long_as_before() -> None:
    trades = Trades(Clock())
    trades.window(SPAN)
    for ts in range(1, 200):
        push(trades, ts)
    trades.clear()
    for ts in range(200, 450):
        push(trades, ts)
        trades.trim()
    assert len(trades) == 250, "not trimmed before there is enough to delete"
