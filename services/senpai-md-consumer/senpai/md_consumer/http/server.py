"""The HTTP server of the service: its port is taken before anything starts."""

from starlette.types import ASGIApp

import service_http
from service_http import Gate, listen


class HttpServer:
    """Bound on creation, so that a taken port is known at once; serves while `run` runs."""

    def __init__(self, host: str, port: int) -> None:
        """Bind.

        Raises:
            BadHostError: the host is none of this machine.
            PortTakenError: the port is taken.
        """
        self.gate = Gate()
        self.host = host
        self._listener = listen(host, port)
        self.port: int = self._listener.getsockname()[1]
        self._server: service_http.HttpServer | None = None
        self._stopped = False

    async def run(self, app: ASGIApp) -> None:
        """Serve until `stop`."""
        if self._stopped:
            self._listener.close()
            return
        self._server = service_http.HttpServer(app, self._listener, self.gate)
        await self._server.run_until_stopped()

    def stop(self) -> None:
        """Finish the requests under way and close."""
        self._stopped = True
        if self._server is not None:
            self._server.stop()
