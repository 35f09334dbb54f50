"""The local exchange as an object: `async with ExchangeSim(MarketModel()) as sim: ... sim.ws_url`."""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Iterable
from functools import partial
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self

import msgspec

from exchange_sim.alpaca import AlpacaFaults, Door
from exchange_sim.binance import Binance, ErrorShape, Survey
from exchange_sim.bybit import BybitFaults
from exchange_sim.connection import Connection
from exchange_sim.control import control
from exchange_sim.faults import Faults
from exchange_sim.frame import Frame, Raw
from exchange_sim.hub import Hub
from exchange_sim.market import MarketModel
from exchange_sim.pump import Pump
from exchange_sim.server import Patience, Server
from exchange_sim.sources import Source, prepare
from exchange_sim.venue import Action, Close, HttpReply, Venue
from exchange_sim.venues import Venues

_JSON: Final = {"Content-Type": "application/json"}
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
_ERROR_STATUSES: Final = frozenset(status.value for status in HTTPStatus if status >= 400)


class ExchangeSim:
    """A local exchange on one port, for tests and demos. Everything that it sends is invented or recorded.

    A market runs from the start and never waits. A tape or a script begins when somebody has subscribed, waits for slow
    clients, and sets `done` at its end; nothing of it is dropped. A venue without a market answers 404.

    Of an invented market Binance and Bybit have the pairs (BTCUSDT), Alpaca the shares (AAPL) and coins (BTC/USD).

    Args:
        source: a `MarketModel` (default), a `Tape` of one venue, or a `Script`.
        host: address to listen on.
        port: 0 takes a free one; see `port` after the start.
        wait_for_streams: streams that must be subscribed before a tape or script begins; when empty, it begins when
            there is a subscription and none was added for 0.2 s.
        patience: ping interval, pong timeout, length of a session, time to be idle or to log in, bounds of buffers.
        error_shape: how Binance's refused requests are answered: `documented`, or `wrapped` in an `error` object.

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
        source = MarketModel() if source is None else source
        self._model = source if isinstance(source, MarketModel) else None
        patience = patience or Patience()
        login_s, linger_s = patience.login_s, patience.linger_s
        make_door = partial(Door, login_s=login_s, linger_s=linger_s)
        self._stage = prepare(source, self._is_wanted, error_shape, make_door)
        self.contents = self._stage.contents  # of the tape, when the source is one
        venues: tuple[Venue | None, ...] = (self._stage.alpaca, self._stage.bybit, self._stage.binance)
        self._venues = Venues(venue for venue in venues if venue is not None)
        self.hub = Hub(self._venues, Faults(self._venues.names, self._venues.venue_of))
        self.server = Server(self.hub, patience, self._venues.open, self._get, self._notice)
        self._bybit = BybitFaults(self._stage.bybit, self._publish)
        self._alpaca = AlpacaFaults(self._stage.alpaca, self._publish, self._end)
        self._pump = Pump(
            self._stage.playback,
            self.hub,
            self.server,
            wait_for=wait_for_streams,
            perform=self._perform,
        )
        self._tasks: list[asyncio.Task[None]] = []

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
        """Where WebSockets connect: the settings BINANCE_WS_URL, BYBIT_WS_URL and ALPACA_WS_URL."""
        return f"ws://{self.host}:{self.port}"

    @property
    def rest_url(self) -> str:
        """Where GETs go: the settings BINANCE_REST_URL and BYBIT_REST_URL."""
        return f"http://{self.host}:{self.port}"

    @property
    def symbols(self) -> Iterable[str]:
        return self._venues.symbols

    @property
    def venues(self) -> tuple[str, ...]:
        """Names of the venues that have a market here."""
        return tuple(sorted(self._venues.names))

    @property
    def survey(self) -> Survey | None:
        """What is on the tape, when the source is one of Binance."""
        return self.contents if isinstance(self.contents, Survey) else None

    @property
    def clients(self) -> int:
        """Number of connected clients."""
        return len(self.server.connections)

    @property
    def sent(self) -> dict[tuple[str, str], int]:
        """Frames sent to at least one client, by (kind, symbol).

        `sent["trade", "BTCUSDT"]` are Binance's, `sent["spot:publicTrade", "BTCUSDT"]` are Bybit's,
        `sent["alpaca:trades", "AAPL"]` are Alpaca's: one for each order, however many trades it makes.
        """
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
        """Silence, holes, repeats and wrong order, by stream; silence also by venue."""
        return self.hub.faults

    @property
    def bybit(self) -> BybitFaults:
        """What Bybit alone does."""
        return self._bybit

    @property
    def alpaca(self) -> AlpacaFaults:
        """What Alpaca alone does."""
        return self._alpaca

    @property
    def _binance(self) -> Binance:
        if self._stage.binance is None:
            raise ValueError("expected a market that binance is a venue of, found none")
        return self._stage.binance

    def drop(self, code: int | None = None, reason: str = "", *, venue: str | None = None) -> int:
        """End every connection, or every one of a venue: with a TCP reset, or with a close frame of this code.

        Returns how many. Raises ValueError when there is no such venue.
        """
        connections = self._connections(venue)
        for connection in connections:
            if code is None:
                connection.reset()
            else:
                connection.close(Close(code, reason))
        return len(connections)

    def _connections(self, venue: str | None) -> list[Connection]:
        names = {one.name for one in self._venues.named(venue)}
        return [one for one in self.server.connections if one.session.venue in names]

    def _end(self, venue: str, last_word: bytes) -> int:
        connections = self._connections(venue)
        for connection in connections:
            connection.say(last_word)
            connection.hang_up()
        return len(connections)

    def refuse(self, on: bool = True, *, venue: str | None = None) -> None:
        """Answer every new connection and GET, or every one of a venue, with 503, or stop doing so.

        Raises ValueError when there is no such venue.
        """
        self._venues.refuse(on, venue)

    def stale_depth(self, count: int = 1) -> None:
        """Let Binance's next depth answers carry an update id older than anything a client can have buffered."""
        self._binance.rest.stale_depths += count

    def fail_rest(
        self, status: int, count: int = 1, retry_after_s: int | None = None, *, venue: str | None = None
    ) -> None:
        """Answer the next REST calls of each venue, or of one, with this HTTP status, such as 429, 418, 403 or 500.

        Raises ValueError for a status that is no error's, and when there is no such venue.
        """
        if status not in _ERROR_STATUSES:
            raise ValueError(f"expected an HTTP status of an error, found {status!r}")
        for one in self._venues.named(venue):
            one.fail_rest(status, count, retry_after_s)

    def server_shutdown(self, then_close: bool = False) -> None:
        """Send the `serverShutdown` notice to every client of Binance, and at once close them when asked to."""
        notice = self._notice()
        for connection in self.server.connections:
            if connection.session.venue == self._binance.name:
                self.hub.tell(connection, notice)
        self.hub.flush()
        if then_close:
            self.drop(1001, "server shutdown", venue=self._binance.name)

    def send_raw(self, data: bytes | str, *, binary: bool = False) -> None:
        """Send bytes to every client as they are, at once."""
        self.hub.broadcast_raw(Raw(data.encode() if isinstance(data, str) else data, binary))
        self.hub.flush()

    def burst(self, symbol: str, count: int) -> None:
        """Let one order trade `count` times at one instant. Raises ValueError unless the market is invented."""
        if self._model is None:
            raise ValueError("expected an invented market, found a recording or a script")
        self._model.burst(symbol, count)

    def _is_wanted(self, stream: str) -> bool:
        return self.hub.is_wanted(stream)

    def _publish(self, frame: Frame) -> None:
        self.hub.publish(frame)
        self.hub.flush()

    def _notice(self) -> Frame:
        return self._binance.shutdown_notice(time.time_ns())

    def _get(self, target: str) -> HttpReply:
        path, _, query = target.partition("?")
        if path == "/sim/health":
            return HttpReply(200, msgspec.json.encode(self.health()), _JSON)
        if path == "/sim/control" and self.host in _LOOPBACK:
            return control(self, query)
        return self._venues.get(target, time.time_ns())

    def health(self) -> dict[str, object]:
        """Return what `/sim/health` says."""
        clients = Counter(connection.session.venue for connection in self.server.connections)
        return {
            "ok": not any(task.done() and not task.cancelled() and task.exception() for task in self._tasks),
            "simulation": True,
            "venues": {name: {"clients": clients[name]} for name in self.venues},
            "symbols": list(self.symbols),
            "clients": self.clients,
            "sent": self.hub.sent_total,
            "began": self.began.is_set(),
            "done": self.done.is_set(),
        }
