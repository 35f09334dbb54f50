"""Synchronisation: the rules one by one, and a model that loses, repeats and delays."""

from collections import deque
from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.books import diff_sync
from app.books.book import Change
from app.books.diff_sync import TRANSITIONS, BookCounters, Diff, DiffSync, Sign, Snapshot, SyncState
from md_contract.units import NS_PER_S

DEPTH = 3
LIMIT = 1_000
Levels = dict[int, int]  # price -> size


def changes(levels: Iterable[tuple[int, int]]) -> list[Change]:
    return [(float(price), float(size), (str(price), str(size))) for price, size in levels]


def diff(
    first: int,
    last: int,
    bids: Iterable[tuple[int, int]] = (),
    asks: Iterable[tuple[int, int]] = (),
    ts_recv: int | None = None,
) -> Diff:
    """An update whose event time is the number of its last change, so that a test can tell which one a book holds."""
    return Diff(first, last, changes(bids), changes(asks), last if ts_recv is None else ts_recv, last)


def snapshot(
    last: int,
    bids: Iterable[tuple[int, int]] = ((10, 1), (9, 1)),
    asks: Iterable[tuple[int, int]] = ((11, 1),),
    limit: int = LIMIT,
) -> Snapshot:
    return Snapshot(last, changes(bids), changes(asks), limit, last)


def live(last: int = 100) -> DiffSync:
    sync = DiffSync(BookCounters())
    sync.on_diff(diff(last, last))
    sync.asked()
    assert sync.on_snapshot(snapshot(last))
    return sync


def test_updates_are_buffered_until_a_snapshot_fits_and_nothing_is_served_before() -> None:
    sync = DiffSync(BookCounters())
    assert not sync.wants_snapshot()
    sync.on_diff(diff(101, 105, bids=[(10, 5)]))
    assert sync.wants_snapshot()
    sync.asked()
    assert not sync.wants_snapshot()
    sync.on_diff(diff(106, 110, asks=[(11, 0), (12, 4)]))
    assert sync.top(DEPTH) is None
    assert sync.on_snapshot(snapshot(103))
    top = sync.top(DEPTH)
    assert top is not None
    assert top.bids == [("10", "5"), ("9", "1")]
    assert top.asks == [("12", "4")]
    assert top.ts_event == 110


def test_a_snapshot_older_than_the_buffer_is_asked_for_again() -> None:
    counters = BookCounters()
    sync = DiffSync(counters)
    sync.on_diff(diff(101, 105))
    sync.asked()
    assert not sync.on_snapshot(snapshot(99))
    assert sync.wants_snapshot()
    assert counters.stale_snapshots == 1
    sync.asked()
    assert sync.on_snapshot(snapshot(100)), "the first buffered update follows on it without a hole"


def test_a_snapshot_newer_than_the_buffer_is_served_alone_and_has_no_event_time() -> None:
    sync = DiffSync(BookCounters())
    sync.on_diff(diff(101, 105, bids=[(10, 9)]))
    sync.asked()
    assert sync.on_snapshot(snapshot(200))
    top = sync.top(DEPTH)
    assert top is not None
    assert (top.bids[0], top.ts_event, top.ts_recv) == (("10", "1"), None, 200)
    assert not sync.on_diff(diff(106, 200, bids=[(10, 9)])), "older than the book already is"
    assert sync.on_diff(diff(190, 205, bids=[(10, 7)])), "straddles the snapshot"
    top = sync.top(DEPTH)
    assert top is not None
    assert (top.bids[0], top.ts_event) == (("10", "7"), 205)


def test_a_lost_update_invalidates_at_once_and_a_new_snapshot_repairs() -> None:
    counters = BookCounters()
    sync = DiffSync(counters)
    sync.on_diff(diff(100, 100))
    sync.asked()
    sync.on_snapshot(snapshot(100))
    sync.on_diff(diff(103, 104))
    assert sync.state is SyncState.BUFFERING
    assert sync.top(DEPTH) is None
    assert sync.wants_snapshot()
    sync.asked()
    assert sync.on_snapshot(snapshot(103))
    assert sync.top(DEPTH) is not None
    assert (counters.resyncs, counters.given_up[Sign.GAP]) == (1, 1)


def test_a_hole_in_the_buffer_starts_it_over() -> None:
    sync = DiffSync(BookCounters())
    sync.on_diff(diff(101, 105))
    sync.asked()
    sync.on_diff(diff(108, 110))
    assert not sync.on_snapshot(snapshot(105)), "it would leave a hole from 106 to 107"
    sync.asked()
    assert sync.on_snapshot(snapshot(107))


def test_an_unreadable_update_ends_the_book_and_the_next_one_starts_a_new_one() -> None:
    sync = live()
    sync.on_lost()
    assert sync.state is SyncState.WAITING
    assert sync.top(DEPTH) is None
    sync.on_diff(diff(102, 102))
    assert sync.wants_snapshot()


def test_a_crossed_book_is_not_served_and_is_given_up_after_a_second() -> None:
    sync = live()
    sync.on_diff(diff(101, 101, bids=[(11, 1)], ts_recv=0))
    assert sync.synchronised
    assert sync.top(DEPTH) is None
    sync.on_diff(diff(102, 102, bids=[(11, 0)], ts_recv=NS_PER_S))
    assert sync.top(DEPTH) is not None
    sync.on_diff(diff(103, 103, bids=[(11, 1)], ts_recv=2 * NS_PER_S))
    sync.on_diff(diff(104, 104, ts_recv=3 * NS_PER_S))
    assert sync.synchronised
    sync.on_diff(diff(105, 105, ts_recv=3 * NS_PER_S + 1))
    assert sync.state is SyncState.WAITING


def deep(counters: BookCounters) -> DiffSync:
    """A book whose snapshot ended at 41, nine bids below the best."""
    sync = DiffSync(counters)
    sync.on_diff(diff(100, 100))
    sync.asked()
    sync.on_snapshot(snapshot(100, bids=[(50 - n, 1) for n in range(10)], asks=[(60, 1), (61, 1)], limit=10))
    return sync


def test_a_book_whose_wanted_levels_leave_the_snapshots_range_is_taken_anew() -> None:
    counters = BookCounters()
    sync = deep(counters)
    assert sync.top(DEPTH) is not None
    sync.on_diff(diff(101, 101, bids=[(price, 0) for price in range(44, 51)] + [(40, 1)]))
    assert sync.top(DEPTH) is not None, "three levels of the snapshot are left"
    sync.on_diff(diff(102, 102, bids=[(43, 0)]))
    assert sync.top(DEPTH) is None, "the third level lies where the snapshot did not reach"
    assert counters.given_up[Sign.SHALLOW] == 1


def test_a_book_near_the_edge_of_its_snapshot_goes_on_while_a_new_one_is_taken() -> None:
    counters = BookCounters()
    sync = deep(counters)
    sync.on_diff(diff(101, 101, bids=[(price, 0) for price in range(47, 51)]))
    assert sync.top(DEPTH) is not None
    assert not sync.wants_snapshot(), "twice the wanted levels are left"
    sync.on_diff(diff(102, 102, bids=[(46, 0)]))
    assert sync.top(DEPTH) is not None
    assert sync.wants_snapshot()
    sync.asked()
    sync.on_diff(diff(103, 104, bids=[(45, 7)]))
    top = sync.top(DEPTH)
    assert top is not None
    assert (top.bids[0], top.ts_event) == (("45", "7"), 104)
    assert not sync.on_snapshot(snapshot(100)), "older than the updates since it was asked for"
    sync.asked()
    sync.on_diff(diff(105, 105, bids=[(44, 9)]))
    assert sync.on_snapshot(snapshot(104, bids=[(45 - n, 2) for n in range(10)], asks=[(60, 1)], limit=10))
    top = sync.top(DEPTH)
    assert top is not None
    assert (top.bids, top.ts_event) == ([("45", "2"), ("44", "9"), ("43", "2")], 105)
    assert sync.state is SyncState.LIVE
    assert (counters.resyncs, counters.renewals) == (0, 1)


@pytest.mark.parametrize("last", [101, 110])
def test_a_new_snapshot_may_come_before_any_further_update(last: int) -> None:
    sync = deep(BookCounters())
    sync.on_diff(diff(101, 101, bids=[(price, 0) for price in range(46, 51)]))
    sync.top(DEPTH)
    sync.asked()
    assert sync.on_snapshot(snapshot(last, bids=[(45 - n, 2) for n in range(10)], asks=[(60, 1)], limit=10))
    assert not sync.on_diff(diff(last, last, bids=[(45, 0)]))
    assert sync.on_diff(diff(last + 1, last + 1, bids=[(45, 0)]))


def test_a_new_snapshot_that_is_older_than_the_book_by_one_change_is_refused() -> None:
    counters = BookCounters()
    sync = deep(counters)
    sync.on_diff(diff(101, 101, bids=[(price, 0) for price in range(46, 51)]))
    sync.top(DEPTH)
    sync.asked()
    assert not sync.on_snapshot(snapshot(100, bids=[(50 - n, 1) for n in range(10)], asks=[(60, 1), (61, 1)], limit=10))
    assert counters.stale_snapshots == 1
    top = sync.top(DEPTH)
    assert top is not None
    assert top.bids[0] == ("45", "1")
    assert sync.wants_snapshot()


def test_asks_are_known_up_to_the_last_of_a_full_snapshot_and_no_further() -> None:
    sync = DiffSync(BookCounters())
    sync.on_diff(diff(100, 100))
    sync.asked()
    sync.on_snapshot(snapshot(100, bids=[(9, 1)], asks=[(10 + n, 1) for n in range(4)], limit=4))
    sync.on_diff(diff(101, 101, asks=[(10, 0)]))
    top = sync.top(DEPTH)
    assert top is not None
    assert top.asks == [("11", "1"), ("12", "1"), ("13", "1")], "the third is the last that the snapshot had"
    sync.on_diff(diff(102, 102, asks=[(11, 0), (14, 1)]))
    assert sync.top(DEPTH) is None


def test_what_can_have_changed_nothing_is_told_so() -> None:
    sync = DiffSync(BookCounters())
    assert not sync.on_snapshot(snapshot(99)), "nobody has asked for it"
    assert not sync.on_diff(diff(100, 101)), "it is only held"
    sync.asked()
    assert sync.on_snapshot(snapshot(100))
    assert not sync.on_diff(diff(100, 101)), "the book has it"
    assert not sync.on_snapshot(snapshot(105)), "nobody has asked for another"
    assert sync.on_diff(diff(102, 102))
    assert not sync.on_diff(diff(104, 104)), "the book is lost"


def test_updates_that_stay_behind_the_book_for_10_s_end_it() -> None:
    sync = live(10**15)
    sync.on_diff(diff(5, 5, ts_recv=10**15 + 10 * NS_PER_S))
    assert sync.synchronised
    sync.on_diff(diff(6, 6, ts_recv=10**15 + 10 * NS_PER_S + 1))
    assert sync.state is SyncState.WAITING
    sync.on_diff(diff(7, 7))
    assert sync.wants_snapshot()


def test_a_thin_book_is_served_as_it_is() -> None:
    sync = live()
    sync.on_diff(diff(101, 101, bids=[(10, 0), (9, 0)]))
    top = sync.top(DEPTH)
    assert top is not None
    assert (top.bids, top.asks) == ([], [("11", "1")])


def test_the_buffer_is_bounded_and_keeps_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diff_sync, "MAX_BUFFERED_CHANGES", 10)
    sync = DiffSync(BookCounters())
    for number in range(100, 200):
        sync.on_diff(diff(number, number, bids=[(5, number)], asks=[(20, number)]))
    sync.asked()
    assert not sync.on_snapshot(snapshot(193)), "the first update that follows on it is gone"
    sync.asked()
    assert sync.on_snapshot(snapshot(194)), "five updates of two changes each are not"
    top = sync.top(DEPTH)
    assert top is not None
    assert top.bids[-1] == ("5", "199")


def test_a_book_that_grows_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diff_sync, "MAX_LEVELS", 10)
    sync = live()
    sync.on_diff(diff(101, 101, asks=[(20 + n, 1) for n in range(11)]))
    assert sync.state is SyncState.WAITING


def test_every_loss_of_a_live_book_is_counted_under_its_own_name() -> None:
    assert set(BookCounters().given_up) == {Sign.GAP, Sign.LOST, Sign.CROSSED, Sign.SHALLOW, Sign.OVERGROWN}


def test_the_table_leads_into_a_live_book_by_a_fitting_snapshot_only() -> None:
    ways = [way for way, state in TRANSITIONS.items() if state is SyncState.LIVE]
    assert ways == [(SyncState.BUFFERING, Sign.FITS), (SyncState.RENEWING, Sign.FITS)]


class Exchange:
    """A venue with one true book, and a network that delays, loses and repeats its updates."""

    def __init__(self, rng: Random, limit: int) -> None:
        self.rng = rng
        self.limit = limit
        self.last = 0
        self.bids: Levels = dict.fromkeys(range(1, 13), 1)
        self.asks: Levels = dict.fromkeys(range(21, 33), 1)
        self.truth: dict[int, tuple[Levels, Levels]] = {}
        self.sent: list[Diff] = []
        self.on_the_way: deque[Diff] = deque()

    def trade(self) -> None:
        """One update: it enters the true book, and usually the network."""
        first, self.last = self.last + 1, self.last + self.rng.randint(1, 3)
        bids = [(self.rng.randint(1, 12), self.rng.choice((0, 0, 1, 2))) for _ in range(self.rng.randint(0, 4))]
        asks = [(self.rng.randint(21, 32), self.rng.choice((0, 0, 1, 2))) for _ in range(self.rng.randint(0, 4))]
        for side, new in ((self.bids, bids), (self.asks, asks)):
            for price, size in new:
                side.pop(price, None)
                if size:
                    side[price] = size
        self.truth[self.last] = (dict(self.bids), dict(self.asks))
        self.sent.append(diff(first, self.last, bids, asks))
        if self.rng.random() > 0.02:
            self.on_the_way.append(self.sent[-1])

    def book(self) -> Snapshot:
        """The best levels as they are now."""
        bids, asks = sorted(self.bids.items(), reverse=True), sorted(self.asks.items())
        return snapshot(self.last, bids[: self.limit], asks[: self.limit], self.limit)


@given(st.integers(0, 2**32), st.sampled_from([5, 7, LIMIT]))
def test_whatever_is_lost_repeated_or_late_a_served_book_is_the_true_book(seed: int, limit: int) -> None:
    """The venue's own book after every update is the truth; a served book names the update it stands for."""
    rng = Random(seed)
    exchange = Exchange(rng, limit)
    sync = DiffSync(BookCounters())
    answer: Snapshot | None = None
    served = 0
    for _ in range(300):
        exchange.trade()
        while exchange.on_the_way and (len(exchange.on_the_way) > 4 or rng.random() < 0.6):
            sync.on_diff(exchange.on_the_way.popleft())
            if rng.random() < 0.02:
                sync.on_diff(rng.choice(exchange.sent[: -len(exchange.on_the_way) or None]))
        if rng.random() < 0.01:
            sync.on_lost()
        if sync.wants_snapshot():
            sync.asked()
            answer = exchange.book()
        elif answer is not None and rng.random() < 0.1:
            answer = exchange.book()
        if answer is not None and rng.random() < 0.3:
            if rng.random() < 0.9:
                sync.on_snapshot(answer)
            else:
                sync.on_snapshot_unreadable()
            answer = None
        top = sync.top(DEPTH)
        if top is not None:
            served += 1
            bids, asks = exchange.truth[top.ts_recv]
            assert top.bids == [(str(price), str(bids[price])) for price in sorted(bids, reverse=True)[:DEPTH]]
            assert top.asks == [(str(price), str(asks[price])) for price in sorted(asks)[:DEPTH]]
    assert served > 30
