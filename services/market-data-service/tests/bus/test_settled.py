"""A sink that has taken an event has not brought it home yet: what was on disk stays there until it has."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from app.bus import STORAGE, Buffer
from app.journal import Journal
from md_contract.events import Event, Trade

CAPACITY = 20
MAX_BYTES = 8 * 8 * 1024
MOST_OWED = 200  # a third of what the journal has room for: what happens when it is full is no matter here
IN_MEMORY = Path("/dev/shm")


def trade(number: int) -> Trade:
    return Trade("x", "BTCUSDT", number, "1", "1", str(number))


class Sink:
    """Takes as many as there is room for, and brings them home when it is told to."""

    def __init__(self, folder: Path) -> None:
        self.room = 0
        self.taken: list[int] = []
        self.home = 0
        self.journal = Journal(folder, MAX_BYTES, block_bytes=300)
        self.buffer = Buffer(
            "sink", self.take, CAPACITY, lambda: None, STORAGE, self.journal, settled=lambda: self.home
        )

    def take(self, event: Event) -> bool:
        if not self.room:
            return False
        self.room -= 1
        self.taken.append(event.ts_recv)
        return True

    def drain(self) -> None:
        while self.buffer.drain(1_000):
            pass


@pytest.fixture
def sink(tmp_path: Path) -> Sink:
    made = Sink(tmp_path / "j")
    for number in range(60):
        made.buffer.put(trade(number))
    made.buffer.journal.flush()  # type: ignore[union-attr]  # it has one
    assert made.journal.records == 40
    return made


def left_by(folder: Path) -> list[int]:
    journal = Journal(folder, MAX_BYTES)
    found: list[int] = []
    while events := journal.read(1_000):
        found += [event.ts_recv for event in events]
        journal.release(len(events))
    journal.close()
    return found


def killed(sink: Sink, tmp_path: Path) -> list[int]:
    """What a run would find that begins after this one is killed now."""
    copy = Path(tempfile.mkdtemp(dir=tmp_path)) / "j"
    shutil.copytree(tmp_path / "j", copy)
    return left_by(copy)


def test_what_was_taken_and_not_brought_home_outlives_a_kill(sink: Sink, tmp_path: Path) -> None:
    sink.room = 30
    sink.drain()
    assert sink.taken == list(range(25)), "memory, then one batch from the disk, and no second one"
    assert killed(sink, tmp_path) == list(range(20, 60))
    sink.home = 22
    sink.drain()
    assert killed(sink, tmp_path) == list(range(22, 60))
    assert sink.buffer.unsettled


def test_the_next_batch_is_read_when_the_last_one_is_home(sink: Sink) -> None:
    sink.room = 100
    sink.drain()
    for home in (24, 25, 30, 35):
        sink.home = home
        sink.drain()
        assert len(sink.taken) == {24: 25, 25: 30, 30: 35, 35: 40}[home]
    assert sink.taken == list(range(40))


@pytest.mark.parametrize(("settles", "batch"), [(True, 1_000), (False, 256)])
def test_from_the_disk_come_as_many_at_a_time_as_make_a_transaction_or_else_few(
    tmp_path: Path, settles: bool, batch: int
) -> None:
    capacity = 4_000
    answers = iter([False] + [True] * (capacity + 1))
    journal = Journal(tmp_path / "j", 8 << 20)
    buffer = Buffer(
        "sink", lambda _: next(answers), capacity, lambda: None, STORAGE, journal,
        settled=(lambda: 0) if settles else None,
    )  # fmt: skip
    for number in range(2 * capacity):
        buffer.put(trade(number))
    assert journal.records == capacity
    assert buffer.drain(capacity + 1) == capacity + 1
    assert capacity - journal.records == batch
    journal.close()


def test_everything_home_leaves_nothing_behind(sink: Sink, tmp_path: Path) -> None:
    sink.room = 100
    while not sink.buffer.empty or sink.buffer.unsettled:
        sink.drain()
        sink.home = len(sink.taken)
    assert sink.taken == list(range(60))
    assert killed(sink, tmp_path) == []


def test_what_is_given_back_at_the_end_is_on_disk_once(sink: Sink, tmp_path: Path) -> None:
    sink.room = 25
    sink.drain()
    sink.home = 21
    sink.buffer.give_back([trade(number) for number in range(21, 25)])
    assert sink.buffer.abandon() == 0
    account = sink.buffer.accounts[Trade]
    assert (account.delivered, account.spilled, account.queued, account.difference) == (21, 39, 0, 0)
    assert left_by(tmp_path / "j") == list(range(21, 60))


def test_what_is_neither_home_nor_given_back_stays_on_disk(sink: Sink, tmp_path: Path) -> None:
    sink.room = 23
    sink.drain()
    sink.home = 20
    sink.buffer.abandon()
    assert set(left_by(tmp_path / "j")) == set(range(20, 60))


def test_of_what_is_not_home_some_is_given_back_and_the_rest_stays_on_disk_too(sink: Sink, tmp_path: Path) -> None:
    sink.room = 25
    sink.drain()
    sink.home = 21
    sink.buffer.give_back([trade(number) for number in (22, 23, 24)])
    sink.buffer.abandon()
    assert set(left_by(tmp_path / "j")) == set(range(21, 60))


def test_what_was_given_back_and_is_taken_again_outlives_a_kill_until_it_is_home(sink: Sink, tmp_path: Path) -> None:
    sink.room = 25
    sink.drain()
    sink.home = 20
    sink.buffer.give_back([trade(number) for number in (22, 23, 24)])
    del sink.taken[22:]
    sink.room = 2
    sink.drain()
    assert sink.taken == list(range(24))
    sink.home = 24
    sink.drain()
    assert set(killed(sink, tmp_path)) >= set(range(24, 60)), "24 has been taken once, and given back"
    sink.room = 100
    for _ in range(10):
        sink.drain()
        assert set(killed(sink, tmp_path)) >= set(range(sink.home, 60))
        sink.home = len(sink.taken)
    assert sink.taken == list(range(60))
    assert killed(sink, tmp_path) == []
    assert not sink.buffer.unsettled


class SettlingAgainstList(RuleBasedStateMachine):
    """Runs that end in order, and runs that are killed, one after another on one folder."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="settled", dir=IN_MEMORY if IN_MEMORY.is_dir() else None))
        self.runs = self.number = 0
        self.on_disk: set[int] = set()  # ever, and not known to be home
        self._begin([])

    def teardown(self) -> None:
        self.sink.journal.close()
        shutil.rmtree(self.root)

    def _begin(self, left: list[int]) -> None:
        self.sink = Sink(self.root / str(self.runs))
        self.owed = list(left)  # in order: what is not home
        self.on_disk = set(left)
        append = self.sink.journal.append

        def appended(event: Event) -> bool:
            taken = append(event)
            if taken:
                self.on_disk.add(event.ts_recv)
            return taken

        self.sink.journal.append = appended  # type: ignore[method-assign]  # to see what goes there

    @rule(count=st.integers(1, 40))
    def put(self, count: int) -> None:
        for _ in range(min(count, MOST_OWED - len(self.owed))):
            self.number += 1
            self.owed.append(self.number)
            self.sink.buffer.put(trade(self.number))

    @rule(room=st.integers(0, 60), limit=st.integers(1, 60))
    def take(self, room: int, limit: int) -> None:
        self.sink.room = room
        self.sink.buffer.drain(limit)

    @rule(share=st.floats(0, 1))
    def bring_home(self, share: float) -> None:
        sink = self.sink
        more = round((len(sink.taken) - sink.home) * share)
        gone = sink.taken[sink.home : sink.home + more]
        sink.home += more
        assert self.owed[:more] == gone, "in the order in which they came"
        self.owed = self.owed[more:]
        self.on_disk -= set(gone)
        sink.buffer.drain(1)

    @rule(kept=st.integers(0, 30))
    def give_back_and_go_on(self, kept: int) -> None:
        """All but some of what it has not brought home, the youngest."""
        sink = self.sink
        again = sink.taken[sink.home + kept :]
        del sink.taken[sink.home + kept :]
        sink.buffer.give_back([trade(number) for number in again])

    @rule()
    def kill(self) -> None:
        self.sink.journal.flush()
        shutil.copytree(self.root / str(self.runs), self.root / str(self.runs + 1))
        self.sink.journal.close()
        self.runs += 1
        left = left_by(self.root / str(self.runs))
        self._compare(left)
        assert set(left) >= self.on_disk & set(self.owed)
        self._again(left)

    @rule()
    def end(self) -> None:
        sink = self.sink
        sink.buffer.give_back([trade(number) for number in sink.taken[sink.home :]])
        assert sink.buffer.abandon() == 0
        account = sink.buffer.accounts[Trade]
        assert account.difference == account.queued == account.dropped == 0
        left = left_by(self.root / str(self.runs))
        assert left == self.owed, "each once, in order"
        self._again(left)

    def _compare(self, left: list[int]) -> None:
        assert left == [number for number in self.owed if number in set(left)], "each once, in order, none that is home"

    def _again(self, left: list[int]) -> None:
        """`left_by` has read them away: put them there again as an earlier run would have left them."""
        shutil.rmtree(self.root / str(self.runs))
        earlier = Journal(self.root / str(self.runs), MAX_BYTES)
        assert all(earlier.append(trade(number)) for number in left)
        earlier.close()
        self._begin(left)

    @invariant()
    def nothing_is_handed_over_twice_or_out_of_order(self) -> None:
        unsettled = self.sink.taken[self.sink.home :]
        assert unsettled == self.owed[: len(unsettled)]


TestSettlingAgainstList = SettlingAgainstList.TestCase
TestSettlingAgainstList.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
