"""Synchronous fan-out of events to the buffers of all sinks."""

from collections.abc import Callable

from app.bus.buffer import Buffer
from app.bus.journal import Journal
from app.bus.policy import NATS, Policy
from md_contract.events import TYPE_OF, Event


class Bus:
    """Gives every event to every sink, and knows when the sockets have to wait."""

    def __init__(self, on_saturation: Callable[[bool], None]) -> None:
        """Make a bus without sinks.

        Args:
            on_saturation: called with True when the first buffer becomes saturated whose policy holds the sockets, so
                that they are no longer read, and with False when the last one is no longer.
        """
        self.buffers: list[Buffer] = []
        self.saturated = False
        self.last_recv: dict[type[Event], dict[str, int]] = {cls: {} for cls in TYPE_OF}  # ns, by type and symbol
        self._on_saturation = on_saturation

    def attach(
        self,
        name: str,
        take: Callable[[Event], bool],
        capacity: int,
        policy: Policy = NATS,
        journal: Journal | None = None,
        settled: Callable[[], int] | None = None,
    ) -> Buffer:
        """Add a sink before the first event; see `Buffer` for the arguments."""
        buffer = Buffer(name, take, capacity, self._saturation_changed, policy, journal, settled)
        self.buffers.append(buffer)
        return buffer

    def publish(self, event: Event) -> None:
        """Give `event` to every sink. Never waits, never raises."""
        self.last_recv[event.__class__][event.symbol] = event.ts_recv
        for buffer in self.buffers:
            if buffer.saturated and not buffer.holds_sockets:
                buffer.refuse(event)
            else:
                buffer.put(event)

    def _saturation_changed(self) -> None:
        saturated = any(buffer.saturated and buffer.holds_sockets for buffer in self.buffers)
        if saturated != self.saturated:
            self.saturated = saturated
            self._on_saturation(saturated)
