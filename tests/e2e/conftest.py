import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import pytest
from running import Stack

from nats_link.testing import NatsServer


@pytest.fixture
async def stack(nats_server: NatsServer) -> AsyncIterator[Stack]:
    """A stack with its reader already listening; nothing else started yet."""
    async with AsyncExitStack() as exits:
        http = await exits.enter_async_context(aiohttp.ClientSession())
        running = Stack(nats_server.url, exits, http)
        await running.start_reader()
        yield running
        for process in running.processes.values():  # shown with a failure
            sys.stdout.write("\n".join([f"--- the last lines of {process.name}", *process.lines[-12:], ""]))
