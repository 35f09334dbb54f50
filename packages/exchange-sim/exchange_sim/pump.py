"""The one part with a clock: takes what is due from a playback and gives it to the hub."""

import asyncio
import time
from collections.abc import Callable, Collection
from typing import Final

from exchange_sim.frame import Frame, Raw
from exchange_sim.hub import Hub
from exchange_sim.market.chance import generator
from exchange_sim.server import Server
from exchange_sim.venue import Action, Output, Playback

_NS_PER_S: Final = 1_000_000_000
_SHORTEST_SLEEP_S: Final = 0.001
_LONGEST_SLEEP_S: Final = 0.05
_LATENCY_S: Final = 0.002  # from an event to its frame on the wire: never less
_MORE_LATENCY_S: Final = 0.001  # mean of what comes on top
_FLUSH_BYTES: Final = 1 << 18  # written at once, at most, to all clients together
SETTLE_S: Final = 0.2  # without a new subscription, before a playback that waits begins


class Clock:
    """The wall clock as it was at the start, moved on by the monotonic one, so that it never jumps."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def now_ns(self) -> int:
        """Return ns since the epoch."""
        return self._offset_ns + time.monotonic_ns()


class Pump:
    """Runs a playback. A market never waits for its clients; a tape waits for all of them and drops nothing.

    Args:
        wait_for: streams that must all be subscribed before a playback that waits begins; when empty, it begins as soon
            as there is any subscription and none was added for 0.2 s.
        perform: called with the actions of a script.
    """

    def __init__(
        self,
        playback: Playback,
        hub: Hub,
        server: Server,
        *,
        wait_for: Collection[str],
        perform: Callable[[Action], None],
    ) -> None:
        self._playback = playback
        self._hub = hub
        self._server = server
        self._rng = generator("latency")
        self._wait_for = frozenset(wait_for)
        self._perform = perform
        self._changed = asyncio.Event()
        self._clock = Clock()
        self.began = asyncio.Event()
        self.done = asyncio.Event()
        hub.on_change = self._changed.set

    async def run(self) -> None:
        """Send until the playback ends, or until cancelled."""
        if self._playback.waits:
            await self._audience()
        self._playback.start(self._clock.now_ns())
        self.began.set()
        while (next_ns := self._playback.next_ns()) is not None:
            await self._until(next_ns)
            await self._send_due()
        while self._server.unread:  # noqa: ASYNC110 - no transport tells when its buffer has become empty
            await asyncio.sleep(_SHORTEST_SLEEP_S)
        self.done.set()

    async def _send_due(self) -> None:
        now_ns = self._clock.now_ns()
        if not self._playback.waits:
            now_ns -= int((_LATENCY_S + self._rng.expovariate(1 / _MORE_LATENCY_S)) * _NS_PER_S)
        for output in self._playback.take(now_ns):
            self._send(output)
            if self._hub.queued_bytes > _FLUSH_BYTES:
                self._hub.flush()
                if self._playback.waits:
                    await self._server.drained()
        self._hub.flush()

    async def _until(self, next_ns: int) -> None:
        """Wait for the time of the next output, and for slow clients where the playback waits for them."""
        if not self._playback.paced:
            await asyncio.sleep(0)
        else:
            wait_s = (next_ns - self._clock.now_ns()) / _NS_PER_S
            if not self._playback.waits:
                wait_s += _LATENCY_S
            await asyncio.sleep(min(_LONGEST_SLEEP_S, max(_SHORTEST_SLEEP_S, wait_s)))
        if not self._playback.waits:
            self._server.cut_slow_clients()
            return
        await self._server.drained()
        if not self._playback.paced:
            await self._listener()

    async def _listener(self) -> None:
        """Wait until anybody listens."""
        while not self._hub.any_wanted():
            self._changed.clear()
            await self._changed.wait()

    async def _audience(self) -> None:
        """Wait until a playback may begin."""
        while True:
            self._changed.clear()
            if self._wait_for:
                if self._wait_for <= self._hub.wanted():
                    return
                await self._changed.wait()
                continue
            await self._listener()
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), SETTLE_S)
            except TimeoutError:
                if self._hub.any_wanted():
                    return

    def _send(self, output: Output) -> None:
        if isinstance(output, Frame):
            self._hub.publish(output)
        elif isinstance(output, Raw):
            self._hub.broadcast_raw(output)
        else:
            self._hub.flush()
            self._perform(output)
