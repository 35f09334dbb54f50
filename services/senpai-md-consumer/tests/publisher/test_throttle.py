"""The rate limit by itself: virtual time, many keys."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from senpai.md_consumer.publisher import Throttle

MS = 1_000_000


def test_a_first_touch_is_due_at_once() -> None:
    throttle = Throttle(10)
    throttle.touch("A", 5 * MS)
    assert throttle.next_due == 5 * MS
    assert throttle.take(5 * MS) == "A"
    assert throttle.take(5 * MS) is None


def test_a_touch_within_the_interval_waits_for_its_end() -> None:
    throttle = Throttle(10)
    throttle.touch("A", 0)
    throttle.take(0)
    throttle.touch("A", 30 * MS)
    throttle.touch("A", 60 * MS)
    assert len(throttle) == 1
    assert throttle.next_due == 100 * MS
    assert throttle.take(100 * MS - 1) is None
    assert throttle.take(100 * MS) == "A"


def test_a_touch_after_the_interval_is_due_at_once() -> None:
    throttle = Throttle(10)
    throttle.touch("A", 0)
    throttle.take(0)
    throttle.touch("A", 250 * MS)
    assert throttle.take(250 * MS) == "A"


def test_keys_come_in_the_order_they_are_due_so_that_a_busy_one_holds_up_no_other() -> None:
    throttle = Throttle(10)
    for key in "ABC":
        throttle.touch(key, 0)
    assert throttle.take(0) == "A"
    throttle.touch("A", 1)
    throttle.touch("D", 2)
    assert [throttle.take(100 * MS) for _ in range(5)] == ["B", "C", "D", "A", None]


def test_at_the_end_everything_can_be_taken() -> None:
    throttle = Throttle(1)
    for key in "AB":
        throttle.touch(key, 0)
        throttle.take(0)
        throttle.touch(key, 1)
    assert [throttle.take_any(2) for _ in range(3)] == ["A", "B", None]


def test_nothing_is_kept_of_a_key_that_is_forgotten() -> None:
    throttle = Throttle(1)
    throttle.touch("A", 0)
    throttle.take(0)
    throttle.forget("A")
    throttle.touch("A", 1)
    assert throttle.take(1) == "A"


@pytest.mark.parametrize("rate_hz", [0.1, 1, 3, 10, 1000])
def test_interval_is_the_inverse_of_the_rate(rate_hz: float) -> None:
    assert Throttle(rate_hz).interval_ns == pytest.approx(1e9 / rate_hz, abs=1)


@given(
    touches=st.lists(st.tuples(st.integers(0, 50 * MS), st.sampled_from("ABCD")), min_size=1, max_size=150),
    rate_hz=st.sampled_from([5.0, 10.0, 100.0]),
)
def test_no_key_is_taken_too_often_and_its_last_touch_is_always_followed(
    touches: list[tuple[int, str]], rate_hz: float
) -> None:
    throttle = Throttle(rate_hz)
    now = 0
    last_touch: dict[str, int] = {}
    taken: dict[str, list[int]] = {}

    def take_all(until: int) -> None:
        while (due := throttle.next_due) is not None and due <= until:
            key = throttle.take(due)
            assert key is not None
            taken.setdefault(key, []).append(due)

    for wait, key in touches:
        now += wait
        take_all(now)
        throttle.touch(key, now)
        last_touch[key] = now
    take_all(now + 10 * throttle.interval_ns)
    assert len(throttle) == 0
    for key, touched in last_touch.items():
        times = taken[key]
        assert touched <= times[-1] <= touched + throttle.interval_ns
        assert all(later - sooner >= throttle.interval_ns for sooner, later in pairwise(times))
