"""What the tests of the link share: both event loops, links that end with their test, an independent listener."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import nats
import pytest
from nats.aio.msg import Msg

from nats_link import Link, LinkOptions

try:
    import uvloop
except ImportError:  # not on Windows
    LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
else:
    LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "one_loop: the event loop makes no difference, and the test takes seconds")


def pytest_asyncio_loop_factories(config: Any, item: Any) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return dict(list(LOOPS.items())[-1:]) if item.get_closest_marker("one_loop") else LOOPS


@pytest.fixture
def until() -> Callable[..., Awaitable[None]]:
    """`await until(condition)`: wait until it holds, or fail."""

    async def wait(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():  # noqa: ASYNC110  # conditions of all kinds, most without an event
                await asyncio.sleep(0.002)

    return wait


@pytest.fixture
async def start_link() -> AsyncIterator[Callable[..., Link]]:
    """`start_link(url, subscriptions, **options)`: a link that runs until the test ends."""
    running: list[tuple[Link, asyncio.Task[None]]] = []

    def start(
        url: str,
        subscriptions: list[tuple[str, str, Callable[[str, bytes], None]]] | None = None,
        *,
        on_state: Callable[[bool], None] | None = None,
        on_writable: Callable[[], None] | None = None,
        **options: Any,
    ) -> Link:
        options = {"name": "test", "reconnect_wait_s": 0.01, "reconnect_wait_max_s": 0.1, **options}
        link = Link(LinkOptions(url=url, **options), on_state=on_state, on_writable=on_writable)
        for subject, queue, handler in subscriptions or []:
            link.subscribe(subject, queue, handler)
        running.append((link, asyncio.create_task(link.run())))
        return link

    yield start
    for link, task in running:
        await link.close(1.0)
        await task


@pytest.fixture
async def listen() -> AsyncIterator[Callable[[str, str], Awaitable[list[tuple[str, bytes]]]]]:
    """`await listen(url, subject)`: a growing list of what a plain nats-py client receives."""
    clients = []

    async def start(url: str, subject: str) -> list[tuple[str, bytes]]:
        seen: list[tuple[str, bytes]] = []

        async def take(message: Msg) -> None:
            seen.append((message.subject, message.data))

        client = await nats.connect(url)
        clients.append(client)
        await client.subscribe(subject, cb=take)
        await client.flush()  # nats-py's ping overtakes the subscription
        await client.flush()
        return seen

    yield start
    for client in clients:
        await client.close()


class FakeServer:
    """Speaks as much of the NATS protocol as a client needs to connect, and then says what a test wants."""

    def __init__(self) -> None:
        self.connections = 0
        self.words = b""  # sent once, after so many pongs
        self.pongs_before_words = 1
        self.max_pongs = 1_000_000
        self.seconds_per_line = 0.0  # how slowly it reads
        self.lines = 0
        self.heard: list[bytes] = []  # the first lines
        self.writers: list[asyncio.StreamWriter] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        writer.write(b'INFO {"server_id":"fake","version":"2.15.1","max_payload":1048576,"headers":true}\r\n')
        pongs = 0
        try:
            while line := await reader.readline():
                self.lines += 1
                self.heard += [line] if self.lines <= 10 else []
                await asyncio.sleep(self.seconds_per_line)
                if line.startswith(b"PING") and pongs < self.max_pongs:
                    pongs += 1
                    writer.write(b"PONG\r\n")
                    writer.write(self.words if pongs == self.pongs_before_words else b"")
        except ConnectionError:
            pass
        finally:
            writer.close()


@pytest.fixture
async def fake_server() -> AsyncIterator[FakeServer]:
    fake = FakeServer()
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0, limit=16 * 1024)
    server.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)  # so that its pace is felt at once
    fake.url = f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield fake
    server.close()


@pytest.fixture(params=["framed", "plain"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of publishing and receiving: on nats-py's transport, and with its private names hidden."""
    if request.param == "plain":
        monkeypatch.setattr("nats_link.writer.STREAM_NAMES", ("_renamed", "_as_well"))
        monkeypatch.setattr("nats_link.reader.PARSER_NAME", "_renamed")
    return str(request.param)
