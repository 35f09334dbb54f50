"""NATS for the cases: one server for the whole case, and connections as the services have them."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import nats
from nats.aio.client import Client

from harness.case import AbsentError, Setting
from nats_link import Link, LinkOptions
from nats_link.testing import NatsServer

READY_S = 10.0


@contextmanager
def server() -> Iterator[Setting]:
    """A nats-server with JetStream on a free port."""
    try:
        with NatsServer() as running:
            yield {"nats": running.url}
    except FileNotFoundError as error:
        raise AbsentError(str(error)) from None


@asynccontextmanager
async def link_to(
    url: str, handlers: dict[str, Callable[[str, bytes], None]] | None = None
) -> AsyncIterator[tuple[Link, asyncio.Event]]:
    """A connected link, and what is set when it takes messages again; `handlers` by subject."""
    writable = asyncio.Event()
    link = Link(LinkOptions(url=url, name="benchmark"), on_writable=writable.set)
    for subject, handler in (handlers or {}).items():
        link.subscribe(subject, "", handler)
    running = asyncio.create_task(link.run())
    async with asyncio.timeout(READY_S):
        await writable.wait()
    try:
        yield link, writable
    finally:
        await link.close(5)
        await running


@asynccontextmanager
async def nats_py(url: str) -> AsyncIterator[Client]:
    """A connected client of nats-py."""
    client = await nats.connect(url, pending_size=64 << 20)
    try:
        yield client
    finally:
        await client.close()


def send_raw(url: str, framed: bytes) -> None:
    """Publish framed messages on a plain socket, and wait until the server has read them; blocks."""
    host, port = url.removeprefix("nats://").split(":")
    with socket.create_connection((host, int(port))) as plain:
        plain.recv(65_536)
        plain.sendall(b'CONNECT {"verbose":false}\r\n' + framed + b"PING\r\n")
        heard = b""
        while b"PONG" not in heard:
            heard = heard[-8:] + plain.recv(65_536)


def frame(messages: list[tuple[str, bytes]]) -> bytes:
    """Messages as `PUB` puts them on the wire."""
    return b"".join(b"PUB %s %d\r\n%s\r\n" % (subject.encode(), len(payload), payload) for subject, payload in messages)
