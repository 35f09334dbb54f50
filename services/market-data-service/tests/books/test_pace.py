"""Pace: at most once per interval, and the last word is always heard."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.books.pace import NEVER, Pace

INTERVAL = 100


@given(st.lists(st.tuples(st.integers(0, 60), st.sampled_from("ABC")), min_size=1, max_size=80))
def test_each_key_speaks_at_most_once_per_interval_and_every_touch_is_heard_in_time(
    touches: list[tuple[int, str]],
) -> None:
    pace = Pace(INTERVAL)
    now = 1_000
    spoken: dict[str, list[int]] = {key: [] for key in "ABC"}
    touched: dict[str, list[int]] = {key: [] for key in "ABC"}

    def run_until(end: int) -> None:
        while pace.due <= end:
            at = max(pace.due, now)
            for key in pace.ready(at):
                spoken[key].append(at)

    for pause, key in touches:
        run_until(now + pause)
        now += pause
        pace.touch(key)
        touched[key].append(now)
    run_until(now + INTERVAL)

    assert pace.due == NEVER
    for key in "ABC":
        assert all(later - earlier >= INTERVAL for earlier, later in pairwise(spoken[key]))
        assert all(any(at <= said <= at + INTERVAL for said in spoken[key]) for at in touched[key])


def test_a_key_that_was_quiet_speaks_at_once() -> None:
    pace = Pace(INTERVAL)
    assert pace.touch("A")
    assert pace.due == 0
    assert pace.ready(5_000) == ["A"]
    assert pace.due == NEVER


def test_touching_again_before_its_turn_changes_nothing() -> None:
    pace = Pace(INTERVAL)
    pace.touch("A")
    pace.ready(0)
    pace.touch("A")
    assert pace.ready(10) == []
    assert not pace.touch("A")
    assert pace.due == 100
    assert pace.ready(100) == ["A"]


def test_flush_returns_what_still_waits_and_forgets_it() -> None:
    pace = Pace(INTERVAL)
    pace.touch("A")
    pace.ready(0)
    pace.touch("A")
    pace.ready(10)
    pace.touch("B")
    assert sorted(pace.flush()) == ["A", "B"]
    assert pace.due == NEVER
    assert pace.ready(1_000) == []
