"""Backoff and token bucket: never too fast, never stuck."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.liveness.backoff import Backoff, TokenBucket

ALMOST_ONE = 1.0 - 1e-12


def test_the_ceiling_doubles_with_every_failure_up_to_the_cap() -> None:
    backoff = Backoff()
    delays = [backoff.next_delay_s(ALMOST_ONE) for _ in range(9)]
    assert delays == pytest.approx([0.5, 1, 2, 4, 8, 16, 30, 30, 30])


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 10_000))
def test_a_delay_lies_anywhere_between_zero_and_the_ceiling(uniform: float, failures: int) -> None:
    backoff = Backoff()
    backoff.failures = failures
    assert backoff.next_delay_s(uniform) == pytest.approx(uniform * min(30.0, 0.5 * 2.0 ** min(failures, 20)))


def test_only_a_minute_of_health_makes_the_next_failure_count_as_the_first() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.next_delay_s(0.5)
    backoff.ended(59.9)
    assert backoff.next_delay_s(ALMOST_ONE) == pytest.approx(16)
    backoff.ended(60.0)
    assert backoff.next_delay_s(ALMOST_ONE) == pytest.approx(0.5)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0.1, 3)), max_size=60))
def test_a_bucket_never_gives_more_than_it_holds_and_gains(asks: list[tuple[float, float]]) -> None:
    bucket = TokenBucket(capacity=5, period_s=10)
    now = 1_000.0
    taken: list[tuple[float, float]] = []
    for pause, tokens in asks:
        now += pause
        if bucket.wait_s(now, tokens) == 0.0:
            taken.append((now, tokens))
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            span = taken[last][0] - taken[first][0]
            assert sum(tokens for _, tokens in taken[first : last + 1]) <= 5 + span * 0.5 + 1e-3


@given(st.lists(st.floats(0.1, 80), min_size=1, max_size=30), st.floats(0, 1e7))
def test_waiting_as_long_as_told_is_enough(wishes: list[float], now: float) -> None:
    bucket = TokenBucket(capacity=60, period_s=300)
    for tokens in wishes:
        if wait_s := bucket.wait_s(now, tokens):
            now += wait_s
            assert bucket.wait_s(now, tokens) == 0.0


def test_it_fills_at_its_own_pace_and_a_token_is_what_is_asked_for() -> None:
    bucket = TokenBucket(capacity=60, period_s=300)
    assert bucket.wait_s(100.0, 58) == 0.0
    assert [bucket.wait_s(100.0) for _ in range(3)] == [0.0, 0.0, pytest.approx(5.0)]
    assert bucket.wait_s(200.0, 30) == pytest.approx(50.0), "20 have come in 100 s"
    assert bucket.wait_s(250.0, 30) == 0.0


def test_a_wish_for_more_than_the_bucket_holds_is_granted_when_it_is_full() -> None:
    bucket = TokenBucket(capacity=10, period_s=10)
    assert bucket.wait_s(100.0, 250) == 0.0
    assert bucket.wait_s(100.0, 250) == pytest.approx(10.0)
    assert bucket.wait_s(110.0, 250) == 0.0


def test_a_clock_that_steps_back_fills_nothing() -> None:
    bucket = TokenBucket(capacity=1, period_s=10)
    assert bucket.wait_s(100.0) == 0.0
    assert bucket.wait_s(50.0) == pytest.approx(10.0)
    assert bucket.wait_s(110.0) == 0.0
