"""uvicorn in the service's own event loop: its socket is bound before anything starts, its signals are ours."""

import contextlib
import os
import socket
from collections.abc import Generator
from typing import Final

import uvicorn
from fastapi import FastAPI

STOP_TIMEOUT_S: Final = 1
MAX_CONNECTIONS: Final = 256


class PortTakenError(OSError):
    """The address of the HTTP server cannot be used."""

    def __init__(self, host: str, port: int, why: str) -> None:
        self.host = host
        self.port = port
        super().__init__(f"HTTP cannot listen on {host}:{port} ({why}): free the port or set another HTTP_PORT")


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signals to the service."""
        yield


class HttpServer:
    """Bound on creation, so that a taken port is known at once; serves while `run` runs."""

    def __init__(self, host: str, port: int) -> None:
        """Bind.

        Raises:
            PortTakenError: the port is taken, or the address is not ours.
        """
        self._server: _Server | None = None
        self._stopped = False
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            self._socket = socket.create_server((host, port), family=family, backlog=128)
        except OSError as error:
            told = error.strerror or str(error)  # asyncio and socket add the address, the resolver numbers below 0
            why = os.strerror(error.errno) if error.errno and error.errno > 0 else told
            raise PortTakenError(host, port, why.lower()) from None
        self.host = host
        self.port: int = self._socket.getsockname()[1]

    async def run(self, app: FastAPI) -> None:
        """Serve until `stop`."""
        if self._stopped:
            self._socket.close()
            return
        config = uvicorn.Config(
            app,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=STOP_TIMEOUT_S,
        )
        self._server = _Server(config)
        await self._server.serve(sockets=[self._socket])

    def stop(self) -> None:
        """Finish the requests under way and close."""
        self._stopped = True
        if self._server is not None:
            self._server.should_exit = True
