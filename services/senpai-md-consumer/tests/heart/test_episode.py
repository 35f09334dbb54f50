"""Episodes: the state machine against an independent model, and its table against the documentation."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from md_contract.signals import Condition, Direction
from senpai.md_consumer.rules.episode import TABLE, Phase, Sign, Watch

PAGE = Path(__file__).parents[4] / "docs" / "signals.md"
OUTER, INNER, VALID, COOLDOWN = 3, 2, 10, 15
TOO_SOON = ("cooldown",)


class Dial:
    """A rule whose values the test sets: long above OUTER, short below -OUTER, over inside INNER."""

    def __init__(self) -> None:
        self.move: int | None = 0
        self.tight = True  # whether the other condition holds
        self.kept = True  # whether it does within its hysteresis

    def begins(self) -> Direction | None:
        if self.move is None or not self.tight or abs(self.move) <= OUTER:
            return None
        return "long" if self.move > 0 else "short"

    def _along(self, direction: Direction) -> int | None:
        return self.move if self.move is None or direction == "long" else -self.move

    def lost(self, direction: Direction) -> list[str]:
        along = self._along(direction)
        return (["move"] if along is None or along < INNER else []) + ([] if self.kept else ["tight"])

    def is_over(self, direction: Direction) -> bool:
        along = self._along(direction)
        return along is not None and along < INNER

    def conditions(self, direction: Direction) -> list[Condition]:
        return [] if self.move is None else [Condition("move", self.move, ">", OUTER)]


STEPS = st.lists(
    st.tuples(
        st.integers(0, 4),  # seconds since the step before
        st.sampled_from([None, 0, 2, 3, 4, 5, -2, -4, -5]),
        st.sampled_from(["tight", "tight", "kept", "gone"]),
        st.sampled_from([[], [], [], ["stale"], ["trade_gap", "warming_up"]]),
        st.sampled_from([True, True, True, False]),  # an event, or only time
    ),
    max_size=60,
)


def play(steps: list[Any], cooldown: int = COOLDOWN) -> list[tuple[int, str, str, int, tuple[str, ...]]]:
    """(when, outcome, direction, when it began, causes) of everything the real machine tells."""
    rule, now, told = Dial(), 100, list[tuple[int, str, str, int, tuple[str, ...]]]()
    watch = Watch(rule, VALID, cooldown)
    for wait, move, other, doubts, event in steps:
        now += wait
        rule.move, rule.tight, rule.kept = move, other == "tight", other != "gone"
        for found in watch.look(now, lambda doubts=doubts: list(doubts), event=event):  # type: ignore[misc]  # mypy does not infer a lambda's defaults
            told.append((now, found.outcome, found.direction, found.began, tuple(found.causes)))
    return told


def naive(steps: list[Any]) -> list[tuple[int, str, str, int, tuple[str, ...]]]:
    """The same from the words of the documentation, over the list of all that has been told so far."""
    now, told = 100, list[tuple[int, str, str, int, tuple[str, ...]]]()
    episode: dict[str, Any] | None = None
    for wait, move, other, doubts, event in steps:
        now += wait
        holds = event and other == "tight" and abs(move or 0) > 3
        want = None if not holds else "long" if move > 0 else "short"
        if episode is not None:
            along = None if move is None else move if episode["direction"] == "long" else -move
            ends = (along is not None and along < 2) or want not in (None, episode["direction"])
            lost = (["move"] if along is None or along < 2 else []) + (["tight"] if other == "gone" else [])
            if episode["told"] is not None and not episode["closed"]:
                if now >= episode["told"] + 10:
                    episode["closed"] = True
                elif doubts or ends or lost:
                    told.append((now, "cancel", episode["direction"], episode["told"], tuple(doubts or lost)))
                    episode["closed"] = True
            if ends:
                episode = None
        if want is None:
            continue
        if episode is None:
            episode = {"direction": want, "told": None, "closed": False, "withheld": False}
        if episode["told"] is None:
            earlier = [at for at, outcome, direction, *_ in told if outcome == "new" and direction == want]
            why = [*doubts] + (["cooldown"] if earlier and now - earlier[-1] < 15 else [])
            if not why:
                episode["told"] = now
                told.append((now, "new", want, now, ()))
            elif not episode["withheld"]:
                episode["withheld"] = True
                told.append((now, "withheld", want, now, tuple(why)))
    return told


@settings(max_examples=400, deadline=None)
@given(STEPS)
def test_it_tells_what_the_naive_model_tells(steps: list[Any]) -> None:
    assert play(steps) == naive(steps)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_no_signal_is_told_twice_nor_taken_back_twice_and_none_comes_too_soon(steps: list[Any]) -> None:
    told = play(steps)
    new = [(direction, began) for _, outcome, direction, began, _ in told if outcome == "new"]
    cancelled = [(direction, began) for _, outcome, direction, began, _ in told if outcome == "cancel"]
    assert len(set(new)) == len(new)
    assert len(set(cancelled)) == len(cancelled)
    assert set(cancelled) <= set(new)
    for direction in ("long", "short"):
        times = [began for way, began in new if way == direction]
        assert all(later - sooner >= COOLDOWN for sooner, later in pairwise(times))
    assert all(at < began + VALID for at, outcome, _, began, _ in told if outcome == "cancel")


def step(wait: int, move: int | None, other: str = "tight", doubts: tuple[str, ...] = (), *, event: bool = True) -> Any:
    return (wait, move, other, list(doubts), event)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ([step(1, 2)], []),
        ([step(1, 0)], [(101, "cancel", "long", 100, ("move",))]),
        ([step(1, None)], [(101, "cancel", "long", 100, ("move",))]),
        ([step(1, 5, "kept")], []),
        ([step(1, 5, "gone")], [(101, "cancel", "long", 100, ("tight",))]),
        ([step(1, 5, "tight", ("stale",))], [(101, "cancel", "long", 100, ("stale",))]),
        ([step(1, 5, "tight", ("stale",), event=False)], [(101, "cancel", "long", 100, ("stale",))]),
        ([step(1, 0, event=False)], [(101, "cancel", "long", 100, ("move",))]),
        ([step(10, 0)], []),
        ([step(1, 0), step(1, 5)], [(101, "cancel", "long", 100, ("move",)), (102, "withheld", "long", 102, TOO_SOON)]),
        ([step(10, 0), step(5, 5)], [(115, "new", "long", 115, ())]),
        ([step(1, -5)], [(101, "cancel", "long", 100, ("move",)), (101, "new", "short", 101, ())]),
        ([step(1, 5, "gone"), step(1, 5), step(20, 5)], [(101, "cancel", "long", 100, ("tight",))]),
        ([step(1, -5, event=False)], [(101, "cancel", "long", 100, ("move",))]),
    ],
)  # fmt: skip
def test_what_becomes_of_a_signal(after: list[Any], expected: list[Any]) -> None:
    assert play([step(0, 5), *after]) == [(100, "new", "long", 100, ()), *expected]


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ([step(1, 5)], [(101, "new", "long", 101, ())]),
        ([step(1, 5, event=False)], []),
        ([step(1, 2), step(1, 5)], [(102, "new", "long", 102, ())]),
        ([step(1, 5, "kept")], []),
        ([step(1, 5, "tight", ("trade_gap",))], []),
        ([step(1, 0), step(1, 2)], []),
        ([step(1, -5)], [(101, "new", "short", 101, ())]),
    ],
)
def test_what_becomes_of_a_withheld_signal(after: list[Any], expected: list[Any]) -> None:
    assert play([step(0, 5, "tight", ("stale",)), *after]) == [(100, "withheld", "long", 100, ("stale",)), *expected]


def test_without_a_cooldown_two_signals_of_one_time_are_still_told_apart() -> None:
    told = play([step(0, 5), step(0, 0), step(0, 5)], cooldown=0)
    assert [outcome for _, outcome, *_ in told] == ["new", "cancel", "withheld"]


def test_a_clock_that_went_back_ends_no_cooldown_for_ever() -> None:
    watch = Watch(rule := Dial(), VALID, COOLDOWN)
    rule.move = 5
    assert watch.look(10**6, list)[0].outcome == "new"
    rule.move = 0
    watch.look(10**6 + 1, list)
    rule.move = 5
    assert [found.outcome for found in watch.look(1_000, list)] == ["new"]


def test_the_table_leads_out_of_every_phase_and_back() -> None:
    for phase in Phase:
        assert any(TABLE.get((phase, sign), (phase, None))[0] is not phase for sign in Sign)
    reached = {Phase.ARMED}
    for _ in Phase:
        reached |= {after for (before, _), (after, _) in TABLE.items() if before in reached}
    assert reached == set(Phase)


def test_the_documentation_draws_this_table() -> None:
    arrows = [
        f"    {before.value} --> {after.value}: {sign.value}{f' / {outcome}' if outcome else ''}"
        for (before, sign), (after, outcome) in TABLE.items()
    ]
    assert "\n".join(["stateDiagram-v2", "    [*] --> armed", *arrows]) in PAGE.read_text()


def test_a_signal_that_is_out_is_looked_at_every_fifty_milliseconds_and_one_that_was_taken_back_is_not() -> None:
    watch, ms, long_after = Watch(rule := Dial(), 10**12, COOLDOWN), 10**6, 10**18
    rule.move = 5
    watch.look(1_000, list)
    assert (watch.is_due(1_000 + 50 * ms - 1), watch.is_due(1_000 + 50 * ms)) == (False, True)
    watch.hurry()
    assert watch.is_due(1_000)
    rule.kept = False
    assert [found.outcome for found in watch.look(2_000, list)] == ["cancel"]
    assert not watch.is_due(long_after)
    rule.move = 0
    assert watch.is_due(2_001)


def test_a_signal_is_too_soon_for_the_cooldown_and_no_longer() -> None:
    for cooldown, wait, outcome in ((15, 14, "withheld"), (15, 15, "new"), (0, 0, "withheld"), (0, 1, "new")):
        told = play([step(0, 5), step(0, 0), step(wait, 5)], cooldown)
        assert told[-1][1] == outcome
    watch = Watch(rule := Dial(), VALID, COOLDOWN)
    for now, move, outcome in ((1_000, 5, "new"), (1_000, 0, "cancel"), (999, 5, "new")):
        rule.move = move
        assert [found.outcome for found in watch.look(now, list)] == [outcome]


def test_a_watch_is_busy_from_the_first_condition_to_the_end_of_the_move() -> None:
    watch = Watch(rule := Dial(), VALID, COOLDOWN)
    seen = [watch.busy]
    for now, move in ((100, 0), (101, 5), (130, 5), (131, 0)):
        rule.move = move
        watch.look(now, list)
        seen.append(watch.busy)
    assert seen == [False, False, True, True, False]
