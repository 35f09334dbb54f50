"""Verdicts: each reason for being unhealthy in plain words, and what it takes to be healthy again."""

from typing import Any

import pytest

from app.liveness.health import CHECKS, Facts, Health, HealthLimits, Lag

S = 1_000_000_000
GOOD = Facts(
    heard=True, silent_ns=0, silence_limit_ns=10 * S, unconnected_ns=0,
    put_off_ns=0, last_end="", connections=1, frames=0, set_aside=0, reconnects=0,
)  # fmt: skip


def facts(**changes: Any) -> Facts:
    return Facts(**{name: changes.get(name, getattr(GOOD, name)) for name in GOOD.__struct_fields__})


def health(*, presumed: bool = True) -> Health:
    return Health(HealthLimits(transport_ns=5 * S, lag_ns=5 * S, settle_ns=2 * S), 0, presumed=presumed)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"silent_ns": 10 * S + 1}, "no market data for 10.0 s"),
        ({"unconnected_ns": 6 * S}, "not connected for 6.0 s"),
        ({"frames": 30, "set_aside": 20}, "20 of its last 30 frames could not be used"),
        ({"frames": 400, "set_aside": 30}, "30 of its last 400 frames could not be used"),
        ({"reconnects": 6}, "6 reconnects within 60 s"),
    ],
)
def test_each_fault_makes_it_unhealthy_at_once(changes: dict[str, int], reason: str) -> None:
    judged = health()
    assert (judged.verdict.healthy, judged.verdict.failing) == (True, False)
    assert judged.judge(GOOD, 0).healthy
    verdict = judged.judge(facts(**changes), S)
    assert (verdict.healthy, verdict.failing, verdict.reasons, verdict.since) == (False, True, (reason,), S)


@pytest.mark.parametrize(
    "changes",
    [
        {"silent_ns": 10 * S},
        {"unconnected_ns": 5 * S},
        {"frames": 30, "set_aside": 19},
        {"frames": 1_000, "set_aside": 50},
        {"reconnects": 5},
        {"reconnects": 10, "connections": 2},
    ],
)
def test_at_a_limit_it_is_still_healthy(changes: dict[str, int]) -> None:
    judged = health()
    judged.judge(GOOD, 0)
    assert judged.judge(facts(**changes), S).healthy


def test_all_faults_are_told_at_once() -> None:
    judged = health()
    judged.judge(GOOD, 0)
    for at in (1, 2, 3):
        judged.lag.sample([6 * S], at * S)
    worst = facts(silent_ns=11 * S, unconnected_ns=6 * S, frames=100, set_aside=100, reconnects=9)
    assert len(judged.judge(worst, 3 * S).reasons) == len(CHECKS)


def test_late_data_is_a_fault_until_it_is_half_as_late() -> None:
    judged = health()
    at = 0

    def verdict(lag_s: float, looks: int = 60) -> Any:
        nonlocal at
        for _ in range(looks):
            at += S // 10
            judged.lag.sample([int(lag_s * S)], at)
            judged.judge(GOOD, at)
        return judged.verdict

    assert verdict(5.0).healthy
    assert verdict(5.1).reasons == ("its data comes 5.1 s late",)
    assert verdict(3.0, 100).reasons == ("its data comes 3.0 s late",)
    assert verdict(2.4, 100).healthy


def test_a_burst_of_old_data_is_one_sample_and_the_last_seconds_count() -> None:
    lag = Lag()
    for look in range(20):
        lag.sample([S] if look != 10 else [90 * S] * 10_000, look * S // 4)
    assert lag.median_ns(5 * S) == S
    assert lag.median_ns(30 * S) is None
    lag.sample([], 31 * S)
    assert lag.median_ns(31 * S) is None


def test_two_late_looks_are_too_few_to_say() -> None:
    lag = Lag()
    told = []
    for look in range(4):
        lag.sample([9 * S], look * S)
        told.append(lag.median_ns(look * S))
    assert told == [None, None, 9 * S, 9 * S]
    assert lag.median_ns(6 * S) == 9 * S, "three of them are no more than 5 s old"
    assert lag.median_ns(6 * S + 1) is None


def test_negative_latency_is_no_fault_and_no_error() -> None:
    judged = health()
    for at in range(5):
        judged.lag.sample([-3 * S], at * S)
    assert judged.judge(GOOD, 5 * S).healthy


def test_it_is_healthy_again_when_it_has_been_without_a_fault_for_long_enough() -> None:
    judged = health()
    judged.judge(facts(silent_ns=11 * S), 0)
    soon = judged.judge(GOOD, S)
    assert (soon.healthy, soon.failing) == (False, False)
    assert soon.reasons == ("healthy again, but not for long enough to be believed",)
    assert not judged.judge(facts(silent_ns=11 * S), 2 * S).healthy
    assert not judged.judge(GOOD, 3 * S).healthy
    assert not judged.judge(GOOD, 5 * S - 1).healthy
    verdict = judged.judge(GOOD, 5 * S)
    assert (verdict.healthy, verdict.reasons, verdict.since) == (True, (), 5 * S)


def test_one_that_is_not_presumed_healthy_has_to_be_heard_first() -> None:
    judged = health(presumed=False)
    assert (judged.verdict.failing, judged.verdict.reasons) == (True, ("no market data yet",))
    for at in range(20):
        assert judged.judge(facts(heard=False), at * S).reasons == ("no market data yet",)
    assert not judged.judge(GOOD, 20 * S).healthy
    assert judged.judge(GOOD, 22 * S).healthy


def test_errors_are_forgotten_after_a_minute() -> None:
    judged = health()
    for at in range(30):
        judged.judge(facts(frames=at * 100), at * S)
    judged.judge(facts(frames=3_000, set_aside=900), 30 * S)
    assert not judged.verdict.healthy
    for at in range(31, 100):
        judged.judge(facts(frames=3_000 + at * 100, set_aside=900), at * S)
    assert judged.verdict.healthy


def test_of_a_long_life_only_the_last_minute_counts() -> None:
    judged = health()
    for at in range(200):
        judged.judge(facts(frames=at * 10_000), at * S)
    verdict = judged.judge(facts(frames=1_990_400, set_aside=30), 200 * S)
    assert verdict.healthy, "30 of 600 thousand"
    for at in range(200, 270):
        judged.judge(facts(frames=1_990_400), at * S)
    verdict = judged.judge(facts(frames=1_990_800, set_aside=30), 270 * S)
    assert verdict.reasons == ("30 of its last 400 frames could not be used",)


@pytest.mark.parametrize(
    ("total", "at"), [("reconnects", {10: 6, 20: 1, 35: 1, 50: 1, 65: 1}), ("set_aside", {10: 60, 35: 9, 65: 9})]
)
def test_what_was_too_much_has_to_fall_to_half_of_that(total: str, at: dict[int, int]) -> None:
    judged = health()
    so_far, failing = 0, []
    for second in range(120):
        so_far += at.get(second, 0)
        failing.append(judged.judge(facts(frames=second * 10, **{total: so_far}), second * S).failing)
    assert [second for second, fault in enumerate(failing) if fault] == list(range(10, 95)), "until 35 is a minute ago"


@pytest.mark.parametrize("step_ms", [100, 250, 1_000, 7_000])
def test_the_last_minute_counts_however_often_somebody_looks(step_ms: int) -> None:
    judged = health()
    for at_ms in range(0, 200_000, step_ms):
        growth = 9 if at_ms >= 30_000 else 0
        failing = judged.judge(facts(frames=at_ms, reconnects=growth), at_ms * S // 1_000).failing
        if 30_000 <= at_ms <= 88_000:
            assert failing
        if not 30_000 <= at_ms <= 91_000:
            assert not failing
