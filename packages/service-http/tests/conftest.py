import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from service_http import Gate, HeadIsGet, HttpServer, listen

ENDLESS, HUGE, BODY = "/endless", "/huge", "/body"


class App:
    """`/`: ok. `/endless`: waits until the client goes. `/huge`: 64 MB. `/body`: answers when the body has come."""

    def __init__(self) -> None:
        self.endless = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"application/json")]
        await (self._body if scope["path"] == BODY else self._nothing)(receive)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if scope["path"] == ENDLESS:
            self.endless += 1
            await send({"type": "http.response.body", "body": b"{", "more_body": True})
            while (await receive())["type"] != "http.disconnect":
                pass
            self.endless -= 1
        elif scope["path"] == HUGE:
            for _ in range(64):
                await send({"type": "http.response.body", "body": b" " * 1_000_000, "more_body": True})
        await send({"type": "http.response.body", "body": b'{"ok": true}'})

    @staticmethod
    async def _nothing(_receive: Receive) -> None:
        pass

    @staticmethod
    async def _body(receive: Receive) -> None:
        while (message := await receive())["type"] == "http.request" and message.get("more_body"):
            pass


class Client:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, path: str = "/", method: str = "GET", more: str = "") -> tuple[int, dict[str, str]]:
        """Send a request; return status and headers."""
        self.writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode())
        return await self.answer()

    async def answer(self) -> tuple[int, dict[str, str]]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:]) if name}
        return int(head[0].split()[1]), headers

    async def rest(self) -> bytes:
        """The body of `/`, which has no length."""
        return await self.reader.readuntil(b"0\r\n\r\n")

    async def json(self, headers: dict[str, str]) -> Any:
        return json.loads(await self.reader.readexactly(int(headers["content-length"])))

    async def ended(self) -> bytes:
        """Wait for the server to close; what it said before."""
        said = b""
        with contextlib.suppress(ConnectionError):
            while more := await self.reader.read(1_000_000):
                said += more
        return said


class House:
    """A running server, and clients that are closed at the end."""

    def __init__(self, gate: Gate, app: ASGIApp) -> None:
        listener = listen("127.0.0.1", 0)
        self.port: int = listener.getsockname()[1]
        self.gate = gate
        self.server = HttpServer(app, listener, gate)
        self.clients: list[Client] = []

    async def connect(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self.clients.append(client)
        return client


@pytest.fixture
def house() -> Callable[..., AbstractAsyncContextManager[House]]:
    """`async with house(max_connections=4) as house:`; the arguments are the gate's."""

    @contextlib.asynccontextmanager
    async def make(**bounds: Any) -> AsyncIterator[House]:
        app = App()
        house = House(Gate(**bounds), HeadIsGet(app))
        serving = asyncio.create_task(house.server.run_until_stopped())
        try:
            yield house
        finally:
            for client in house.clients:
                client.writer.close()
            house.server.stop()
            await serving
            assert app.endless == 0

    return make


@pytest.fixture
def until() -> Callable[[Callable[[], object]], Any]:
    async def wait(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110  # conditions of all kinds
                await asyncio.sleep(0.005)

    return wait
