"""Marks: what they disturb, and from when to when."""

import pytest

from senpai.md_consumer.marks import DISTURBS, INPUTS, Input, Marks

SEEN: dict[Input, int] = dict.fromkeys(INPUTS, 5)


def test_without_a_mark_nothing_is_disturbed() -> None:
    marks = Marks()
    assert not marks
    assert (marks.since(0), marks.against(dict.fromkeys(INPUTS, 100), 50, SEEN)) == ([], [])


@pytest.mark.parametrize(("now", "reasons"), [(50, ["trade_gap"]), (59, ["trade_gap"]), (60, [])])
def test_a_window_is_disturbed_until_all_of_it_is_younger(now: int, reasons: list[str]) -> None:
    marks = Marks()
    marks.set("trade_gap", "trades", 50, 5)
    assert marks
    assert marks.against({"trades": 10}, now, SEEN) == reasons
    assert marks.since(now - 10) == reasons
    assert marks.against({"quotes": 10}, now, SEEN) == []


@pytest.mark.parametrize(("seen", "reasons"), [(4, ["reconnect"]), (5, ["reconnect"]), (6, [])])
def test_the_latest_state_is_disturbed_until_the_next_event(seen: int, reasons: list[str]) -> None:
    marks = Marks()
    marks.set("reconnect", "quotes", 50, 5)
    assert marks.against({"quotes": 0}, 10**9, {**SEEN, "quotes": seen}) == reasons


def test_a_window_of_a_nanosecond_is_no_latest_state() -> None:
    marks = Marks()
    marks.set("reconnect", "quotes", 50, 5)
    assert marks.against({"quotes": 1}, 51, SEEN) == []


def test_reasons_are_sorted_and_told_once() -> None:
    marks = Marks()
    for source in INPUTS:
        for reason in ("source_switch", "clock_jump"):
            marks.set(reason, source, 50, 5)
    expected = ["clock_jump", "source_switch"]
    assert marks.since(49) == marks.against(dict.fromkeys(INPUTS, 10), 50, SEEN) == expected


def test_the_last_mark_counts_and_all_move_with_the_clock_and_are_forgotten() -> None:
    marks = Marks()
    marks.set("trade_gap", "trades", 50, 5)
    marks.set("trade_gap", "trades", 70, 6)
    assert marks.since(60) == ["trade_gap"]
    marks.move(1_000)
    assert (marks.since(999), marks.since(1_000)) == (["trade_gap"], [])
    assert marks.against({"trades": 0}, 1_000, {**SEEN, "trades": 6}) == ["trade_gap"]
    assert marks.against({"trades": 0}, 1_000, {**SEEN, "trades": 7}) == []
    marks.clear()
    assert not marks


def test_what_concerns_the_clock_or_the_source_disturbs_everything() -> None:
    everything = {reason for reason, inputs in DISTURBS.items() if set(inputs) == set(INPUTS)}
    assert everything == {"clock_jump", "clock_restart", "event_time_began", "source_switch"}
