"""Synchronous fan-out of events to the buffers of all sinks; each is told what it did not get."""

from collections.abc import Callable

from app.bus.buffer import Buffer
from app.bus.journal import Journal
from app.bus.losses import Losses
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
        self._losses: list[Losses] = []  # of each buffer
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
        losses = Losses(name)
        buffer = Buffer(name, take, capacity, self._saturation_changed, policy, journal, settled, losses.add)
        self.buffers.append(buffer)
        self._losses.append(losses)
        return buffer

    def publish(self, event: Event) -> None:
        """Give `event` to every sink. Never waits, never raises."""
        self.last_recv[event.__class__][event.symbol] = event.ts_recv
        for buffer in self.buffers:
            if buffer.saturated and not buffer.holds_sockets:
                buffer.refuse(event)
            else:
                buffer.put(event)

    def tell_losses(self, mono_ns: int, wall_ns: int, *, last: bool = False) -> None:
        """Tell each sink what it did not get, once it has room again; called a few times a second.

        `last`: at the end, room or not.
        """
        for buffer, losses in zip(self.buffers, self._losses, strict=True):
            if last or (losses.is_due(mono_ns) and not buffer.saturated):
                for status in losses.take(mono_ns, wall_ns):
                    buffer.put(status)

    def _saturation_changed(self) -> None:
        saturated = any(buffer.saturated and buffer.holds_sockets for buffer in self.buffers)
        if saturated != self.saturated:
            self.saturated = saturated
            self._on_saturation(saturated)
