"""Holes, duplicates and new epochs of a (type, symbol), against a plain reckoning of what was sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from senpai.md_consumer.subscriber.sequence import REBASE_AFTER, UNKNOWN_AMOUNT, Sequences, Stream


def _stream(sequences: Sequences) -> Stream:
    stream = sequences.open("trade", "BTCUSDT")
    assert stream is not None
    return stream


def test_the_first_message_is_no_hole_wherever_it_stands() -> None:
    sequences = Sequences(10)
    stream = _stream(sequences)
    assert sequences.admit(stream, epoch=1, seq=500)
    assert stream.missing == 0
    assert sequences.holes["trade"] == 0


def test_a_jump_says_exactly_how_much_is_missing() -> None:
    sequences = Sequences(10)
    stream = _stream(sequences)
    for seq in (1, 2, 6, 7, 10):
        assert sequences.admit(stream, epoch=1, seq=seq)
    assert stream.missing == 3 + 2
    assert (sequences.holes["trade"], sequences.missing["trade"]) == (2, 5)


def test_repeats_and_steps_back_are_duplicates() -> None:
    sequences = Sequences(10)
    stream = _stream(sequences)
    admitted = [sequences.admit(stream, epoch=1, seq=seq) for seq in (5, 5, 4, 6, 1)]
    assert admitted == [True, False, False, True, False]
    assert sequences.duplicates["trade"] == 3


def test_a_new_epoch_misses_an_unknown_amount_and_starts_again() -> None:
    sequences = Sequences(10)
    stream = _stream(sequences)
    sequences.admit(stream, epoch=1, seq=100)
    assert sequences.admit(stream, epoch=2, seq=1)
    assert stream.missing == UNKNOWN_AMOUNT
    assert sequences.new_epochs["trade"] == 1
    assert sequences.holes["trade"] == 0
    assert sequences.admit(stream, epoch=2, seq=2)
    assert not sequences.admit(stream, epoch=2, seq=2)


def test_two_producers_that_take_turns_are_both_followed() -> None:
    sequences = Sequences(10)
    stream = _stream(sequences)
    admitted = [sequences.admit(stream, *at) for at in ((1, 1), (2, 1), (1, 2), (2, 2), (1, 2), (2, 4))]
    assert admitted == [True, True, True, True, False, True]
    assert sequences.new_epochs["trade"] == 1
    assert sequences.missing["trade"] == 1


def test_events_without_a_sequence_are_let_through() -> None:
    sequences = Sequences(10)
    stream = _stream(sequences)
    assert all(sequences.admit(stream, epoch=epoch, seq=seq) for epoch, seq in ((0, 0), (0, 0), (0, 7), (0, 7), (3, 0)))
    assert (stream.epoch, stream.seq, stream.missing) == (0, 0, 0)


def test_one_number_far_ahead_is_not_believed_and_harms_nobody() -> None:
    sequences = Sequences(1)
    stream = _stream(sequences)
    assert all(sequences.admit(stream, 1, seq) for seq in (1, 2, 3))
    assert not sequences.is_plausible(stream, 1, 1_000_000_003 + 1)
    assert sequences.is_plausible(stream, 1, 4)
    assert sequences.admit(stream, 1, 4)
    assert (sequences.missing["trade"], sequences.duplicates["trade"]) == (0, 0)


def test_a_jump_far_ahead_is_believed_when_the_next_message_goes_on_from_there() -> None:
    sequences = Sequences(1)
    stream = _stream(sequences)
    sequences.admit(stream, 1, 1)
    assert not sequences.is_plausible(stream, 1, 5_000_000)
    assert sequences.is_plausible(stream, 1, 5_000_001)
    assert sequences.admit(stream, 1, 5_000_001)
    assert sequences.missing["trade"] == 4_999_999


@pytest.mark.parametrize(("epoch", "seq"), [(1, 2**63), (2**63, 1), (10**30, 1), (1, -1)])
def test_numbers_that_no_counter_reaches_are_not_believed(epoch: int, seq: int) -> None:
    assert not Sequences(1).is_plausible(_stream(Sequences(1)), epoch, seq)


def test_streams_beyond_the_bound_are_not_followed_and_counted() -> None:
    sequences = Sequences(2)
    opened = [sequences.open("trade", symbol) for symbol in "ABCD"]
    assert [stream is not None for stream in opened] == [True, True, False, False]
    assert (len(sequences), sequences.unchecked) == (2, 2)


def test_epochs_of_one_stream_are_bounded() -> None:
    sequences = Sequences(1)
    stream = _stream(sequences)
    for epoch in range(1, 1_000):
        sequences.admit(stream, epoch, 1)
    assert len(stream.earlier) < 10


@given(
    lost=st.sets(st.integers(2, 60)),
    repeated=st.lists(st.integers(1, 60), max_size=10),
)
def test_missing_is_what_was_lost_whatever_is_repeated(lost: set[int], repeated: list[int]) -> None:
    """Messages 1 to 60, some lost, some delivered a second time later; after the last one it all adds up."""
    arriving = [seq for seq in range(1, 61) if seq not in lost or seq == 60]
    for seq in repeated:
        if seq in arriving:
            arriving.insert(arriving.index(seq) + 1, seq)
    sequences = Sequences(1)
    stream = _stream(sequences)
    admitted = [seq for seq in arriving if sequences.admit(stream, epoch=1, seq=seq)]
    assert admitted == sorted(set(arriving))
    assert sequences.missing["trade"] == 60 - len(set(arriving))
    assert sequences.duplicates["trade"] == len(arriving) - len(set(arriving))


FORGED = 10**15


def _after_a_forged_jump(sequences: Sequences, *, fresh: bool = False) -> Stream:
    """A stream at 500 that two forged numbers in a row have sent far ahead."""
    stream = _stream(sequences)
    for seq in [] if fresh else range(1, 501):
        sequences.admit(stream, epoch=1, seq=seq)
    for seq in (FORGED, FORGED + 1):
        if sequences.is_plausible(stream, epoch=1, seq=seq):
            sequences.admit(stream, epoch=1, seq=seq)
    assert stream.seq == FORGED + 1
    return stream


@pytest.mark.parametrize("fresh", [False, True])
def test_a_jump_that_nobody_goes_on_from_is_taken_back_when_the_producer_goes_on_below_it(fresh: bool) -> None:
    sequences = Sequences(10)
    stream = _after_a_forged_jump(sequences, fresh=fresh)
    stream.missing = 0
    admitted = [sequences.admit(stream, epoch=1, seq=seq) for seq in range(501, 601)]
    assert admitted.count(False) == REBASE_AFTER - 1
    assert all(admitted[REBASE_AFTER - 1 :])
    assert (sequences.rebased["trade"], sequences.duplicates["trade"]) == (1, REBASE_AFTER - 1)
    assert stream.missing == REBASE_AFTER - 1
    assert sequences.missing["trade"] < REBASE_AFTER + 1
    assert sequences.admit(stream, epoch=1, seq=601)


def test_repeats_of_what_was_applied_are_never_believed_however_many_come_in_a_row() -> None:
    sequences = Sequences(10)
    stream = _stream(sequences)
    for seq in [*range(1, 501), *range(511, 1_001)]:
        sequences.admit(stream, epoch=1, seq=seq)
    for first, last in ((1, 501), (511, 1_001)):
        assert not any(sequences.admit(stream, epoch=1, seq=seq) for seq in range(first, last))
    assert sequences.rebased["trade"] == 0
    assert stream.seq == 1_000


def test_numbers_out_of_a_hole_are_not_believed_while_the_stream_itself_goes_on() -> None:
    sequences = Sequences(10)
    stream = _stream(sequences)
    sequences.admit(stream, epoch=1, seq=1)
    sequences.admit(stream, epoch=1, seq=100)
    for number in range(50):
        assert not sequences.admit(stream, epoch=1, seq=2 + number)
        assert sequences.admit(stream, epoch=1, seq=101 + number)
    assert sequences.rebased["trade"] == 0
