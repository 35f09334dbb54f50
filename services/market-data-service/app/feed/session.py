"""The life of one connection: open it, serve it, close it."""

import asyncio
from collections.abc import Callable
from typing import Final

from picows import WSCloseCode, WSHandshakeError, WSProtocolError, WSTransport, ws_connect

from app.feed.clock import Clock
from app.feed.connection import Connection
from app.feed.gate import Gate
from app.feed.rest import Rest, retry_after_s
from app.feed.websocket import MAX_FRAME_BYTES, Ending, FrameListener
from app.providers.provider import BookOptions, Conversation, Fetch, Provider
from md_contract.events import Event

CONNECT_TIMEOUT_S: Final = 15.0
HANDSHAKE_TIMEOUT_S: Final = 5.0
CLOSE_TIMEOUT_S: Final = 1.0
IDLE_S: Final = 20.0  # without a frame before we ask whether anybody is there
PONG_S: Final = 10.0


class Session:
    """One connection of one provider. `run` it once."""

    def __init__(
        self,
        provider: Provider,
        connection: Connection,
        *,
        publish: Callable[[Event], None],
        url: str,
        rest: Rest,
        books: BookOptions,
        gate: Gate,
        clock: Clock,
        reconnect_reason: str | None = None,
        is_successor: bool = False,
    ) -> None:
        """Prepare one connection; for the arguments that are not told here see `FrameListener`.

        Args:
            provider: the venue.
            connection: its symbols, and the facts for people.
            publish: takes every event.
            url: to connect to.
            rest: to fetch with.
            books: how books are published.
            gate: backpressure.
            clock: for every time.
            reconnect_reason: how the last connection of these symbols ended, or None.
            is_successor: another one still serves.
        """
        self._url = url
        self._connection = connection
        self._rest = rest
        self._gate = gate
        self._clock = clock
        # A conversation has at most one request open for each of its topics, and few topics for each symbol.
        self._fetches: asyncio.Queue[Fetch] = asyncio.Queue(maxsize=4 * len(connection.symbols) + 4)
        self._conversation: Conversation = provider.converse(connection.symbols, books)
        self._listener = FrameListener(
            self._conversation,
            connection,
            publish=publish,
            fetch=self._fetches.put_nowait,
            quarantine=provider.quarantine,
            gate=gate,
            clock=clock,
            reconnect_reason=reconnect_reason,
            is_successor=is_successor,
        )
        if not is_successor:
            self._introduce()

    @property
    def ready(self) -> asyncio.Event:
        """Set when everything that this connection is for is flowing."""
        return self._listener.ready

    @property
    def replace(self) -> asyncio.Event:
        """Set when the venue wants this connection to be replaced."""
        return self._listener.replace

    def take_over(self, reconnect_reason: str | None) -> None:
        """Serve in place of the connection before this one; a reason when that one has ended already, and how."""
        self._listener.reconnect_reason = reconnect_reason
        self._introduce()
        self._listener.take_over()

    def retire(self) -> None:
        """End this connection: another one serves."""
        self._listener.hang_up("replaced")

    def _introduce(self) -> None:
        """Be the connection that people and the detectors of silence see."""
        self._connection.refused = self._conversation.refused
        self._connection.heard = getattr(self._conversation, "heard", None)  # few venues promise signs of life
        self._connection.hang_up = self._listener.hang_up

    async def run(self) -> Ending:
        """Connect, serve until the connection ends, and say how it ended. Cancelling closes the connection."""
        try:
            transport = await self._connect()
        except WSHandshakeError as error:
            return _refused(error)
        except (OSError, TimeoutError) as error:
            return Ending(f"{type(error).__name__}: {error}" if str(error) else "timed out while connecting")
        if not self._listener.opened:  # picows tells a server that hangs up during the handshake in no other way
            return Ending("closed by the server during the handshake")
        try:
            ending = await self._serve()
        finally:
            fault = await self._close(transport)
        if isinstance(fault, WSProtocolError):
            return Ending(f"protocol error: {fault}", ending.wait_s, ending.lasted_s)
        if fault is not None:
            raise fault
        return ending

    async def _connect(self) -> WSTransport:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                transport, _ = await ws_connect(
                    lambda: self._listener,
                    self._url,
                    max_frame_size=MAX_FRAME_BYTES,
                    websocket_handshake_timeout=HANDSHAKE_TIMEOUT_S,
                    enable_auto_pong=False,  # the listener answers, so that it sees every frame of a read
                    read_buffer_init_size=256 * 1024,
                )
        except BaseException:
            self._listener.abandoned = True
            raise
        return transport

    async def _serve(self) -> Ending:
        async with asyncio.TaskGroup() as tasks:
            helpers = [
                tasks.create_task(self._fetch_wanted(), name="fetch what the conversation wants"),
                tasks.create_task(self._keep_alive(), name="see whether the server is there"),
            ]
            ending = await self._listener.ended
            for helper in helpers:
                helper.cancel()
        return ending

    async def _fetch_wanted(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            while True:
                fetch = await self._fetches.get()
                tasks.create_task(self._fetch(fetch), name=f"fetch {fetch.topic}")

    async def _fetch(self, fetch: Fetch) -> None:
        body, ts_recv = await self._rest.get(fetch)
        self._listener.answered(fetch, body, ts_recv)

    async def _keep_alive(self) -> None:
        """Ping when nothing has come for a while; hang up when that is not answered either."""
        while True:
            frames = self._connection.frames
            await self._clock.sleep(IDLE_S)
            if self._connection.frames != frames or self._gate.paused:
                continue
            self._listener.ping()
            await self._clock.sleep(PONG_S)
            if self._connection.frames == frames and not self._gate.paused:
                self._listener.hang_up(f"no frame and no pong for {IDLE_S + PONG_S:.0f} s")

    async def _close(self, transport: WSTransport) -> Exception | None:
        """Close the socket, and return the error of ours that had ended it, if any."""
        if not transport.is_disconnected:
            if not transport.is_close_frame_sent:
                transport.send_close(WSCloseCode.OK)
            transport.disconnect()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await transport.wait_disconnected()
        except TimeoutError:
            transport.disconnect(graceful=False)
        except Exception as error:  # noqa: BLE001 - whatever the listener raised is handed on to the supervisor
            return error
        return None


def _refused(error: WSHandshakeError) -> Ending:
    """The server answered the handshake with something other than an open WebSocket."""
    if error.response is None:
        return Ending(f"handshake failed: {error}")
    status = int(error.response.status)
    wait_s = retry_after_s(status, error.response.headers.get("Retry-After"))
    return Ending(f"handshake refused with HTTP {status}", wait_s)
