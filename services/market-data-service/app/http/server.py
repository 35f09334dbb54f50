"""The port and the server on it."""

import contextlib
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

MAX_CONNECTIONS: Final = 256


class PortTakenError(OSError):
    """The HTTP address cannot be used."""


def listen(host: str, port: int) -> socket.socket:
    """Take the port before anything else starts.

    Raises:
        PortTakenError: somebody else has it, or the address is not ours.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.create_server(address[:2], family=family, backlog=128)
    except OSError as error:
        raise PortTakenError(
            f"HTTP port {port} on {host} cannot be used: {error.strerror or error}; "
            "stop what uses it, or choose another with HTTP_PORT (or HTTP_HOST)"
        ) from None
    listener.setblocking(False)
    return listener


class HttpServer(uvicorn.Server):
    """uvicorn inside a running loop: signals and logging stay with the service."""

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                limit_concurrency=MAX_CONNECTIONS,
                timeout_keep_alive=5,
                timeout_graceful_shutdown=1,
            )
        )
        self._listener = listener

    async def run_until_stopped(self) -> None:
        """Serve until `stop` was called; connections that are still open then have a second to end."""
        await self.serve(sockets=[self._listener])

    def stop(self) -> None:
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
