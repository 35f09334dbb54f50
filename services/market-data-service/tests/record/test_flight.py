"""What may be acknowledged: never anything that is not in the store."""

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.bus import Buffer
from app.record.flight import Flight, Home
from app.record.recorder import RECORD
from app.storage.rows import Storable
from md_contract.events import Trade

CAPACITY = 10


class Desk:
    """A buffer before a store that takes when it has room, and writes when it is told to."""

    def __init__(self, journal: Any = None) -> None:
        self.pending = 0
        self.settled = 0
        self.room = 0
        self.put = 0
        self.lost = 0
        self.buffer: Buffer[Storable] = Buffer("storage", self.take, CAPACITY, lambda: None, RECORD, journal)
        self.home = Home(self.buffer, settled=lambda: self.settled, pending=lambda: self.pending)

    def take(self, _: Storable) -> bool:
        if self.lost:
            self.lost -= 1
            raise ValueError
        if self.room:
            self.room -= 1
            self.pending += 1
            return True
        return False

    def add(self, count: int) -> None:
        for _ in range(count):
            self.put += 1
            self.buffer.put(Trade("binance", "BTCUSDT", self.put, "1", "1", str(self.put)))

    def open(self, room: int) -> None:
        self.room = room
        self.buffer.drain(room)

    def write(self, count: int) -> None:
        written = min(count, self.pending)
        self.pending -= written
        self.settled += written

    @property
    def count(self) -> int:
        return self.home.count(self.put)


def test_what_is_in_memory_or_on_its_way_is_not_home() -> None:
    desk = Desk()
    desk.add(5)
    assert desk.count == 0
    desk.open(3)
    assert desk.count == 0
    desk.write(2)
    assert desk.count == 2
    desk.open(2)
    desk.write(3)
    assert desk.count == 5


def test_what_an_earlier_run_left_on_disk_is_written_first_and_does_not_count() -> None:
    journal = SimpleNamespace(records=4)
    desk = Desk(journal)
    desk.pending = 4  # handed over from the disk, all that there was
    journal.records = 0
    desk.add(2)
    desk.open(2)
    desk.write(4)
    assert desk.count == 0
    desk.write(1)
    assert desk.count == 1


@given(st.lists(st.tuples(st.sampled_from(("add", "open", "write", "lose")), st.integers(1, 4)), max_size=40))
def test_never_more_is_home_than_the_store_has_and_in_the_end_all(steps: list[tuple[str, int]]) -> None:
    desk, counts = Desk(), [0]
    for step, amount in steps:
        if step == "lose":
            desk.lost += amount  # the next ones that are handed over break something, and are dropped with a count
        else:
            getattr(desk, step)(amount)
        dropped = sum(account.dropped for account in desk.buffer.accounts.values())
        assert desk.count <= desk.settled + dropped
        counts.append(desk.count)
    assert counts == sorted(counts)
    desk.lost = 0
    desk.open(1_000)
    desk.write(1_000)
    assert desk.count == desk.put


def test_at_the_end_what_is_put_aside_on_disk_is_not_home() -> None:
    desk = Desk()
    desk.add(5)
    desk.open(2)
    desk.write(1)
    desk.home.finish()
    desk.pending = 0  # given back
    desk.buffer.abandon()
    assert desk.buffer.empty
    assert desk.count == 1


def test_one_acknowledgement_stands_for_all_that_came_home() -> None:
    flight = Flight()
    for seq, put in enumerate((1, 2, 2, 4), 1):  # nobody wanted the third
        flight.note(seq, put, f"$JS.ACK.{put}.{seq - 1}")
    assert (flight.due(0), len(flight)) == ("", 4)
    assert (flight.due(3), len(flight)) == ("$JS.ACK.2.2", 1)
    assert flight.due(3) == "$JS.ACK.2.2", "until it is done"
    flight.acknowledged()
    assert flight.due(3) == ""


def test_what_a_lost_consumer_gave_out_is_still_not_home_and_comes_again() -> None:
    flight = Flight()
    for seq in (5, 6, 7, 8):
        flight.note(seq, seq, f"old {seq}")
    flight.forget()
    assert (flight.due(5), len(flight), flight.oldest) == ("", 3, 6), "nothing goes to a consumer that is gone"
    flight.note(5, 8, "new 5")
    assert flight.due(5) == "new 5", "it came home meanwhile"
    flight.acknowledged()
    flight.note(6, 8, "new 6")
    flight.note(7, 8, "new 7")
    flight.note(8, 8, "new 8")
    assert (flight.due(7), len(flight), flight.oldest) == ("new 7", 1, 8), "as early as they would have been"


def test_numbers_that_mean_something_else_from_now_on_are_not_home_either() -> None:
    flight = Flight()
    for seq in (5, 6, 7, 8):
        flight.note(seq, seq - 4, f"old {seq}")
    flight.forget(after=6)
    assert (len(flight), flight.oldest) == (4, 5)
    flight.note(7, 5, "new 7")
    assert len(flight) == 5
    assert (flight.due(4), len(flight)) == ("", 1)
    assert (flight.due(5), len(flight)) == ("new 7", 0)
