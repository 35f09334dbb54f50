"""What every message to NATS needs: its subject, and the next `seq` of that subject."""

from typing import Final

from md_contract.events import TYPE_OF, Event
from md_contract.subjects import event_subject

MAX_STREAMS: Final = 16_384  # (type, symbol) pairs; each has a sequence that must not be forgotten during a run


class UndeliverableError(ValueError):
    """An event that NATS would never accept."""


class Stream:
    """The way of one type and symbol: its subject, and the last `seq` handed over on it."""

    __slots__ = ("seq", "subject")

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.seq = 0


class Stamp:
    """Writes `seq` and `epoch` into events."""

    def __init__(self, epoch: int, max_streams: int = MAX_STREAMS) -> None:
        """`epoch`: this producer run, written into every event; `max_streams`: bound of the subjects remembered."""
        self._epoch = epoch
        self._max_streams = max_streams
        self._streams: dict[type[Event], dict[str, Stream]] = {cls: {} for cls in TYPE_OF}

    def write(self, event: Event) -> Stream:
        """Stamp an event with the next `seq` of its stream. Who has handed it over sets `stream.seq = event.seq`.

        Raises:
            UndeliverableError: one stream more than the bound.
            BadTokenError: the symbol cannot be a subject token.
        """
        stream = self._streams[event.__class__].get(event.symbol)
        if stream is None:
            stream = self._open(event)
        event.seq = stream.seq + 1
        event.epoch = self._epoch
        return stream

    def _open(self, event: Event) -> Stream:
        kind = event.__class__
        if sum(map(len, self._streams.values())) >= self._max_streams:
            raise UndeliverableError(f"expected at most {self._max_streams} streams, found one more: {event.symbol!r}")
        stream = Stream(event_subject(TYPE_OF[kind], event.symbol))
        self._streams[kind][event.symbol] = stream
        return stream
