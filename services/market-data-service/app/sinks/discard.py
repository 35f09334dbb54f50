"""The sink of a service that runs without NATS: counts every event in the ledger under its own name and lets it go."""

import asyncio
from collections.abc import Sequence

from md_contract.events import Event


class DiscardSink:
    """Takes everything, keeps nothing."""

    name = "discard"

    def __init__(self) -> None:
        self._closed = asyncio.Event()

    @property
    def reachable(self) -> bool:
        return True

    def take(self, event: Event) -> bool:  # noqa: ARG002 - the protocol's argument; letting go of it is the job
        return True

    async def writable(self) -> None:
        """Never needed: `take` refuses nothing."""
        await self._closed.wait()

    async def run(self) -> None:
        await self._closed.wait()

    async def close(self, timeout_s: float) -> Sequence[Event]:  # noqa: ARG002 - there is nothing to wait for
        self._closed.set()
        return ()
