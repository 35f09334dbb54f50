"""Holes in `seq`, against a plain count of what was left out."""

from hypothesis import given
from hypothesis import strategies as st

from app.record.sequence import EPOCHS_KEPT, MOST_LOST_AT_ONCE, Hole, Sequences

SUBJECT = "md.events.trade.BTCUSDT"


def take(sequences: Sequences, *numbers: tuple[int, int]) -> list[Hole]:
    return [hole for epoch, seq in numbers for hole in sequences.step(SUBJECT, epoch, seq)]


@given(first=st.integers(1, 1000), heard=st.lists(st.booleans(), min_size=1, max_size=60))
def test_the_holes_are_what_was_not_heard_between_the_first_and_the_last(first: int, heard: list[bool]) -> None:
    numbers = [first + at for at, was in enumerate(heard) if was]
    named = [
        number
        for hole in take(Sequences(10), *((7, number) for number in numbers))
        for number in range(hole.first, int(hole.last or 0) + 1)
    ]
    assert sorted([*numbers, *named]) == list(range(numbers[0], numbers[-1] + 1)) if numbers else not named


@given(st.lists(st.tuples(st.sampled_from([3, 4, 5]), st.integers(1, 9)), max_size=60))
def test_producers_that_take_turns_are_followed_one_by_one(steps: list[tuple[int, int]]) -> None:
    numbers, holes = [(3, 1), (4, 1), (5, 1)], 0
    at = {epoch: 1 for epoch, _ in numbers}
    for epoch, ahead in steps:
        at[epoch] += ahead
        holes += ahead > 1
        numbers.append((epoch, at[epoch]))
    found = take(Sequences(10), *numbers)
    assert len(found) == holes
    assert sum(hole.missing or 0 for hole in found) == sum(ahead - 1 for _, ahead in steps)


def test_what_went_out_before_the_first_message_is_no_hole_but_the_beginning_of_a_later_epoch_is() -> None:
    assert take(Sequences(10), (7, 400), (8, 3), (8, 4)) == [Hole(8, 1, 2)]


def test_repetitions_and_numbers_that_say_nothing_are_no_holes() -> None:
    assert take(Sequences(10), (7, 5), (7, 5), (7, 4), (0, 9), (7, 0), (-1, 3), (7, 6)) == []
    assert take(Sequences(10), (7, 1), (7, 2), (7, 3), (7, 1), (7, 4)) == [], "the very first one, too"
    assert take(Sequences(10), (7, 1), (7, 5), (7, 4), (7, 6)) == [Hole(7, 2, 4)], "and one of those before a hole"
    assert take(Sequences(10), (7, 1), (7, 2), (7, 3), (7, 2), (7, 4)) == [], "the second one is no other than the rest"
    assert take(Sequences(10), (7, 0), (7, 5)) == [], "the first that says something comes later"


def test_the_first_epoch_and_the_first_number_count_as_any_other() -> None:
    assert take(Sequences(10), (1, 1), (1, 3)) == [Hole(1, 2, 2)]


def test_as_many_producers_as_are_followed_take_turns_without_a_hole() -> None:
    assert take(Sequences(10), *((epoch, seq) for seq in range(1, 6) for epoch in (3, 4, 5, 6))) == []


def test_a_wrong_jump_silences_nobody() -> None:
    far = 5 + MOST_LOST_AT_ONCE + 1
    assert take(Sequences(10), (7, 5), (7, far), (7, 6), (7, 8)) == [Hole(7, 7, 7)]
    assert take(Sequences(10), (7, 5), (7, far), (7, far + 1)) == [Hole(7, 6, far)], "it goes on from there"
    assert take(Sequences(10), (7, 5), (7, 900), (7, 6), (7, 8)) == [Hole(7, 6, 899), Hole(7, 7, 7)]
    assert take(Sequences(10), (7, 5), (7, far - 1)) == [Hole(7, 6, far - 2)], "just not too far to be believed"


def test_going_back_before_a_hole_is_believed_once() -> None:
    assert take(Sequences(10), (7, 1), (7, 5), (7, 2), (7, 3), (7, 2), (7, 4)) == [Hole(7, 2, 4)]


def test_the_end_of_an_epoch_that_passed_unheard_is_told_once_and_of_unknown_length() -> None:
    sequences = Sequences(10)
    take(sequences, (7, 5))
    sequences.was_away()
    assert take(sequences, (8, 1), (8, 2)) == [Hole(7, 6, None)]
    assert take(sequences, (9, 1)) == []
    assert Hole(7, 6, None).missing is None


def test_memory_is_bounded() -> None:
    sequences = Sequences(1)
    assert take(sequences, (7, 1)) == []
    assert sequences.step("another", 7, 1) == ()
    assert sequences.unchecked == 1
    assert take(sequences, *((epoch, 1) for epoch in range(8, 8 + EPOCHS_KEPT)), (7, 9)) == [Hole(7, 1, 8)]
