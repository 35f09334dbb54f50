"""The book of one snapshot-then-delta topic, held against a book rebuilt naively from everything that was sent."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.books.book import Change
from app.books.delta_sync import MAX_WAIT_NS, TRANSITIONS, DeltaState, DeltaSync
from app.books.diff_sync import MAX_CROSSED_NS, BookCounters
from app.books.diff_sync import Sign as Reason
from md_contract.events import Level
from md_contract.units import NS_PER_S

TS_EVENT = 1_795_350_000 * NS_PER_S
TS = TS_EVENT + 5_000_000
Levels = list[tuple[int, int]]  # price, size


def changes(levels: Levels) -> list[Change]:
    return [(float(price), float(size), (str(price), str(size))) for price, size in levels]


class Topic:
    """A topic as the venue sends it, the book under test, and the naive book beside it."""

    def __init__(self, depth: int = 1_000) -> None:
        self.counters = BookCounters()
        self.sync = DeltaSync(depth, self.counters)
        self.naive: tuple[dict[Decimal, Level], dict[Decimal, Level]] = ({}, {})

    def snapshot(self, number: int, bids: Levels, asks: Levels, ts: int = TS) -> bool:
        self.naive = ({}, {})
        self._set(bids, asks)
        return self.sync.on_snapshot(number, changes(bids), changes(asks), ts, TS_EVENT)

    def delta(self, number: int, bids: Levels, asks: Levels, ts: int = TS) -> bool:
        self._set(bids, asks)
        return self.sync.on_delta(number, changes(bids), changes(asks), ts, TS_EVENT)

    def _set(self, bids: Levels, asks: Levels) -> None:
        for side, levels in zip(self.naive, (bids, asks), strict=True):
            for price, size in levels:
                if size:
                    side[Decimal(price)] = (str(price), str(size))
                else:
                    side.pop(Decimal(price), None)

    def expected(self, depth: int) -> tuple[list[Level], list[Level]]:
        bids, asks = self.naive
        return (
            [bids[price] for price in sorted(bids, reverse=True)][:depth],
            [asks[price] for price in sorted(asks)][:depth],
        )

    def top(self, depth: int = 20) -> tuple[list[Level], list[Level]] | None:
        top = self.sync.top(depth)
        return (top.bids, top.asks) if top else None


BIDS = st.lists(st.tuples(st.integers(1, 30), st.integers(0, 3)), max_size=8)
ASKS = st.lists(st.tuples(st.integers(31, 60), st.integers(0, 3)), max_size=8)
STEPS = st.lists(st.tuples(st.sampled_from(["snapshot", "delta", "delta", "delta", "gap", "lost"]), BIDS, ASKS))


@given(STEPS, st.integers(1, 12))
def test_book_equals_the_naive_one_after_every_step_or_is_not_served(
    steps: list[tuple[str, Levels, Levels]], depth: int
) -> None:
    topic, number, valid, given_up = Topic(), 0, False, 0
    for kind, bids, asks in steps:
        if kind == "lost":
            topic.sync.on_lost()
        else:
            number += 2 if kind == "gap" else 1
            (topic.snapshot if kind == "snapshot" else topic.delta)(number, bids, asks)
        given_up += valid and kind in ("gap", "lost")
        valid = kind == "snapshot" or (valid and kind == "delta")
        assert topic.top(depth) == (topic.expected(depth) if valid else None)
    assert topic.counters.resyncs == given_up


def test_nothing_is_served_before_the_snapshot() -> None:
    topic = Topic()
    assert not topic.delta(8, [(10, 1)], [])
    assert topic.top() is None
    assert topic.snapshot(9, [(10, 1)], [(11, 1)])
    assert topic.top() == ([("10", "1")], [("11", "1")])


def test_top_carries_the_times_of_the_last_update() -> None:
    topic = Topic()
    topic.snapshot(1, [(10, 1)], [(11, 1)])
    topic.sync.on_delta(2, [], changes([(12, 1)]), TS + 7, TS_EVENT + 3)
    top = topic.sync.top(1)
    assert top is not None
    assert (top.ts_recv, top.ts_event) == (TS + 7, TS_EVENT + 3)


@pytest.mark.parametrize("number", [0, 4, 5, 7, 2**40])
def test_a_step_other_than_one_ends_the_book_at_once(number: int) -> None:
    topic = Topic()
    topic.snapshot(5, [(10, 1)], [(11, 1)])
    assert not topic.delta(number, [(9, 1)], [])
    assert topic.top() is None
    assert topic.sync.wants_snapshot()
    assert topic.counters.given_up[Reason.GAP] == 1


def test_a_removed_level_that_was_never_there_changes_nothing() -> None:
    topic = Topic()
    topic.snapshot(5, [(10, 1)], [(11, 1)])
    assert topic.delta(6, [(9, 0)], [(12, 0)])
    assert topic.top() == ([("10", "1")], [("11", "1")])


def test_a_snapshot_mends_a_broken_book_without_leaving_the_topic() -> None:
    topic = Topic()
    topic.snapshot(5, [(10, 1)], [(11, 1)])
    topic.delta(9, [], [])
    assert topic.snapshot(20, [(8, 1)], [(9, 2)])
    assert not topic.sync.wants_snapshot()
    assert topic.top() == ([("8", "1")], [("9", "2")])


def test_a_topic_is_left_and_joined_and_begins_with_its_new_snapshot() -> None:
    topic = Topic()
    topic.snapshot(5, [(10, 1)], [(11, 1)])
    topic.sync.on_lost()
    topic.sync.leaving()
    assert not topic.sync.wants_snapshot()
    assert not topic.snapshot(6, [(10, 1)], [(11, 1)])  # of the subscription that is about to end
    assert topic.top() is None
    topic.sync.left()
    assert not topic.delta(7, [(9, 1)], [])
    assert topic.snapshot(1, [(7, 1)], [(9, 2)])
    assert topic.delta(2, [(8, 1)], [])
    assert topic.top(1) == ([("8", "1")], [("9", "2")])


def test_a_topic_that_cannot_be_joined_again_is_wanted_again() -> None:
    topic = Topic()
    topic.sync.on_lost()
    topic.sync.leaving()
    topic.sync.left()
    topic.sync.on_lost()
    assert topic.sync.wants_snapshot()


def test_changes_without_a_snapshot_are_borne_for_a_while_only() -> None:
    topic = Topic()
    topic.delta(5, [], [], TS)
    topic.delta(6, [], [], TS + MAX_WAIT_NS)
    assert not topic.sync.wants_snapshot()
    topic.delta(7, [], [], TS + MAX_WAIT_NS + 1)
    assert topic.sync.wants_snapshot()
    assert topic.counters.resyncs == 0  # it had not been served


def test_a_crossed_book_is_not_served_and_given_up_when_it_stays_crossed() -> None:
    topic = Topic()
    topic.snapshot(1, [(10, 1)], [(11, 1)])
    assert topic.delta(2, [(11, 1)], [], TS)
    assert topic.top() is None
    assert topic.delta(3, [(11, 0)], [], TS + 1)
    assert topic.top() == ([("10", "1")], [("11", "1")])
    topic.delta(4, [(12, 1)], [], TS + 2)
    topic.delta(5, [], [], TS + 2 + MAX_CROSSED_NS)
    assert not topic.sync.wants_snapshot()
    topic.delta(6, [], [], TS + 3 + MAX_CROSSED_NS)
    assert topic.sync.wants_snapshot()
    assert topic.counters.given_up[Reason.CROSSED] == 1


def test_a_book_with_more_levels_than_its_topic_carries_is_given_up() -> None:
    topic = Topic(depth=50)
    topic.snapshot(1, [(price, 1) for price in range(1, 101)], [(200, 1)])
    assert topic.top() is not None
    assert not topic.delta(2, [(101, 1)], [])
    assert topic.sync.wants_snapshot()
    assert topic.counters.given_up[Reason.OVERGROWN] == 1


def test_every_state_can_be_reached_and_left() -> None:
    sources = {state for state, _ in TRANSITIONS}
    targets = set(TRANSITIONS.values())
    assert sources == set(DeltaState)
    assert targets == set(DeltaState)
