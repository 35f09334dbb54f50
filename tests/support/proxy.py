"""A TCP proxy between a client and a server that can be made slow, or stall, while connections stay open."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

CHUNK_BYTES: Final = 16 * 1024
KERNEL_BYTES: Final = 64 * 1024  # what this end's kernel takes unread; its default would hide seconds of traffic


class SlowProxy:
    """Passes everything on; what the client sends at no more than `bytes_per_s` (None: as it comes, 0: not at all).

    `bytes_per_s` holds for all connections together and may be changed at any time.
    """

    def __init__(self, server_port: int) -> None:
        self.port = 0
        self.bytes_per_s: float | None = None
        self.passed = 0  # bytes from clients to the server
        self.connections = 0  # ever made
        self._server_port = server_port
        self._free_at = 0.0  # loop time from which the way is free for the next chunk
        self._open: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator["SlowProxy"]:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BYTES)  # inherited by what it accepts
        self.port = listener.getsockname()[1]
        server = await asyncio.start_server(self._serve, sock=listener, limit=CHUNK_BYTES)
        try:
            yield self
        finally:
            server.close()
            for task in self._open:
                task.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._pass(reader, server_writer, slow=True))
                ways.create_task(self._pass(server_reader, writer, slow=False))
        except* OSError:
            pass  # one side is gone; so the other one goes
        except* asyncio.CancelledError:
            pass  # the proxy ends; asyncio's server would tell of a cancelled handler as of an error
        finally:
            self._open.discard(task)
            for end in (writer, server_writer):
                end.close()
                with suppress(OSError):
                    await end.wait_closed()

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, slow: bool) -> None:
        while data := await source.read(CHUNK_BYTES):
            if slow:
                await self._turn(len(data))
                self.passed += len(data)
            sink.write(data)
            await sink.drain()
        raise ConnectionResetError  # ends the other way as well

    async def _turn(self, size: int) -> None:
        """Wait until so many bytes may pass; a change of the rate counts at once."""
        loop = asyncio.get_running_loop()
        while (rate := self.bytes_per_s) is not None:
            if rate and self._free_at <= loop.time():
                self._free_at = max(self._free_at, loop.time() - 0.1) + size / rate
                return
            await asyncio.sleep(min(max(self._free_at - loop.time(), 0.001), 0.02))
