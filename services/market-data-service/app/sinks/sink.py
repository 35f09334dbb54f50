"""What the service asks of a sink, and the task that empties a sink's buffer."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Protocol

from app.bus import Buffer, M

SETTLE_S: Final = 0.005
DRAIN_BATCH: Final = 512  # events handed over before the event loop may do something else


class Sink(Protocol[M]):
    """One place that events leave to. Everything is called on the service's event loop."""

    name: str

    @property
    def reachable(self) -> bool:
        """False while its destination is known to be away; at the end nobody waits for it then."""
        ...

    def take(self, event: M) -> bool:
        """Accept one event, or return False when that is not possible now.

        Called by the bus in the middle of reading a socket, so it must not wait. The event is shared with the other
        sinks. After False, it is tried again when `writable` has returned, or a moment later. An event that can never
        be delivered raises, and is counted as dropped.
        """
        ...

    async def writable(self) -> None:
        """Return when `take` is worth calling again after it returned False; called in a loop by `drain`."""
        ...

    async def run(self) -> None:
        """Do the sink's own work; called once at the start, returns after `close`."""
        ...

    async def close(self, timeout_s: float) -> Sequence[M]:
        """Bring what was taken to its destination, then let go of it; called once, after the last `take`.

        Returns what could not be brought there, oldest first.
        """
        ...


async def drain(buffer: Buffer[M], sink: Sink[M]) -> None:
    """Hand over what is buffered whenever the sink can take it, a bounded batch per turn of the loop, for ever.

    While some of it is on disk until the sink has brought it home, nobody tells when it has: that is looked at.
    """
    while True:
        more = True
        while more:
            more = buffer.drain(DRAIN_BATCH) == DRAIN_BATCH
            await asyncio.sleep(0)
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S if buffer.unsettled else None):
                await sink.writable()
