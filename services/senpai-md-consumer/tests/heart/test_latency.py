"""Latency percentiles against numpy's, on few and on many, on small, large and negative delays."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from md_contract.units import NS_PER_MS, NS_PER_S
from senpai.md_consumer.features.latency import Latency, bucket, middle_ns
from senpai.md_consumer.series import Delays
from senpai.md_consumer.window import Clock

DELAYS = st.one_of(
    st.integers(-NS_PER_MS, NS_PER_MS),
    st.integers(-200 * NS_PER_MS, 200 * NS_PER_MS),
    st.integers(-(10**18), 10**18),
    st.sampled_from([0, 1, -1, NS_PER_S, -NS_PER_S]),
)


def latency_of(delays_ns: list[int]) -> Latency:
    series = Delays(Clock())
    series.clock.now = len(delays_ns)
    latency = Latency(series.window(60))
    for ts, delay_ns in enumerate(delays_ns, start=len(delays_ns) - 59):
        series.push(ts, delay_ns)
    return latency


@given(st.lists(DELAYS, min_size=1, max_size=59), st.sampled_from([0.0, 0.05, 0.5, 0.9, 0.95, 1.0]))
@example([-NS_PER_S, NS_PER_S], 0.5)
@example([-3_600 * NS_PER_S, 0, 3_600 * NS_PER_S], 0.95)
@example([7 * NS_PER_MS], 0.95)
@example([0, 10 * NS_PER_S, 20 * NS_PER_S], 0.5)
def test_percentiles_are_within_two_percent_or_half_a_millisecond(delays_ns: list[int], q: float) -> None:
    exact = float(np.percentile(np.array(delays_ns) / NS_PER_MS, 100 * q))
    found: Any = latency_of(delays_ns).percentile(q)
    assert abs(found - exact) <= max(0.5, 0.02 * abs(exact))


@given(DELAYS, DELAYS)
def test_buckets_are_in_the_order_of_delays_and_near_all_they_hold(one: int, other: int) -> None:
    assert (bucket(one) <= bucket(other)) or one > other
    assert abs(middle_ns(bucket(one)) - one) <= max(0.27 * NS_PER_MS, 0.008 * abs(one))


def test_there_are_few_buckets_however_many_delays() -> None:
    assert len({bucket(ns) for ns in range(0, NS_PER_S, 10_000)}) < 400


def test_no_delays_have_no_percentile() -> None:
    assert latency_of([]).p50() is None
    assert latency_of([]).p95() is None


@pytest.mark.parametrize("sign", [1, -1])
def test_percentiles_follow_the_window(make_market: Any, sign: int) -> None:
    market = make_market()
    for second in range(120):
        market.trade(second, ts_recv=market.ns(second) + sign * (20 if second < 60 else 300) * NS_PER_MS)
        if second == 59:
            assert market.features["latency_ms_p95"] == pytest.approx(sign * 20, abs=0.5)
    assert market.features["latency_ms_p50"] == pytest.approx(sign * 300, rel=0.02, abs=0)
    assert market.features["latency_ms_p95"] == pytest.approx(sign * 300, rel=0.02, abs=0)


def test_buckets_are_as_wide_as_they_are_said_to_be() -> None:
    half_ms = 2**19
    edges = [i * half_ms for i in range(128)]
    edges += [(64 + i) * half_ms << octave for octave in range(1, 43) for i in range(64)]
    for i, (begin, end) in enumerate(pairwise(edges)):
        assert (bucket(begin), bucket(end - 1)) == (i, i)
        assert middle_ns(i) == (begin + end) // 2
        assert (bucket(-begin - 1), bucket(-end)) == (-i - 1, -i - 1)
        assert middle_ns(-i - 1) == -(begin + end) // 2 - 1


def test_between_far_delays_on_either_side_of_zero_the_median_is_exact() -> None:
    low, high = -(2**30), 2**30 * 65 // 64 - 1  # the ends of their buckets, so that the middles are 8 ms off
    assert latency_of([2 * low, low, high, 2 * high]).p50() == (low + high) / 2 / NS_PER_MS
    assert latency_of([2 * low, 0, 2**31]).percentile(0.25) == low / NS_PER_MS
    assert latency_of([-1, 2**31]).p50() == pytest.approx(2**30 / NS_PER_MS, rel=1e-9, abs=0)


def test_median_and_percentile_are_what_they_are_called() -> None:
    latency = latency_of([i * NS_PER_S for i in range(1, 42)])
    assert latency.p50() == pytest.approx(21_000, rel=0.01, abs=0)
    assert latency.p95() == pytest.approx(39_000, rel=0.01, abs=0)


def test_delays_that_leave_by_time_alone_are_out() -> None:
    series = Delays(Clock())
    latency = Latency(series.window(60))
    for ts, delay_ms in ((1, 100), (31, 300), (31, 300)):
        series.clock.now = ts
        series.push(ts, delay_ms * NS_PER_MS)
    assert latency.percentile(0) == pytest.approx(100, rel=0.01, abs=0)
    series.clock.now = 61
    assert latency.percentile(0) == pytest.approx(300, rel=0.01, abs=0)
