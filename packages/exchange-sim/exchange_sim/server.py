"""The sockets: one port for WebSockets and GETs, and the housekeeping of connections (pings, age, slow clients)."""

import asyncio
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from picows import WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener, ws_create_server

from exchange_sim.connection import Connection
from exchange_sim.frame import Frame
from exchange_sim.hub import Hub
from exchange_sim.venue import Close, HttpReply, Session

_PATIENCE_S: Final = 1.0  # for a client to answer our close frame
_UPGRADE: Final = "websocket"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the server bears with a connection. The defaults are the venues'."""

    ping_interval_s: float = 20.0  # Binance
    pong_timeout_s: float = 60.0  # Binance
    session_life_s: float = 24 * 3600.0  # Binance
    notice_s: float | None = None  # so long before the end of its life a session is told of it; None: not at all
    idle_s: float = 600.0  # Bybit: without data, a request or a ping that is a JSON message
    login_s: float = 10.0  # Alpaca: for a new client to log in
    linger_s: float = 30.0  # Alpaca: how long a client that left without a goodbye keeps others out
    high_water_bytes: int = 1 << 20  # a client with more than this unread holds up a playback that waits
    max_buffer_bytes: int = 64 << 20  # a client with more than this unread is cut off by a market that does not wait


class PortTakenError(OSError):
    """The address cannot be listened on; says which one, why, and what to do."""

    def __init__(self, host: str, port: int, why: OSError) -> None:
        self.host = host
        self.port = port
        super().__init__(
            f"cannot listen on {host} port {port}: {os.strerror(why.errno).lower() if why.errno else why}; "
            "stop what uses it, or choose another port"
        )


class Server:
    """Listens, and keeps the connections in the hub.

    `open_session` and `get` answer for the venues, `notice` for the one that tells its clients of their end.
    """

    def __init__(
        self,
        hub: Hub,
        patience: Patience,
        open_session: Callable[[str], Session | HttpReply],
        get: Callable[[str], HttpReply],
        notice: Callable[[], Frame],
    ) -> None:
        self._hub = hub
        self._patience = patience
        self._open = open_session
        self._get = get
        self._notice = notice
        self._server: asyncio.Server | None = None
        self._writable = asyncio.Event()
        self._closing: dict[Connection, float] = {}  # when each was told to go, monotonic seconds
        self.connections: dict[Connection, None] = {}
        self.opened_total = 0
        self.slow_clients_cut = 0

    async def listen(self, host: str, port: int) -> int:
        """Begin to listen; returns the port. Raises `PortTakenError`."""
        try:
            self._server = await ws_create_server(
                self._route, host, port, enable_auto_pong=False, websocket_handshake_timeout=10.0, logger_name="sim"
            )
        except OSError as error:
            raise PortTakenError(host, port, error) from error
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening and let every client go."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.close(Close(1001, "going away"))
            connection.hang_up()
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._emptied()
        except TimeoutError:
            for connection in list(self.connections):
                connection.reset()
            await self._emptied()

    def _route(self, request: WSUpgradeRequest) -> Connection | WSUpgradeResponseWithListener:
        target = request.path.decode(errors="replace")
        if request.headers.get("upgrade", "").lower() != _UPGRADE:
            return _http(self._get(target))
        session = self._open(target)
        if isinstance(session, HttpReply):
            return _http(session)
        return Connection(session, self, time.monotonic, self._patience.high_water_bytes)

    def joined(self, connection: Connection) -> None:
        """Note a new client."""
        self.connections[connection] = None
        self.opened_total += 1
        self._hub.update(connection, connection.session.streams, connection.session.variant)

    def changed(self, connection: Connection, frames: Iterable[Frame]) -> None:
        """Note what a client wants now, and give it what is for it alone."""
        self._hub.update(connection, connection.session.streams, connection.session.variant)
        for frame in frames:
            self._hub.greet(connection, frame)
        connection.flush()

    def left(self, connection: Connection) -> None:
        """Forget a client."""
        self.connections.pop(connection, None)
        self._closing.pop(connection, None)
        self._hub.remove(connection)
        self._writable.set()

    def writable(self) -> None:
        """Wake whoever waits for slow clients."""
        self._writable.set()

    async def _emptied(self) -> None:
        while self.connections:
            self._writable.clear()
            await self._writable.wait()

    @property
    def congested(self) -> bool:
        """True while some client is slow to read."""
        return any(connection.congested for connection in self.connections)

    @property
    def unread(self) -> int:
        """Bytes that clients have not taken yet."""
        return sum(connection.buffered for connection in self.connections)

    async def drained(self) -> None:
        """Wait until no client is slow."""
        while self.congested:
            self._writable.clear()
            await self._writable.wait()

    def cut_slow_clients(self) -> None:
        """Reset clients that let too much pile up."""
        for connection in list(self.connections):
            if connection.congested and not connection.gone and connection.buffered > self._patience.max_buffer_bytes:
                self.slow_clients_cut += 1
                connection.reset()

    async def keep_house(self) -> None:
        """Ping clients, and let go of silent, old and closing ones, until cancelled."""
        patience = self._patience
        shortest = min(
            patience.ping_interval_s,
            patience.pong_timeout_s,
            patience.session_life_s,
            patience.idle_s,
            patience.login_s,
        )
        beat_s = min(0.25, max(0.005, shortest / 10))
        while True:
            await asyncio.sleep(beat_s)
            now_s = time.monotonic()
            for connection in list(self.connections):
                self._look_after(connection, now_s)

    def _look_after(self, connection: Connection, now_s: float) -> None:
        patience, habits = self._patience, connection.session.habits
        if connection.gone:
            if now_s - self._closing.setdefault(connection, now_s) > _PATIENCE_S:
                connection.reset()
        elif habits.pings and now_s - connection.last_pong_s > patience.pong_timeout_s:
            connection.close(Close(1008, "Pong timeout"))
        elif habits.ages and now_s - connection.connected_s > patience.session_life_s:
            connection.close(Close(1001, "session too old"))
        elif habits.idles and now_s - connection.last_text_s > patience.idle_s:
            connection.hang_up()
        elif (last_word := connection.session.overdue(now_s - connection.connected_s)) is not None:
            connection.say(last_word)
            connection.close(Close(1008, "auth timeout"))
        else:
            if habits.pings and now_s - connection.last_ping_s > patience.ping_interval_s:
                connection.ping(b"%d" % int(time.time() * 1000))
            if habits.ages:
                self._warn(connection, now_s)

    def _warn(self, connection: Connection, now_s: float) -> None:
        patience = self._patience
        if patience.notice_s is None or connection.warned:
            return
        if now_s - connection.connected_s > patience.session_life_s - patience.notice_s:
            connection.warned = True
            self._hub.tell(connection, self._notice())
            connection.flush()


def _http(reply: HttpReply) -> WSUpgradeResponseWithListener:
    if reply.status < 400:
        response = WSUpgradeResponse.create_ok_response(reply.body, reply.headers)
    else:
        response = WSUpgradeResponse.create_error_response(reply.status, reply.body, reply.headers)
    return WSUpgradeResponseWithListener(response, None)
