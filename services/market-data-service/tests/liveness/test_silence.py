"""The detector of silence, the limits, and the clock that knows when we were not listening."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.liveness.silence import LIMITS, MAX_STEP_NS, Change, Limits, ListeningClock, Silence, limits_of
from app.liveness.standing import TRANSITIONS, Sign, Standing, State

S = 1_000_000_000


def test_it_tells_once_that_it_is_stale_also_when_the_first_sign_never_comes() -> None:
    silence = Silence(10 * S, now=5 * S)
    told = [silence.look(now * S) for now in range(5, 60)]
    assert [change for change in told if change] == [Change.STALE]
    assert told.index(Change.STALE) == 11, "exactly at the limit is not beyond it"
    assert silence.silent_ns == 54 * S


def test_one_sign_is_no_recovery_and_steady_ones_are() -> None:
    silence = Silence(10 * S, now=0)
    assert silence.look(11 * S) is Change.STALE
    silence.heard(12 * S)
    assert [silence.look(now * S) for now in (12, 15, 20, 23, 30)] == [None] * 5, "fell silent again"
    silence.heard(40 * S)
    assert silence.look(40 * S) is None
    silence.heard(41 * S + 9 * S // 10)
    assert silence.look(41 * S + 9 * S // 10) is None, "a fifth of the limit is 2 s"
    silence.heard(42 * S)
    assert silence.look(42 * S) is Change.RECOVERED
    assert silence.silent_ns == 28 * S, "how long the last silence was"
    assert not silence.stale


def test_signs_that_come_slower_than_the_limit_never_look_like_a_recovery() -> None:
    silence = Silence(10 * S, now=0)
    told = []
    for now in range(1, 600):
        if now % 12 == 0:
            silence.heard(now * S)
        told.append(silence.look(now * S))
    assert [change for change in told if change] == [Change.STALE]


def test_waiting_anew_is_no_sign_of_life() -> None:
    silence = Silence(10 * S, now=0)
    assert silence.look(11 * S) is Change.STALE
    for now in range(12, 20):
        silence.restart(now * S)
        assert silence.look(now * S) is None
    assert silence.stale


@given(st.lists(st.tuples(st.integers(0, 3 * S), st.booleans()), max_size=200))
def test_changes_alternate_and_say_what_is_true(steps: list[tuple[int, bool]]) -> None:
    silence, now, last = Silence(S, now=0), 0, 0
    changes = []
    for step, heard in steps:
        now += step
        if heard:
            silence.heard(now)
            last = now
        change = silence.look(now)
        if change:
            changes.append(change)
        if now - last > S:
            assert silence.stale
        if change is Change.RECOVERED:
            assert now - last <= S
    assert changes == [Change.STALE, Change.RECOVERED] * (len(changes) // 2) + [Change.STALE] * (len(changes) % 2)


@pytest.mark.parametrize("state", State)
def test_bad_is_left_through_mending_only(state: State) -> None:
    for sign in Sign:
        following = TRANSITIONS.get((state, sign), state)
        assert state is State.MENDING or following is not State.GOOD or state is State.GOOD
        if sign is Sign.FAULT:
            assert following is State.BAD


def test_a_standing_without_a_fault_that_is_not_steady_mends() -> None:
    standing = Standing()
    assert standing.judge(fault=True, steady=False)
    assert not standing.judge(fault=False, steady=False)
    assert standing.state is State.MENDING
    assert standing.judge(fault=False, steady=True)
    assert standing.good


def test_a_connection_with_a_busy_symbol_may_be_silent_for_less_long() -> None:
    binance = limits_of("binance")
    assert binance.data_ns(["BTCUSDT", "XYZBTC"]) == 10 * S
    assert binance.data_ns(["XYZBTC"]) == 60 * S
    assert binance.data_ns(["XYZBTC"], 3.5) == 3.5 * S


def test_only_a_venue_that_promises_a_cadence_is_judged_by_symbol() -> None:
    assert {name for name, limits in LIMITS.items() if limits.symbol_s is not None} == {"bybit", "bybit_linear"}
    assert limits_of("nobody") == Limits()


def test_the_clock_stands_still_while_we_do_not_listen() -> None:
    clock = ListeningClock(100 * S)
    assert clock.advance(100 * S + S // 4, paused=False) == S // 4
    assert not clock.skipped
    assert clock.advance(200 * S, paused=True) == S // 4
    assert clock.skipped
    assert clock.advance(300 * S, paused=False) == S // 4 + MAX_STEP_NS, "a stall of ours counts as one step"
    assert clock.skipped
    assert clock.advance(299 * S, paused=False) == S // 4 + MAX_STEP_NS
