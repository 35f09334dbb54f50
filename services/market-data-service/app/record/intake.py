"""From the bytes of one NATS message to the buffer of what is to be stored: synchronous, and it never raises. Pure.

message                              becomes
of the contract                      a row of its table
unreadable                           a row of `quarantine`
a hole in `seq` before it            also a row of `gap`, kind `gap`, `where` bus
while memory and disk are full       counted, and named in a row of `gap`, `where` recorder, once there is room

Repeated messages are stored no second time: the keys of the tables see to that.
"""

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from app.bus import Buffer
from app.record.messages import Numbers, numbers, read
from app.record.sequence import Hole, Sequences
from app.storage.rows import NAMES, Storable, Unreadable
from md_contract.events import Status
from md_contract.subjects import SYSTEM

NAME: Final = "recorder"  # as the provider of the rows about itself


class _Lost(Struct):
    """Messages of one kind and symbol that there was no room for."""

    message: Storable  # one of them
    missing: int = 0
    hole: Hole | None = None  # the numbers of the last epoch among them


class Intake:
    """Takes every message; `buffer` may be full at any time."""

    def __init__(self, buffer: Buffer[Storable], sequences: Sequences | None, *, wall_ns: Callable[[], int]) -> None:
        """`sequences`: None when others of a queue group hear part of the messages, so that holes mean nothing."""
        self.heard = 0
        self.unreadable = 0
        self.last_unreadable: Unreadable | None = None
        self.gaps = 0  # rows about missing messages
        self.missing = 0  # messages those rows name
        self.refused = 0  # of what was heard
        self.notes = 0  # rows of our own
        self._buffer = buffer
        self._sequences = sequences
        self._wall_ns = wall_ns
        self._lost: dict[tuple[type[Storable], str | None], _Lost] = {}

    def on_message(self, subject: str, payload: bytes) -> None:
        """Take one message off NATS."""
        self.heard += 1
        now_ns = self._wall_ns()
        message = read(subject, payload, now_ns)
        if isinstance(message, Unreadable):
            self.unreadable += 1
            self.last_unreadable = message
        its = numbers(message)
        holes: tuple[Hole, ...] = ()
        if its is not None and self._sequences is not None:
            holes = self._sequences.step(subject, its.epoch, its.seq)
        if self._buffer.saturated:
            self._refuse(message, its, holes)
            return
        if self._lost:
            self.tell_lost()
        for hole in holes:
            self._note_gap(message, hole.missing, hole, "bus")
        self._buffer.put(message)

    def was_away(self, away_s: float, why: str) -> None:
        """The connection was gone for a while: everything may have been missed, of some subjects without a trace."""
        if self._sequences is not None:
            self._sequences.was_away()
        self._note(SYSTEM, "reconnect", {"where": "bus", "away_s": round(away_s, 3), "why": why})

    def tell_lost(self) -> None:
        """Name what there was no room for; there is room now, or there will be none any more."""
        lost, self._lost = self._lost, {}
        for its in lost.values():
            self._note_gap(its.message, its.missing, its.hole, NAME)

    def _refuse(self, message: Storable, its: Numbers | None, holes: tuple[Hole, ...]) -> None:
        self.refused += 1
        self._buffer.refuse(message)
        lost = self._lost.setdefault((type(message), message.symbol), _Lost(message))
        lost.missing += 1 + sum(hole.missing or 0 for hole in holes)
        if its is not None and its.seq > 0:
            first = its.seq if lost.hole is None or lost.hole.epoch != its.epoch else lost.hole.first
            lost.hole = Hole(its.epoch, first, its.seq)

    def _note_gap(self, like: Storable, missing: int | None, hole: Hole | None, where: str) -> None:
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
        self._note(like.symbol or SYSTEM, "gap", detail)

    def _note(self, symbol: str, kind: str, detail: dict[str, Any]) -> None:
        self.notes += 1
        self._buffer.put(Status(NAME, symbol, self._wall_ns(), kind, detail))
