"""The port, and uvicorn on it: inside a running loop, with the signals and the logging left to the service."""

import contextlib
import errno
import os
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from service_http.connection import BoundedConnection
from service_http.gate import Gate


class PortTakenError(OSError):
    """The address of the HTTP server cannot be used."""

    def __init__(self, host: str, port: int, why: str) -> None:
        self.host = host
        self.port = port
        super().__init__(
            f"HTTP cannot listen on {host}:{port} ({why}): stop what uses it, "
            "or choose another with HTTP_PORT (or HTTP_HOST)"
        )


class BadHostError(ValueError):
    """The host is none that this machine could listen on."""

    def __init__(self, host: str, why: str) -> None:
        self.host = host
        super().__init__(
            f"HTTP_HOST: expected an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all, "
            f"found {host[:80]!r}: {why}"
        )


def listen(host: str, port: int) -> socket.socket:
    """Take the port before anything else starts.

    Raises:
        BadHostError: there is no such host, or it is not this machine.
        PortTakenError: somebody else has the port, or it may not be had.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is no name"
        raise BadHostError(host, why.lower()) from None
    try:
        listener = socket.create_server(address[:2], family=family, backlog=128)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        if error.errno == errno.EADDRNOTAVAIL:
            raise BadHostError(host, why.lower()) from None
        raise PortTakenError(host, port, why.lower()) from None
    listener.setblocking(False)
    return listener


class HttpServer(uvicorn.Server):
    """Serves `app` on `listener` within the bounds of `gate`."""

    def __init__(self, app: ASGIApp, listener: socket.socket, gate: Gate | None = None) -> None:
        self.gate = gate or Gate()
        super().__init__(
            uvicorn.Config(
                app,
                http=type("Connection", (BoundedConnection,), {"gate": self.gate}),
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=5,
                timeout_graceful_shutdown=1,
            )
        )
        self._listener = listener

    async def run_until_stopped(self) -> None:
        """Serve until `stop` was called; connections that are still open then have a second to end."""
        await self.serve(sockets=[self._listener])

    def stop(self) -> None:
        """Finish the requests under way and close."""
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the service."""
        yield
