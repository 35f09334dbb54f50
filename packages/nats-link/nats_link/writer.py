"""Ways from the outbox to the server: straight onto nats-py's transport, or through nats-py's `publish`.

The straight way is several times faster and needs two private names of nats-py. When a version of nats-py has renamed
them, the link says so once and goes the other way.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Protocol

from nats.aio.client import Client
from nats.errors import Error

from nats_link.headers import parse
from nats_link.outbox import Outbox

STREAM_NAMES: Final = ("_transport", "_io_writer")  # private: from nats-py's client to its asyncio.StreamWriter
CHUNK_BYTES: Final = 256 * 1024
UNSENT_BYTES: Final = 64 * 1024  # in the kernel, beyond what is on its way; it would take megabytes
POLL_S: Final = 0.005  # the public path tells of nothing


class Writer(Protocol):
    def push(self) -> bool:
        """Hand over what the connection takes at once, without waiting; false when the connection is gone."""
        ...

    async def drain(self) -> None:
        """Wait for room, or hand over with waiting. Raises OSError or nats' Error when the connection is gone."""
        ...

    async def settle(self) -> None:
        """Wait until everything handed over so far has reached the transport."""
        ...

    def confirm(self, published_bytes: int, /) -> None:
        """The server has read so much, on the scale of `outbox.published_bytes`."""
        ...

    async def gone(self) -> None:
        """Wait until the connection is gone. To be cancelled never: `abort` ends it."""
        ...

    @property
    def buffered(self) -> int:
        """Bytes handed over that are still in this process, as far as can be known."""
        ...

    @property
    def sent(self) -> int:
        """Bytes that have left this process; 0 for ever where that is not known."""
        ...

    @property
    def full(self) -> bool:
        """So much is buffered that the next messages have to wait for `drain`."""
        ...

    def abort(self) -> None:
        """Give the connection up at once, without waiting for a peer that may be frozen."""
        ...


class FramedWriter:
    """Writes protocol text on the transport that nats-py has opened, one write a tick.

    The transport gets little more than it can send, and the kernel too, so that on a broken connection the rest is
    still in the outbox and goes out after the reconnect, and so that a slow server is seen to read.
    """

    def __init__(self, stream: asyncio.StreamWriter, outbox: Outbox, max_pending_bytes: int) -> None:
        self._stream = stream
        self._transport = stream.transport
        self._outbox = outbox
        self._chunk = min(CHUNK_BYTES, max_pending_bytes // 4)
        self._transport.set_write_buffer_limits(high=self._chunk)
        self._written = 0
        _keep_unsent_low(self._transport)

    def push(self) -> bool:
        transport = self._transport
        if transport.is_closing():
            return False
        while self._outbox.queued and transport.get_write_buffer_size() <= self._chunk:
            data = self._outbox.take(self._chunk)
            self._written += len(data)
            transport.write(data)
        return True

    async def drain(self) -> None:
        await self._stream.drain()

    async def settle(self) -> None:
        return

    def confirm(self, _: int, /) -> None:
        return

    async def gone(self) -> None:
        try:
            await self._stream.wait_closed()
        except OSError:
            return

    @property
    def buffered(self) -> int:
        return self._transport.get_write_buffer_size()

    @property
    def sent(self) -> int:
        return self._written - self.buffered  # nats-py's own few bytes make it too low at times, never too high

    @property
    def full(self) -> bool:
        return self._transport.get_write_buffer_size() > self._chunk

    def abort(self) -> None:
        self._transport.abort()


class PlainWriter:
    """Publishes through nats-py's public path, message by message.

    nats-py tells what it has not written yet, but not what its transport holds (and on some versions of Python its
    transport takes everything). So what the server has not confirmed counts as buffered, and a full quarter of the
    bound is confirmed before more is handed over.
    """

    def __init__(
        self, client: Client, outbox: Outbox, max_pending_bytes: int, ask: Callable[[], Awaitable[bool]]
    ) -> None:
        """`ask` makes one round trip and confirms; it is false when the connection is over."""
        self._client = client
        self._outbox = outbox
        self._enough = max_pending_bytes // 4
        self._ask = ask
        self._confirmed_bytes = outbox.published_bytes

    def push(self) -> bool:
        return self._client.is_connected

    async def drain(self) -> None:
        outbox = self._outbox
        while self._client.is_connected:
            if self.full:
                if not await self._ask():
                    return
            elif outbox.queued:
                await self._publish_one()
            else:
                return

    async def settle(self) -> None:
        while self._client.pending_data_size and self._client.is_connected:  # noqa: ASYNC110  # nats-py has no event
            await asyncio.sleep(POLL_S)

    def confirm(self, published_bytes: int, /) -> None:
        self._confirmed_bytes = max(self._confirmed_bytes, published_bytes)
        self._outbox.note_buffered(self.buffered)

    async def gone(self) -> None:
        while self._client.is_connected:  # noqa: ASYNC110  # nats-py's own callback is sometimes left out
            await asyncio.sleep(POLL_S)

    @property
    def buffered(self) -> int:
        return self._outbox.published_bytes - self._confirmed_bytes

    @property
    def sent(self) -> int:
        return 0

    @property
    def full(self) -> bool:
        return self.buffered > self._enough

    def abort(self) -> None:
        return

    async def _publish_one(self) -> None:
        message = self._outbox.pop()
        self._outbox.note_buffered(self.buffered)
        try:  # nats-py has room for more than is ever handed over
            await self._client.publish(message.subject, message.payload, message.reply, parse(message.headers) or None)
        except Error:
            self._outbox.lose_popped()
            raise


def make_writer(client: Client, outbox: Outbox, max_pending_bytes: int, ask: Callable[[], Awaitable[bool]]) -> Writer:
    """Return the fast writer for a connected client, or the plain one when nats-py's private names are not there."""
    stream: object = client
    for name in STREAM_NAMES:
        stream = getattr(stream, name, None)
    if isinstance(stream, asyncio.StreamWriter):
        return FramedWriter(stream, outbox, max_pending_bytes)
    return PlainWriter(client, outbox, max_pending_bytes, ask)


def _keep_unsent_low(transport: asyncio.Transport | asyncio.WriteTransport) -> None:
    """Have the kernel take little more than it can send; where it knows no such option it takes what it likes."""
    raw = transport.get_extra_info("socket")
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if raw is not None and option is not None:
        with suppress(OSError):
            raw.setsockopt(socket.IPPROTO_TCP, option, UNSENT_BYTES)
