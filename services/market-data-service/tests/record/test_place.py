"""Where a run is in the stream, against a stream and a consumer that are lists: nothing is left out, nothing is
acknowledged that is not home, and only what is deleted is called so.
"""

import bisect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.record.place import LeftOut, Place

MADE = "2026-11-22T00:00:00Z"


def begun(*, floor: int | None = None, first_seq: int = 1, last_seq: int = 1_000) -> Place:
    """A run that has just found its consumer."""
    place = Place()
    place.begin(MADE, first_seq, last_seq, floor)
    place.given_up_to(floor or 0)
    return place


def taken(place: Place, *numbers: int) -> list[LeftOut]:
    """Give these out, acknowledged on their number when as many are home; return what is deleted for certain."""
    told = []
    for seq in numbers:
        _, gone = place.take(seq, 10 * seq)
        told += [gone] if gone is not None else []
        place.note(seq, f"ack {seq}")
    return told


@pytest.mark.parametrize(
    ("floor", "first_seq", "last_seq", "start"),
    [
        (None, 0, 0, 1),  # an empty stream
        (None, 7, 20, 7),  # no consumer: all that there is
        (12, 7, 20, 13),  # where the last run ended
        (0, 7, 20, 1),  # a consumer that has given out nothing
        (21, 7, 20, 7),  # a consumer of another stream
    ],
)
def test_a_run_begins_where_the_consumer_says_the_last_one_ended(
    floor: int | None, first_seq: int, last_seq: int, start: int
) -> None:
    assert begun(floor=floor, first_seq=first_seq, last_seq=last_seq).start == start


def test_a_run_knows_better_than_the_consumer_from_then_on() -> None:
    place = begun(floor=4)
    taken(place, 5, 6)
    place.begin(MADE, 1, 1_000, 900)
    assert (place.taken, place.start) == (6, 5)


def test_what_follows_is_taken_and_what_was_taken_is_not_taken_again() -> None:
    place = begun(floor=4)
    assert [place.take(seq, seq)[0] for seq in (4, 5, 5, 6, 3, 7)] == [False, True, False, True, False, True]
    assert (place.repeated, place.taken, place.taken_ns) == (3, 7, 7)


def test_once_the_consumer_goes_on_where_this_run_is_what_it_leaves_out_is_deleted() -> None:
    place = begun(floor=4)
    assert taken(place, 5, 8) == [LeftOut(6, 7, 80)]
    assert place.doubt is None
    assert place.due(8) == "ack 8"


def test_what_comes_again_shows_as_well_that_nothing_is_left_out() -> None:
    place = begun(floor=4)
    assert taken(place, 4, 8) == [LeftOut(5, 7, 80)]


def test_what_was_gone_before_the_run_began_needs_no_question() -> None:
    assert taken(begun(floor=4, first_seq=9), 9) == [LeftOut(5, 8, 90)]
    doubtful = begun(floor=4, first_seq=8)
    assert (taken(doubtful, 9), doubtful.doubt) == ([], LeftOut(5, 8, 90)), "the stream had the 8th"


def test_nothing_is_acknowledged_while_something_before_it_is_in_doubt() -> None:
    place = begun(floor=4)
    assert taken(place, 7, 8, 11) == [], "nor is anything called deleted, although 8 follows on 7"
    assert (place.due(1_000), place.unacknowledged) == ("", 3)
    assert place.settle(None) == (LeftOut(5, 6, 70), LeftOut(9, 10, 110))
    assert (place.doubt, place.due(1_000)) == (None, "ack 11")


@pytest.mark.parametrize(("there", "exists"), [(None, False), (7, False), (6, True), (5, True)])
def test_the_stream_is_believed_about_what_was_left_out(there: int | None, exists: bool) -> None:
    place = begun(floor=4)
    taken(place, 7)
    gone = place.settle(there)
    assert gone == (None if exists else (LeftOut(5, 6, 70),))
    assert (place.taken, place.start) == ((4, 5) if exists else (7, 7))


def test_back_before_what_was_left_out_everything_is_taken_once_more() -> None:
    place = begun()
    taken(place, 1, 2)
    place.given_up_to(2)  # the consumer was made anew, by us
    taken(place, 9, 10)
    assert place.settle(3) is None
    assert (place.taken, place.taken_ns, place.start, place.unacknowledged) == (2, 20, 1, 4), "none of them is home"
    place.consumer_is_gone()
    place.given_up_to(0)
    assert [place.take(seq, 10 * seq)[0] for seq in (1, 2, 3, 9)] == [False, False, True, True]


def test_whatever_was_left_out_later_it_is_back_before_the_first_that_was() -> None:
    place = begun()
    assert taken(place, 1, 2) == []
    place.given_up_to(2)
    assert taken(place, 5, 6, 9, 10, 20) == []
    assert place.settle(4) is None
    assert (place.taken, place.taken_ns, place.doubt) == (2, 20, None), "and the later ones are not told of now"


def test_a_new_consumer_is_not_trusted_before_it_has_shown_where_it_is() -> None:
    place = begun()
    taken(place, 1, 2)
    place.given_up_to(2)
    assert (taken(place, 5), place.doubt) == ([], LeftOut(3, 4, 50))


@pytest.mark.parametrize(("made", "last_seq", "is_other"), [(MADE, 6, False), (MADE, 5, True), ("later", 1_000, True)])
def test_numbers_mean_other_messages_in_a_stream_made_anew(made: str, last_seq: int, is_other: bool) -> None:
    assert not Place().is_of_other_stream(made, last_seq), "there was none before"
    place = begun(floor=4)
    taken(place, 5, 6)
    assert place.is_of_other_stream(made, last_seq) is is_other


def test_what_went_with_a_stream_begins_behind_what_was_taken_and_is_told_once() -> None:
    place = begun(floor=4)
    taken(place, 5, 6)
    assert place.stream_is_gone("later", 1) == 7
    assert not place.is_of_other_stream("later", 0), "the next look finds it known"
    assert (place.taken, place.taken_ns, place.start, place.unacknowledged) == (0, 0, 1, 2)
    assert place.due(5) == "", "its consumer went with it"
    taken(place, 1)
    assert (place.taken, place.due(6)) == (1, "ack 1")


def test_what_was_in_doubt_went_with_the_stream_too() -> None:
    place = begun(floor=4)
    taken(place, 9)
    assert place.stream_is_gone("later", 1) == 5
    assert place.doubt is None


class World:
    """A stream, its consumer, and one run that reads it as the reader does; others may move the consumer."""

    def __init__(self) -> None:
        self.there: list[int] = []  # ascending
        self.last = 0
        self.position = 0  # the consumer's: it gives out what is behind
        self.place = Place()
        self.put: list[int] = []  # the stream's number of all that went into the buffer, in this order
        self.home = 0  # how many of these are home
        self.deleted: list[int] = []  # as told
        self.floor = 0
        self.begin(0)

    def publish(self, count: int) -> None:
        self.there += range(self.last + 1, self.last + count + 1)
        self.last += count

    def delete(self, at: int) -> None:
        if self.there:
            del self.there[at % len(self.there)]

    def discard(self, count: int) -> None:
        del self.there[:count]

    def begin(self, off: int) -> None:
        """Make the consumer anew, and have somebody move it so many numbers before it has given out anything."""
        first_seq = self.there[0] if self.there else self.last + 1
        self.settle(anew=False)
        self.place.begin(MADE, first_seq, self.last, None)
        self.place.consumer_is_gone()
        self.position = self.place.start - 1
        self.place.given_up_to(self.position)
        self.position = max(0, self.position + off)

    def give(self, count: int) -> None:
        for _ in range(count):
            at = bisect.bisect_right(self.there, self.position)
            if at == len(self.there):
                return
            seq = self.position = self.there[at]
            is_new, gone = self.place.take(seq, seq)
            if is_new:
                self.put.append(seq)
            self.told(gone)
            self.place.note(len(self.put), str(seq))

    def settle(self, *, anew: bool = True) -> None:
        doubt = self.place.doubt
        if doubt is None:
            return
        at = bisect.bisect_left(self.there, doubt.first)
        gone = self.place.settle(self.there[at] if at < len(self.there) else None)
        if gone is not None:
            self.told(*gone)
        elif anew:
            self.begin(0)

    def told(self, *gone: LeftOut | None) -> None:
        for left_out in gone:
            if left_out is not None:
                numbers = range(left_out.first, left_out.last + 1)
                assert not set(numbers) & set(self.there), "told of what the stream has"
                self.deleted += numbers

    def write(self, count: int) -> None:
        self.home = min(len(self.put), self.home + count)
        if due := self.place.due(self.home):
            self.floor = max(self.floor, int(due))
            self.place.acknowledged()
        assert set(range(1, self.floor + 1)) <= {*self.put[: self.home], *self.deleted}, "acknowledged too early"


STEPS = st.one_of(
    st.tuples(st.just("publish"), st.integers(1, 8)),
    st.tuples(st.just("give"), st.integers(1, 6)),
    st.tuples(st.just("write"), st.integers(1, 6)),
    st.tuples(st.just("delete"), st.integers(0, 30)),
    st.tuples(st.just("discard"), st.integers(1, 4)),
    st.tuples(st.just("begin"), st.integers(-6, 12)),
    st.tuples(st.just("settle"), st.none()),
)


@given(st.lists(STEPS, max_size=60))
def test_all_that_is_not_deleted_is_taken_and_all_that_is_not_taken_is_told(
    steps: list[tuple[str, int | None]],
) -> None:
    world = World()
    for step, amount in steps:
        getattr(world, step)(*([] if amount is None else [amount]))
    world.publish(20)  # beyond wherever the consumer was moved to
    for _ in range(3):  # what is in doubt may be found to be there, and is read once more
        world.give(10_000)
        world.settle()
    world.write(10_000)
    numbers = set(range(1, world.last + 1))
    assert {*world.put, *world.deleted} == numbers
    assert len(world.deleted) == len(set(world.deleted)), "each is told once"
    assert world.floor == world.last
