"""Backpressure on the sockets: while the gate is closed none of them is read."""

import asyncio

from picows import WSTransport


class Gate:
    """Stops and starts reading on every open socket at once, and holds back new connections while closed."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self._transports: set[WSTransport] = set()

    @property
    def paused(self) -> bool:
        return not self._open.is_set()

    def add(self, transport: WSTransport) -> None:
        """A socket has opened."""
        self._transports.add(transport)
        if self.paused:
            transport.underlying_transport.pause_reading()

    def discard(self, transport: WSTransport) -> None:
        """A socket has gone."""
        self._transports.discard(transport)

    def pause(self) -> None:
        if not self.paused:
            self._open.clear()
            for transport in self._transports:
                transport.underlying_transport.pause_reading()

    def resume(self) -> None:
        if self.paused:
            self._open.set()
            for transport in self._transports:
                transport.underlying_transport.resume_reading()

    async def passed(self) -> None:
        """Wait until the gate is open."""
        await self._open.wait()
