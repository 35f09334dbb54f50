"""What the tests of JetStream share: a publisher that ends with its test, and plain nats-py to look with."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import nats
import pytest

from nats_link import Link, LinkOptions
from nats_link.jetstream import AckedPublisher, StreamOptions, ensure_stream

OPTIONS = StreamOptions(max_bytes=256 * 1024 * 1024)


class Line:
    """A link and a publisher on it, as a sink has them."""

    def __init__(self, url: str, options: StreamOptions, link_options: dict[str, Any], **limits: Any) -> None:
        self.writable = asyncio.Event()
        given = {"name": "test", "reconnect_wait_s": 0.01, "reconnect_wait_max_s": 0.1, "replies": True, **link_options}
        self.link = Link(LinkOptions(url=url, **given), on_writable=self.writable.set)
        self.publisher = AckedPublisher(
            self.link, prepare=lambda: ensure_stream(self.link, options), on_writable=self.writable.set, **limits
        )
        self.window = self.publisher.window
        self.next = 0
        self.tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self.tasks = [asyncio.create_task(self.link.run()), asyncio.create_task(self.publisher.run())]

    def publish(self, subject: str = "md.events.trade.A", size: int = 0) -> bool:
        """The next number as a message; false and not used up when it is refused."""
        taken = self.publisher.publish(subject, f"id-{self.next}", b"%d " % self.next + b"x" * size)
        self.next += taken
        return taken

    def accounts_close(self) -> bool:
        window = self.window
        return self.next == window.published == window.acked + window.rejected + window.pending


@pytest.fixture
async def line() -> AsyncIterator[Callable[..., Line]]:
    """`line(url, **limits)`: link and publisher, running until the test ends."""
    running: list[Line] = []

    def start(url: str, options: StreamOptions = OPTIONS, link_options: Any = None, **limits: Any) -> Line:
        made = Line(url, options, link_options or {}, **limits)
        made.start()
        running.append(made)
        return made

    yield start
    for made in running:
        made.publisher.close()
        await made.link.close(1.0)
        await asyncio.gather(*made.tasks)


@pytest.fixture
def stored() -> Callable[..., Any]:
    """`await stored(url)`: the numbers in the stream, in its order, read by plain nats-py."""

    async def read(url: str, name: str = "MD_EVENTS") -> list[int]:
        client = await nats.connect(url)
        try:
            count = (await client.jetstream().stream_info(name)).state.messages
            subscription = await client.jetstream().subscribe(">", stream=name, ordered_consumer=True)
            messages = [await subscription.next_msg(timeout=10) for _ in range(count)]
            return [int(message.data.split()[0]) for message in messages]
        finally:
            await client.close()

    return read


@pytest.fixture
def edit_stream() -> Callable[..., Any]:
    """`async with edit_stream(url) as jetstream:`: plain nats-py's JetStream."""

    @contextlib.asynccontextmanager
    async def connected(url: str) -> AsyncIterator[Any]:
        client = await nats.connect(url)
        try:
            yield client.jetstream()
        finally:
            await client.close()

    return connected


class Proxy:
    """Stands between a client and the server; what the server says can be kept from the client."""

    def __init__(self, port: int) -> None:
        self.deaf = False
        self.url = ""
        self._port = port
        self._writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            writer.close()
            return
        self._writers += [writer, server_writer]
        await asyncio.gather(self._copy(reader, server_writer, always=True), self._copy(server_reader, writer))

    def cut(self) -> None:
        for writer in self._writers:
            writer.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, always: bool = False) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if always or not self.deaf:
                    writer.write(data)
                    await writer.drain()
        writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[Callable[..., Any]]:
    """`await proxy(port)`: a proxy to that port of this machine."""
    servers = []

    async def start(port: int) -> Proxy:
        made = Proxy(port)
        server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
        made.url = f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        servers.append((made, server))
        return made

    yield start
    for made, server in servers:
        made.cut()
        server.close()
