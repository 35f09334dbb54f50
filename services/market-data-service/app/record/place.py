"""Where this run is in the stream: which numbers it has taken, were left out, are in doubt, may be acknowledged. Pure.

A consumer gives out ascending numbers. One that is missing between two was deleted by the stream, or the consumer is
not where this run left it, because it was made anew or moved by somebody else. Which of the two it is shows by itself
once the consumer has given out what follows on what was taken: from then on it leaves out only what is deleted. Until
then what is left out is in doubt: nothing is acknowledged, as that would acknowledge it too, and the stream has to be
asked.
"""

from typing import NamedTuple

from app.record.flight import Flight


class LeftOut(NamedTuple):
    """Numbers that were not given out, both included, and when the message after them was stored, ns."""

    first: int
    last: int
    ts_ns: int


class Place:
    """Of one run. What is in doubt is bounded by what is in flight, none of which leaves before the stream is asked."""

    def __init__(self) -> None:
        """Begin with nothing known: neither the stream nor how far an earlier run has come."""
        self.taken: int | None = None  # number of the last message; None: where to begin is not known yet
        self.taken_ns = 0  # when that was stored; 0: it was taken by an earlier run
        self.repeated = 0  # given out although they had been taken
        self._flight = Flight()
        self._made = ""  # when the stream was; empty: it has not been seen yet
        self._first_seq = 0  # that the stream had at least, when we began
        self._given = 0  # number of the last delivery
        self._trusted = False  # the consumer gives out what follows on what was taken, without leaving out any
        self._doubts: list[LeftOut] = []
        self._before = (0, 0)  # what was taken, and when it was stored, before those

    @property
    def unacknowledged(self) -> int:
        """Messages taken and not acknowledged."""
        return len(self._flight)

    @property
    def doubt(self) -> LeftOut | None:
        """The first numbers in doubt: the question is whether the stream has any of them."""
        return self._doubts[0] if self._doubts else None

    @property
    def start(self) -> int:
        """The first number that is not home, where a consumer made anew has to begin."""
        return self._flight.oldest or (self.taken or 0) + 1

    def is_of_other_stream(self, made: str, last_seq: int) -> bool:
        """Whether the numbers mean other messages than they did, as far as when it was made and its end tell."""
        return bool(self._made) and (made != self._made or last_seq < (self.taken or 0))

    def begin(self, made: str, first_seq: int, last_seq: int, floor: int | None) -> None:
        """The stream as it is now.

        Args:
            made: when, as the server writes it.
            first_seq: of the first message it has.
            last_seq: of the last one it has had.
            floor: the consumer's last acknowledged message; None: there is no consumer. It alone knows where the run
                before this one ended. Without it, or with one the stream never had, all that the stream holds is read:
                what was recorded is found in the store.
        """
        self._made, self._first_seq = made, first_seq
        if self.taken is None:
            self.taken = floor if floor is not None and floor <= last_seq else max(1, first_seq) - 1

    def given_up_to(self, seq: int) -> None:
        """A consumer goes on behind this number, as it says."""
        self._given, self._trusted = seq, False

    def take(self, seq: int, ts_ns: int) -> tuple[bool, LeftOut | None]:
        """One was given out: return whether it is new, and what the stream has deleted before it for certain."""
        self._given = seq
        taken = self.taken or 0
        gone = self._left_out(LeftOut(taken + 1, seq - 1, ts_ns)) if seq > taken + 1 else None
        if seq <= taken + 1:
            self._trusted = True  # for what comes once nothing is in doubt any more
        if seq <= taken:
            self.repeated += 1
            return False, None
        self.taken, self.taken_ns = seq, ts_ns
        return True, gone

    def note(self, put: int, reply: str) -> None:
        """The last one given out is acknowledged on `reply` when `put` of all that went into the buffer are home."""
        self._flight.note(self._given, put, reply)

    def due(self, home: int) -> str:
        """Where to acknowledge now; empty while there is nothing to acknowledge, or something is in doubt."""
        return "" if self._doubts else self._flight.due(home)

    def acknowledged(self) -> None:
        """What was due is done."""
        self._flight.acknowledged()

    def settle(self, there: int | None) -> tuple[LeftOut, ...] | None:
        """Take the answer about `doubt`: the first number from there on that the stream has; None for none.

        Return all that was in doubt if it is deleted. None: the stream has some of it; then this run is back before
        that, and a consumer that begins at `start` gives it out.
        """
        doubts, self._doubts = tuple(self._doubts), []
        if there is None or there > doubts[0].last:
            self._trusted = True  # of the consumer: the first one it gave out was the next there is
            return doubts
        self.taken, self.taken_ns = self._before
        self._flight.forget(after=self.taken)
        return None

    def consumer_is_gone(self) -> None:
        """What it gave out cannot be acknowledged any more, and will be given out again from `start` on."""
        self._flight.forget()

    def stream_is_gone(self, made: str, first_seq: int) -> int:
        """There is another stream, made at another time, whose first message is `first_seq`: begin there.

        Return the first number of the old one that was not taken, or is in doubt.
        """
        unread = self._doubts[0].first if self._doubts else (self.taken or 0) + 1
        self._doubts.clear()
        self._flight.forget(after=0)
        self._made = made
        self.taken, self.taken_ns = max(1, first_seq) - 1, 0
        return unread

    def _left_out(self, left_out: LeftOut) -> LeftOut | None:
        if not self._doubts:
            if self._trusted or left_out.last < self._first_seq:
                return left_out
            self._before = (left_out.first - 1, self.taken_ns)
        self._doubts.append(left_out)
        return None
