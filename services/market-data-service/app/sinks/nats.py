"""Events to NATS: `md.events.{type}.{symbol}`, each message with the next `seq` of its subject."""

import asyncio
from collections.abc import Sequence

from app.sinks.stamp import MAX_STREAMS, Stamp, UndeliverableError
from md_contract.codec import encode
from md_contract.events import Event
from nats_link import Link


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
        self._stamp = Stamp(epoch, max_streams)
        self._publish = link.publish
        self._never = 0  # messages the link has refused for good

    @property
    def reachable(self) -> bool:
        return self.link.connected

    def take(self, event: Event) -> bool:
        """See `Sink.take`. A refused event uses up no `seq`.

        Raises:
            UndeliverableError: too long for this server, or one stream more than the bound.
            BadTokenError: the symbol cannot be a subject token.
            UnicodeEncodeError: a field holds text that is no valid Unicode.
        """
        stream = self._stamp.write(event)
        if self._publish(stream.subject, encode(event)):
            stream.seq = event.seq
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

    async def close(self, timeout_s: float) -> Sequence[Event]:
        await self.link.close(timeout_s)
        return ()
