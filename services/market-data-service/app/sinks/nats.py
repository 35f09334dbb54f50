"""Events to NATS: `md.events.{type}.{symbol}`, each message with the next `seq` of its subject."""

import asyncio
from typing import Final

from md_contract.codec import encode
from md_contract.events import TYPE_OF, Event
from md_contract.subjects import event_subject
from nats_link import Link

MAX_STREAMS: Final = 16_384  # (type, symbol) pairs; each has a sequence that must not be forgotten during a run


class UndeliverableError(ValueError):
    """An event that NATS would never accept."""


class _Stream:
    """The way of one type and symbol: its subject, and the last `seq` handed over on it."""

    __slots__ = ("seq", "subject")

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.seq = 0


class NatsSink:
    """Stamps, encodes and hands over to a `nats_link.Link`; keeps nothing itself."""

    name = "nats"

    def __init__(self, link: Link, writable: asyncio.Event, *, epoch: int, max_streams: int = MAX_STREAMS) -> None:
        """Make the sink.

        Args:
            link: the connection; the sink runs and closes it.
            writable: set by the link (`on_writable`) when it takes messages again.
            epoch: this producer run, written into every event.
            max_streams: bound of the subject cache.
        """
        self.link = link
        self._writable = writable
        self._epoch = epoch
        self._max_streams = max_streams
        self._publish = link.publish
        self._never = 0  # messages the link has refused for good
        self._streams: dict[type[Event], dict[str, _Stream]] = {cls: {} for cls in TYPE_OF}

    def take(self, event: Event) -> bool:
        """See `Sink.take`. A refused event uses up no `seq`.

        Raises:
            UndeliverableError: too long for this server, or one stream more than the bound.
            BadTokenError: the symbol cannot be a subject token.
            UnicodeEncodeError: a field holds text that is no valid Unicode.
        """
        stream = self._streams[event.__class__].get(event.symbol)
        if stream is None:
            stream = self._open(event)
        seq = stream.seq + 1
        event.seq = seq
        event.epoch = self._epoch
        if self._publish(stream.subject, encode(event)):
            stream.seq = seq
            return True
        if self.link.refused_oversize + self.link.refused_subject > self._never:
            self._never += 1  # waiting would not help this one, and would hold all behind it
            raise UndeliverableError(f"NATS never takes this: {self.link.last_error}")
        return False

    async def writable(self) -> None:
        await self._writable.wait()
        self._writable.clear()

    async def run(self) -> None:
        await self.link.run()

    async def close(self, timeout_s: float) -> None:
        await self.link.close(timeout_s)

    def _open(self, event: Event) -> _Stream:
        kind = event.__class__
        if sum(map(len, self._streams.values())) >= self._max_streams:
            raise UndeliverableError(f"expected at most {self._max_streams} streams, found one more: {event.symbol!r}")
        stream = _Stream(event_subject(TYPE_OF[kind], event.symbol))
        self._streams[kind][event.symbol] = stream
        return stream
