"""What never came: the holes in `seq` of every subject, epoch by epoch. Pure.

Within one epoch (one run of a producer) `seq` grows by one per message, from 1. A number above the next one is a hole.
One that is not above the last is a repetition; the keys of the tables deal with that. What went out before the first
message that was heard of a subject is no hole: the recorder was not there yet.
"""

from typing import Final, NamedTuple

from msgspec import Struct

EPOCHS_KEPT: Final = 4  # of each subject: producers that take turns are followed one by one
MOST_LOST_AT_ONCE: Final = 1_000_000  # a jump beyond this is believed only when the next message goes on from there


class Hole(NamedTuple):
    """Messages of one subject that never came; both numbers included."""

    epoch: int
    first: int
    last: int | None  # None: nobody knows

    @property
    def missing(self) -> int | None:
        return None if self.last is None else self.last - self.first + 1


class _Mark(Struct):
    """Where one epoch of one subject stands."""

    seq: int
    before: int = 0  # the number before the last hole
    doubted: int = 0  # the last number that was too far ahead to be believed
    absences: int = 0  # of the recorder, when the last message came


class Sequences:
    """All subjects, bounded: those beyond `max_subjects` are not followed, and their messages counted."""

    def __init__(self, max_subjects: int) -> None:
        self.unchecked = 0
        self._absences = 0
        self._max_subjects = max_subjects
        self._subjects: dict[str, dict[int, _Mark]] = {}

    def was_away(self) -> None:
        """The recorder heard nothing for a while: the end of an epoch may have passed unheard."""
        self._absences += 1

    def step(self, subject: str, epoch: int, seq: int) -> tuple[Hole, ...]:
        """Take the numbers of one message; return what is missing before it. Numbers below 1 say nothing."""
        if epoch <= 0 or seq <= 0:
            return ()
        marks = self._subjects.get(subject)
        if marks is None:
            if len(self._subjects) >= self._max_subjects:
                self.unchecked += 1
                return ()
            self._subjects[subject] = {epoch: _Mark(seq, absences=self._absences)}
            return ()
        mark = marks.get(epoch)
        unheard: tuple[Hole, ...] = ()
        if mark is None:
            unheard = self._ends(marks)
            mark = marks[epoch] = _Mark(0)
            if len(marks) > EPOCHS_KEPT:
                del marks[next(iter(marks))]
        mark.absences = self._absences
        return unheard + _step(mark, epoch, seq)

    def _ends(self, marks: dict[int, _Mark]) -> tuple[Hole, ...]:
        """Earlier epochs whose end may have passed unheard; told once."""
        holes = tuple(
            Hole(epoch, mark.seq + 1, None) for epoch, mark in marks.items() if mark.absences != self._absences
        )
        for mark in marks.values():
            mark.absences = self._absences
        return holes


def _step(mark: _Mark, epoch: int, seq: int) -> tuple[Hole, ...]:
    ahead = seq - mark.seq
    if ahead == 1:
        mark.seq = seq
        return ()
    if ahead <= 0:
        if seq == mark.before + 1 and mark.before:  # the producer goes on from before the hole: the jump was wrong
            mark.seq, mark.before = seq, 0
        return ()
    if ahead > MOST_LOST_AT_ONCE and seq != mark.doubted + 1:
        mark.doubted = seq
        return ()
    mark.before, mark.seq = mark.seq, seq
    return (Hole(epoch, mark.before + 1, seq - 1),)
