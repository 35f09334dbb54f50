"""The FailoverManager: its table, and what must hold whatever the two providers do."""

import itertools
import runpy
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.liveness.failover import (
    ACTIVE,
    ORDERS,
    READINGS,
    TRANSITIONS,
    FailoverManager,
    RefusedError,
    Role,
    Sign,
    State,
)
from app.liveness.health import Verdict

S = 1_000_000_000
DWELL_S, PROBATION_S = 30, 60
ROOT = Path(__file__).resolve().parents[4]
WELL = Verdict(healthy=True, failing=False, reasons=(), since=0)
ILL = Verdict(healthy=False, failing=True, reasons=("no market data for 11.0 s",), since=0)
MENDING = Verdict(healthy=False, failing=False, reasons=("not for long enough",), since=0)


def manager() -> FailoverManager:
    return FailoverManager(0, dwell_s=DWELL_S, probation_s=PROBATION_S)


def test_the_table_is_complete() -> None:
    assert set(ACTIVE) == set(State)
    assert set(READINGS).isdisjoint(ORDERS)
    assert set(READINGS) | set(ORDERS) == set(Sign) == {sign for _, sign in TRANSITIONS}
    reachable = {State.PRIMARY}
    for _ in State:
        reachable |= {following for (state, _), following in TRANSITIONS.items() if state in reachable}
    assert reachable == set(State)


@pytest.mark.parametrize("state", State)
def test_every_state_can_be_left_in_the_direction_of_the_primary(state: State) -> None:
    seen = {state}
    for _ in State:
        seen |= {following for (before, _), following in TRANSITIONS.items() if before in seen}
    assert State.PRIMARY in seen


def test_the_page_is_the_generated_one() -> None:
    page = runpy.run_path(str(ROOT / "tools" / "failover_diagram.py"))["page"]()
    assert (ROOT / "docs" / "failover.md").read_text() == page, "run: python tools/failover_diagram.py"


def test_failover_probation_and_failback() -> None:
    failover = manager()
    assert failover.look(WELL, WELL, 100 * S) is None
    switch = failover.look(ILL, WELL, 101 * S)
    assert switch is not None
    assert (switch.to, switch.reason) == (Role.BACKUP, "primary failed: no market data for 11.0 s")
    assert failover.look(MENDING, WELL, 110 * S) is None
    assert failover.look(WELL, WELL, 112 * S) is None
    assert failover.state is State.PROBING
    assert failover.look(WELL, WELL, 172 * S - 1) is None
    switch = failover.look(WELL, WELL, 172 * S)
    assert switch is not None
    assert (switch.to, switch.reason) == (Role.PRIMARY, "probation passed")


def test_a_relapse_begins_the_probation_anew() -> None:
    failover = manager()
    failover.look(ILL, WELL, 0)
    failover.look(WELL, WELL, 10 * S)
    failover.look(ILL, WELL, 60 * S)
    assert failover.state is State.STANDBY
    failover.look(WELL, WELL, 70 * S)
    assert failover.look(WELL, WELL, 129 * S) is None
    assert failover.look(WELL, WELL, 130 * S) is not None


def test_a_backup_that_fails_ends_the_probation_early() -> None:
    failover = manager()
    failover.look(ILL, WELL, 0)
    failover.look(WELL, WELL, 10 * S)
    assert failover.look(WELL, ILL, 29 * S) is None, "within the dwell"
    switch = failover.look(WELL, ILL, 30 * S)
    assert switch is not None
    assert switch.reason == "backup failed: no market data for 11.0 s"


def test_when_both_are_ill_it_stays_where_it_is() -> None:
    failover = manager()
    assert all(failover.look(ILL, ILL, at * S) is None for at in range(300))
    assert failover.look(ILL, WELL, 300 * S) is not None
    assert all(failover.look(ILL, ILL, at * S) is None for at in range(301, 600))
    assert failover.active is Role.BACKUP


def test_one_that_is_already_mending_is_not_left() -> None:
    failover = manager()
    assert failover.look(MENDING, WELL, 100 * S) is None


def test_an_order_rehearses_a_switch_that_ends_by_itself() -> None:
    failover = manager()
    switch = failover.order(Role.BACKUP, WELL, WELL, 10 * S)
    assert (switch.to, switch.reason, failover.active) == (Role.BACKUP, "ordered", Role.BACKUP)
    assert failover.look(WELL, WELL, 11 * S) is None
    assert failover.look(WELL, WELL, 70 * S) is None
    switch = failover.look(WELL, WELL, 71 * S) or switch
    assert switch.to is Role.PRIMARY


def test_an_order_back_does_not_wait_for_the_probation() -> None:
    failover = manager()
    failover.order(Role.BACKUP, WELL, WELL, 0)
    failover.look(WELL, WELL, S)
    assert failover.order(Role.PRIMARY, WELL, WELL, 31 * S).to is Role.PRIMARY


@pytest.mark.parametrize(
    ("to", "backup", "at_s", "why"),
    [
        (Role.PRIMARY, WELL, 100, "it is the active one already"),
        (Role.BACKUP, ILL, 100, "it is unhealthy: no market data for 11.0 s"),
        (Role.BACKUP, MENDING, 100, "it is unhealthy: not for long enough"),
        (Role.BACKUP, WELL, 20, "the last switch is too recent: try again in 10 s"),
    ],
)
def test_an_order_that_cannot_be_carried_out_is_refused_with_the_reason(
    to: Role, backup: Verdict, at_s: int, why: str
) -> None:
    failover = manager()
    failover.order(Role.BACKUP, WELL, WELL, -40 * S)
    failover.look(WELL, WELL, -39 * S)
    failover.order(Role.PRIMARY, WELL, WELL, 0)
    with pytest.raises(RefusedError, match=f"^{why}$"):
        failover.order(to, WELL, backup, at_s * S)


VERDICTS = st.sampled_from([WELL, WELL, WELL, ILL, MENDING])
ORDER = st.sampled_from([None] * 8 + [Role.PRIMARY, Role.BACKUP])
STEPS = st.lists(st.tuples(st.integers(1, 20), VERDICTS, VERDICTS, ORDER), max_size=120)


@given(STEPS)
def test_never_two_switches_within_the_dwell_and_never_to_one_that_is_ill(
    steps: list[tuple[int, Verdict, Verdict, Role | None]],
) -> None:
    failover, now = manager(), 0
    switches: list[int] = []
    for seconds, primary, backup, order in steps:
        now += seconds * S
        before = failover.active
        switch = failover.look(primary, backup, now)
        if switch is None and order is not None:
            try:
                switch = failover.order(order, primary, backup, now)
            except RefusedError:
                assert failover.active is before
        assert (switch is not None) == (failover.active is not before)
        if switch is not None:
            assert switch.to is failover.active
            assert (primary if switch.to is Role.PRIMARY else backup).healthy
            switches.append(now)
    assert all(later - earlier >= DWELL_S * S for earlier, later in itertools.pairwise(switches))


@given(STEPS)
def test_never_on_an_ill_one_for_longer_than_the_dwell_while_the_other_is_well(
    steps: list[tuple[int, Verdict, Verdict, Role | None]],
) -> None:
    failover, now = manager(), 0
    unjust_since: int | None = None
    for seconds, primary, backup, _ in steps:
        for _ in range(seconds):  # one look a second
            now += S
            failover.look(primary, backup, now)
            failover.look(primary, backup, now)  # the way from STANDBY leads over PROBING
            mine, other = (primary, backup) if failover.active is Role.PRIMARY else (backup, primary)
            if not (mine.failing and other.healthy):
                unjust_since = None
            elif unjust_since is None:
                unjust_since = now
            assert unjust_since is None or now - unjust_since <= DWELL_S * S


@given(STEPS)
def test_the_primary_takes_over_again_only_after_a_probation_without_a_fault_or_for_a_backup_that_fails(
    steps: list[tuple[int, Verdict, Verdict, Role | None]],
) -> None:
    failover, now, well_since = manager(), 0, 0
    for seconds, primary, backup, _ in steps:
        for _ in range(seconds):
            now += S
            if not primary.healthy:
                well_since = now + S
            switch = failover.look(primary, backup, now)
            if switch is not None and switch.to is Role.PRIMARY:
                assert backup.failing or now - well_since >= PROBATION_S * S
