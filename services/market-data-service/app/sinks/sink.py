"""What the service asks of a sink, and the task that empties a sink's buffer."""

import asyncio
from typing import Final, Protocol

from app.bus import Buffer
from md_contract.events import Event

DRAIN_BATCH: Final = 512  # events handed over before the event loop may do something else


class Sink(Protocol):
    """One place that events leave to. Everything is called on the service's event loop."""

    name: str

    def take(self, event: Event) -> bool:
        """Accept one event, or return False when that is not possible now.

        Called by the bus in the middle of reading a socket, so it must not wait. The event is shared with the other
        sinks. After False, nothing is handed over until `writable` has returned. An event that can never be delivered
        raises, and is counted as dropped.
        """
        ...

    async def writable(self) -> None:
        """Return when `take` is worth calling again after it returned False; called in a loop by `drain`."""
        ...

    async def run(self) -> None:
        """Do the sink's own work; called once at the start, returns after `close`."""
        ...

    async def close(self, timeout_s: float) -> None:
        """Bring what was taken to its destination, then let go of it; called once, after the last `take`."""
        ...


async def drain(buffer: Buffer, sink: Sink) -> None:
    """Hand over what is buffered whenever the sink can take it, a bounded batch per turn of the loop, for ever."""
    while True:
        await sink.writable()
        more = True
        while more:
            more = buffer.drain(DRAIN_BATCH) == DRAIN_BATCH
            await asyncio.sleep(0)
