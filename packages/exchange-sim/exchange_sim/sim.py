"""The local exchange as an object: `async with ExchangeSim(MarketModel()) as sim: ... sim.ws_url`."""

import asyncio
import time
from collections.abc import Collection, Iterable
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self, TypeAlias

import msgspec

from exchange_sim.binance import Binance, ErrorShape, Survey
from exchange_sim.control import control
from exchange_sim.faults import Faults
from exchange_sim.frame import Frame, Raw
from exchange_sim.hub import Hub
from exchange_sim.market import MarketModel, instrument
from exchange_sim.pump import Pump
from exchange_sim.script import Script
from exchange_sim.server import Patience, Server
from exchange_sim.tape import Tape
from exchange_sim.venue import Action, Close, HttpReply, Playback

_JSON: Final = {"Content-Type": "application/json"}
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
_ERROR_STATUSES: Final = frozenset(status.value for status in HTTPStatus if status >= 400)
Source: TypeAlias = MarketModel | Tape | Script


class ExchangeSim:
    """A local exchange on one port, for tests and demos. Everything that it sends is invented or recorded.

    A market runs from the start and never waits. A tape or a script begins when somebody has subscribed, waits for slow
    clients, and sets `done` at its end; nothing of it is dropped.

    Args:
        source: a `MarketModel` (default), a `Tape` or a `Script`.
        host: address to listen on.
        port: 0 takes a free one; see `port` after the start.
        wait_for_streams: streams that must be subscribed before a tape or script begins; when empty, it begins when
            there is a subscription and none was added for 0.2 s.
        patience: ping interval, pong timeout, length of a session and bounds of buffers.
        error_shape: how refused requests are answered: `documented`, or `wrapped` in an `error` object.

    Raises:
        PortTakenError: on entering, when the port cannot be had.
        TapeError: when a tape cannot be read.
    """

    def __init__(
        self,
        source: Source | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        wait_for_streams: Collection[str] = (),
        patience: Patience | None = None,
        error_shape: ErrorShape = "documented",
    ) -> None:
        self.host = host
        self.port = port
        self.survey: Survey | None = None  # what is on the tape, when the source is one
        self.venue, playback = self._prepare(MarketModel() if source is None else source, error_shape)
        self.hub = Hub(self.venue)
        self.server = Server(self.hub, patience or Patience(), self.venue.open, self._get, self._notice)
        self._pump = Pump(
            playback,
            self.hub,
            self.server,
            wait_for=wait_for_streams,
            perform=self._perform,
        )
        self._tasks: list[asyncio.Task[None]] = []

    def _prepare(self, source: Source, error_shape: ErrorShape) -> tuple[Binance, Playback]:
        def is_wanted(stream: str) -> bool:
            return self.hub.is_wanted(stream)

        if isinstance(source, MarketModel):
            venue = Binance(source.instruments, error_shape=error_shape)
            return venue, venue.live(source, is_wanted)
        if isinstance(source, Tape):
            self.survey = Survey(source)
            venue = Binance(self.survey.instruments, error_shape=error_shape)
            return venue, venue.recorded(self.survey, is_wanted)
        venue = Binance({symbol: instrument(symbol) for symbol in source.symbols}, error_shape=error_shape)
        venue.rest.depths.update(source.depths)
        return venue, source

    async def __aenter__(self) -> Self:
        self.port = await self.server.listen(self.host, self.port)
        self._tasks = [
            asyncio.create_task(self._pump.run(), name="exchange_sim pump"),
            asyncio.create_task(self.server.keep_house(), name="exchange_sim housekeeping"),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.server.stop()
        failures = [one for one in ended if isinstance(one, Exception)]
        if failures and error is None:
            raise failures[0]

    def _perform(self, action: Action) -> None:
        action(self)

    async def failed(self) -> None:
        """Wait until the exchange cannot go on, and raise why; returns never otherwise."""
        await asyncio.gather(*self._tasks)
        await asyncio.Event().wait()

    @property
    def ws_url(self) -> str:
        """Where WebSockets connect: the setting BINANCE_WS_URL."""
        return f"ws://{self.host}:{self.port}"

    @property
    def rest_url(self) -> str:
        """Where GETs go: the setting BINANCE_REST_URL."""
        return f"http://{self.host}:{self.port}"

    @property
    def symbols(self) -> Iterable[str]:
        return self.venue.symbols

    @property
    def clients(self) -> int:
        """Number of connected clients."""
        return len(self.server.connections)

    @property
    def sent(self) -> dict[tuple[str, str], int]:
        """Frames sent to at least one client, by (kind, symbol): `sent["trade", "BTCUSDT"]`."""
        return self.hub.sent

    @property
    def began(self) -> asyncio.Event:
        """Set when the source has begun."""
        return self._pump.began

    @property
    def done(self) -> asyncio.Event:
        """Set when a source that ends has been sent to its end and every client has taken it."""
        return self._pump.done

    @property
    def faults(self) -> Faults:
        """Silence, holes, repeats and wrong order, by stream."""
        return self._pump.faults

    def drop(self, code: int | None = None, reason: str = "") -> int:
        """End every connection: with a TCP reset, or with a close frame of this code. Returns how many."""
        connections = list(self.server.connections)
        for connection in connections:
            if code is None:
                connection.reset()
            else:
                connection.close(Close(code, reason))
        return len(connections)

    def refuse(self, on: bool = True) -> None:
        """Answer every new connection and GET with 503, or stop doing so."""
        self.server.refusing = on

    def stale_depth(self, count: int = 1) -> None:
        """Let the next depth answers carry an update id older than anything a client can have buffered."""
        self.venue.rest.stale_depths += count

    def fail_rest(self, status: int, count: int = 1, retry_after_s: int | None = None) -> None:
        """Answer the next REST calls with this HTTP status, such as 429, 418 or 500. Raises ValueError for another."""
        if status not in _ERROR_STATUSES:
            raise ValueError(f"expected an HTTP status of an error, found {status!r}")
        headers = _JSON if retry_after_s is None else {**_JSON, "Retry-After": str(retry_after_s)}
        failure = HttpReply(status, b'{"code":-1003,"msg":"a fault asked for by a test"}', headers)
        self.venue.rest.failures.extend([failure] * count)

    def server_shutdown(self, then_close: bool = False) -> None:
        """Send the `serverShutdown` notice to every client, and at once close the connections when asked to."""
        self.hub.broadcast(self._notice())
        self.hub.flush()
        if then_close:
            self.drop(1001, "server shutdown")

    def send_raw(self, data: bytes | str, *, binary: bool = False) -> None:
        """Send bytes to every client as they are, at once."""
        self.hub.broadcast_raw(Raw(data.encode() if isinstance(data, str) else data, binary))
        self.hub.flush()

    def _notice(self) -> Frame:
        return self.venue.shutdown_notice(time.time_ns())

    def _get(self, target: str) -> HttpReply:
        path, _, query = target.partition("?")
        if path == "/sim/health":
            return HttpReply(200, msgspec.json.encode(self.health()), _JSON)
        if path == "/sim/control" and self.host in _LOOPBACK:
            return control(self, query)
        return self.venue.get(target, time.time_ns())

    def health(self) -> dict[str, object]:
        """Return what `/sim/health` says."""
        return {
            "ok": not any(task.done() and not task.cancelled() and task.exception() for task in self._tasks),
            "simulation": True,
            "symbols": list(self.symbols),
            "clients": self.clients,
            "sent": self.hub.sent_total,
            "began": self.began.is_set(),
            "done": self.done.is_set(),
        }
