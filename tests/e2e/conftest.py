import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import postgres as postgres_server
import pytest
from running import Stack

from nats_link.testing import NatsServer


@pytest.fixture
async def stack(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[Stack]:
    """A stack with its reader already listening; nothing else started yet."""
    async with AsyncExitStack() as exits:
        http = await exits.enter_async_context(aiohttp.ClientSession())
        running = Stack(nats_server.url, exits, http, tmp_path)
        await running.start_reader()
        yield running
        for process in running.processes.values():  # shown with a failure
            sys.stdout.write("\n".join([f"--- the last lines of {process.name}", *process.lines[-12:], ""]))


@pytest.fixture
def postgres() -> Iterator[postgres_server.PostgresServer]:
    """A real PostgreSQL server."""
    with postgres_server.running() as server:
        if server is None:
            pytest.skip("no PostgreSQL here: expected initdb on PATH or in /usr/lib/postgresql")
        yield server
