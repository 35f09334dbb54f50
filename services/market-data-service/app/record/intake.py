"""From the bytes of one NATS message to the buffer of what is to be stored: synchronous, and it never raises. Pure.

message                              becomes
of the contract                      a row of its table
unreadable                           a row of `quarantine`
a hole in `seq` before it            also a row of `gap`, kind `gap`, `where` bus
while memory and disk are full       counted, and named in a row of `gap`, `where` recorder, once there is room
deleted by the stream, or with it,   named in a row of `gap`, `where` stream
before it was read

Repeated messages are stored no second time: the keys of the tables see to that. What is kept of a message of the stream
depends on nothing but the message, so that it is the same row when it comes again in another run.
"""

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from app.bus import Buffer
from app.record.messages import Numbers, numbers, read
from app.record.sequence import EPOCHS_KEPT, Hole, Sequences
from app.storage.rows import NAMES, Storable, Unreadable
from md_contract.events import Status
from md_contract.subjects import SYSTEM

NAME: Final = "recorder"  # as the provider of the rows about itself


class _Lost(Struct):
    """Messages of one kind and symbol that there was no room for."""

    message: Storable  # one of them
    missing: int = 0
    hole: Hole | None = None  # the numbers of the last epoch among them
    ends: tuple[Hole, ...] = ()  # of earlier epochs, that may have passed unheard before them; the last ones


class Intake:
    """Takes every message; `buffer` may be full at any time."""

    def __init__(
        self,
        buffer: Buffer[Storable],
        sequences: Sequences | None,
        *,
        wall_ns: Callable[[], int],
        of_stream: Sequences | None = None,
    ) -> None:
        """Make an intake.

        Args:
            buffer: where to.
            sequences: None when others of a queue group hear part of the messages, so that holes mean nothing.
            wall_ns: the time.
            of_stream: for the subjects that are read from a stream; None when there is none.
        """
        self.heard = 0
        self.unreadable = 0
        self.last_unreadable: Unreadable | None = None
        self.gaps = 0  # rows about missing messages
        self.missing = 0  # messages those rows name
        self.refused = 0  # of what was heard
        self.discarded = 0  # messages that the stream deleted before they were read; at least, if it was deleted itself
        self.notes = 0  # rows of our own
        self.put = 0  # all that went into the buffer, in this order
        self._buffer = buffer
        self._sequences = sequences
        self._of_stream = of_stream
        self._wall_ns = wall_ns
        self._lost: dict[tuple[type[Storable], str | None], _Lost] = {}

    def on_message(self, subject: str, payload: bytes) -> None:
        """Take one message off NATS."""
        now_ns = self._wall_ns()
        message, its, holes = self._read(subject, payload, now_ns, self._sequences)
        if self._buffer.saturated:
            self._refuse(message, its, holes)
        else:
            self._keep(message, holes, now_ns)

    def on_stored(self, subject: str, payload: bytes, stored_ns: int) -> None:
        """Take one message of the stream, whatever room there is: there will be no more until there is some."""
        message, _, holes = self._read(subject, payload, stored_ns, self._of_stream)
        self._keep(message, holes, stored_ns)

    def was_discarded(self, first: int, last: int, stored_ns: int) -> None:
        """The stream does not have these messages any more; the next one it had was stored at `stored_ns`."""
        if self._of_stream is not None:
            self._of_stream.was_away()
        self.gaps += 1
        self.discarded += last - first + 1
        detail = {"type": None, "missing": last - first + 1, "from_seq": first, "to_seq": last, "epoch": None}
        self._note(SYSTEM, "gap", {**detail, "where": "stream"}, stored_ns)

    def was_deleted(self, first: int, at_least: int) -> None:
        """The stream was deleted with all from the number `first` on, unread; nobody knows how many there were."""
        if self._of_stream is not None:
            self._of_stream.was_away()
        self.gaps += 1
        self.discarded += at_least
        detail = {"type": None, "missing": None, "from_seq": first, "to_seq": None, "epoch": None, "where": "stream"}
        self._note(SYSTEM, "gap", detail, self._wall_ns())

    def was_away(self, away_s: float, why: str) -> None:
        """The connection was gone for a while: everything may have been missed, of some subjects without a trace."""
        if self._sequences is not None:
            self._sequences.was_away()
        detail = {"where": "bus", "away_s": round(away_s, 3), "why": why}
        self._note(SYSTEM, "reconnect", detail, self._wall_ns())

    def tell_lost(self) -> None:
        """Name what there was no room for; there is room now, or there will be none any more."""
        lost, self._lost = self._lost, {}
        for its in lost.values():
            for end in its.ends:
                self._note_gap(its.message, None, end, "bus", self._wall_ns())
            self._note_gap(its.message, its.missing, its.hole, NAME, self._wall_ns())

    def _read(
        self, subject: str, payload: bytes, now_ns: int, sequences: Sequences | None
    ) -> tuple[Storable, Numbers | None, tuple[Hole, ...]]:
        """The message, its numbers, and what is missing before it."""
        self.heard += 1
        message = read(subject, payload, now_ns)
        if isinstance(message, Unreadable):
            self.unreadable += 1
            self.last_unreadable = message
        its = numbers(message)
        if its is None or sequences is None:
            return message, its, ()
        return message, its, sequences.step(subject, its.epoch, its.seq)

    def _keep(self, message: Storable, holes: tuple[Hole, ...], now_ns: int) -> None:
        if self._lost and not self._buffer.saturated:
            self.tell_lost()
        for hole in holes:
            self._note_gap(message, hole.missing, hole, "bus", now_ns)
        self._put(message)

    def _refuse(self, message: Storable, its: Numbers | None, holes: tuple[Hole, ...]) -> None:
        self.refused += 1
        self._buffer.refuse(message)
        lost = self._lost.setdefault((type(message), message.symbol), _Lost(message))
        lost.missing += 1 + sum(hole.missing or 0 for hole in holes)
        lost.ends = (*lost.ends, *(hole for hole in holes if hole.missing is None))[-EPOCHS_KEPT:]
        if its is not None and its.seq > 0:
            known = [hole.first for hole in (lost.hole, *holes) if hole is not None and hole.epoch == its.epoch]
            lost.hole = Hole(its.epoch, min([its.seq, *known]), its.seq)

    def _note_gap(self, like: Storable, missing: int | None, hole: Hole | None, where: str, now_ns: int) -> None:
        self.gaps += 1
        self.missing += missing or 0
        detail = {
            "type": NAMES[type(like)],
            "missing": missing,
            "from_seq": hole and hole.first,
            "to_seq": hole and hole.last,
            "epoch": hole and hole.epoch,
            "where": where,
        }
        self._note(like.symbol or SYSTEM, "gap", detail, now_ns)

    def _note(self, symbol: str, kind: str, detail: dict[str, Any], now_ns: int) -> None:
        self.notes += 1
        self._put(Status(NAME, symbol, now_ns, kind, detail))

    def _put(self, message: Storable) -> None:
        self.put += 1
        self._buffer.put(message)
