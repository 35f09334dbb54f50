"""The histogram and the sliding rate against the plain definitions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from senpai.md_consumer.subscriber.latency import BOUNDS_MS, Latency
from senpai.md_consumer.subscriber.rate import Rate

S = 1_000_000_000


@given(st.lists(st.integers(0, 10**11)))
def test_each_bucket_counts_what_is_up_to_its_bound(durations_ns: list[int]) -> None:
    latency = Latency()
    for duration_ns in durations_ns:
        latency.observe(duration_ns)
    bounds = [*(int(bound * 1_000_000) for bound in BOUNDS_MS), 10**12]
    expected = [sum(duration <= bound for duration in durations_ns) for bound in bounds]
    assert [count for _, count in latency.cumulative()] == expected
    assert latency.sum_ns == sum(durations_ns)
    assert latency.count == len(durations_ns)


def test_rate_slides_over_its_window() -> None:
    rate = Rate(10)
    assert rate.per_second(7, S) == 0.0
    for second in range(31):
        rate.sample(100 * min(second, 20), second * S)
    assert rate.per_second(2_000, 30 * S) == 0.0
    assert rate.per_second(2_500, 30 * S) == 50.0


def test_rate_of_a_young_service_is_over_its_life() -> None:
    rate = Rate(10)
    rate.sample(0, 0)
    assert rate.per_second(30, 3 * S) == 10.0


def test_rate_after_a_pause_of_the_clock_is_not_made_up() -> None:
    rate = Rate(10)
    rate.sample(0, 0)
    rate.sample(10, S)
    rate.sample(20, 101 * S)
    assert rate.per_second(20, 101 * S) == pytest.approx(0.1)
