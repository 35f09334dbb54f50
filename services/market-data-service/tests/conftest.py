"""What the service's tests share: a reader on NATS that knows nothing of our own link."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import nats
import postgres as postgres_server
import pytest
from nats.aio.msg import Msg

from md_contract.codec import decode_event
from md_contract.events import Event

Wiretap = Callable[[str], Any]


class Tap:
    """Everything seen on `md.events.>`, in order."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, Event]] = []
        self._changed = asyncio.Event()

    async def hear(self, message: Msg) -> None:
        self.messages.append((message.subject, decode_event(message.data)))
        self._changed.set()

    def on(self, subject: str) -> list[Event]:
        return [event for heard, event in self.messages if heard == subject]

    @property
    def subjects(self) -> set[str]:
        return {subject for subject, _ in self.messages}

    async def until(self, condition: Callable[[], bool], timeout_s: float = 10) -> None:
        """Wait until `condition` holds; it is looked at after every message."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


@pytest.fixture
def wiretap() -> Callable[[str], Any]:
    """`async with wiretap(url) as tap:` listens on that server with plain nats-py."""

    @asynccontextmanager
    async def listen(url: str) -> AsyncIterator[Tap]:
        tap = Tap()
        client = await nats.connect(url)
        try:
            await client.subscribe("md.events.>", cb=tap.hear)
            for _ in range(
                2
            ):  # nats-py's PING overtakes a SUB that is still pending: only the second proves it arrived
                await client.flush()
            yield tap
        finally:
            await client.close()

    return listen


@pytest.fixture(scope="session")
def postgres() -> Iterator[postgres_server.PostgresServer]:
    """A real PostgreSQL that every test of the session shares; each makes a database of its own."""
    with postgres_server.running() as server:
        if server is None:
            pytest.skip("no PostgreSQL here: expected initdb on PATH or in /usr/lib/postgresql")
        yield server


@pytest.fixture
def eventually() -> Callable[..., Awaitable[None]]:
    """`await eventually(lambda: ...)` waits for a condition that tells nobody when it becomes true."""

    async def wait(condition: Callable[[], bool], timeout_s: float = 10) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():  # noqa: ASYNC110 - counters wake nobody
                await asyncio.sleep(0.005)

    return wait
