"""The feed of one provider: its connections, kept up for ever, and what they have in common."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import structlog

from app.feed.clock import Clock
from app.feed.connection import Connection, ConnectionState
from app.feed.errands import run_errands
from app.feed.gate import Gate
from app.feed.rest import Rest, RestError
from app.feed.session import Session
from app.feed.supervisor import Patience, Supervisor
from app.liveness.backoff import TokenBucket
from app.providers.provider import BookOptions, Fetch, Provider, UnreadableListingError
from md_contract.events import Event

FIRST_CHECK_S: Final = 5.0  # how long the first connection waits for the check of the symbols
RECHECK_S: Final = 60.0

_log = structlog.get_logger()


class _StopRequested(Exception):  # noqa: N818 - not an error: it ends the task group
    pass


class Feed:
    """Connects to one provider, keeps its connections up, and publishes what arrives.

    `publish` is called from the socket's callback, once per event and in order; it must neither block nor raise.

    Raises:
        ValueError: `ws_url` is no ws:// or wss:// address, or `rest_url` no http:// or https:// one.

    Facts for people: `symbols` (tracked), `excluded` (symbol -> why it is not), `connections`, `frames`, `reconnects`,
    `last_recv_ns`, `quarantined` (reason -> count), `counters` (the provider's), `rest` (requests, errors).
    """

    def __init__(
        self,
        provider: Provider,
        symbols: Sequence[str],
        *,
        publish: Callable[[Event], None],
        ws_url: str,
        rest_url: str,
        book_depth: int = 20,
        book_rate_hz: float = 10.0,
        clock: Clock | None = None,
        patience: Patience | None = None,
    ) -> None:
        _expect_scheme(ws_url, "ws", "wss")
        _expect_scheme(rest_url, "http", "https")
        self.provider = provider
        self.counters = provider.counters
        self.excluded: dict[str, str] = {}
        self.connections: list[Connection] = []
        self._publish = publish
        self._ws_url = ws_url
        self._books = BookOptions(book_depth, book_rate_hz)
        self._clock = clock or Clock()
        self._patience = patience or Patience(rotate_after_s=provider.limits.rotate_after_s)
        self._gate = Gate()
        self._stop = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()
        limits = provider.limits
        self.rest = Rest(
            rest_url, weight_per_min=limits.rest_weight_per_min, clock=self._clock, used_weight=limits.used_weight
        )
        self.symbols: tuple[str, ...] = tuple(dict.fromkeys(symbols))
        self._exclude({symbol: why for symbol in self.symbols if (why := provider.refuse(symbol))})

    @property
    def connected(self) -> bool:
        """True when every connection is open and subscribed."""
        live = [connection.state is ConnectionState.LIVE for connection in self.connections]
        return bool(live) and all(live)

    @property
    def frames(self) -> int:
        return sum(connection.frames for connection in self.connections)

    @property
    def reconnects(self) -> int:
        """Connections made after one was lost; one that was replaced in time is no loss."""
        return sum(connection.reconnects for connection in self.connections)

    @property
    def rotations(self) -> int:
        """Connections that were replaced before they ended."""
        return sum(connection.rotations for connection in self.connections)

    @property
    def last_recv_ns(self) -> int | None:
        """When the last data frame was read, wall-clock ns; None before the first."""
        return max((c.last_recv_ns for c in self.connections if c.last_recv_ns is not None), default=None)

    @property
    def quarantined(self) -> dict[str, int]:
        return self.provider.quarantine.counts

    @property
    def book_resyncs(self) -> int:
        """Times a synchronised book was given up and taken anew."""
        return self.counters.books.resyncs

    @property
    def paused(self) -> bool:
        return self._gate.paused

    def pause(self) -> None:
        """Stop reading the sockets (backpressure): what comes waits in the kernel and, beyond it, at the venue."""
        self._gate.pause()

    def resume(self) -> None:
        """Read the sockets again."""
        self._gate.resume()

    def request_stop(self) -> None:
        """Ask `run` to end; returns at once."""
        self._stop.set()

    async def stop(self) -> None:
        """Ask `run` to end and wait until every socket is closed."""
        self.request_stop()
        await self._ended.wait()

    async def run(self) -> None:
        """Keep the feed up until it is asked to stop; returns when every socket is closed."""
        self._ended.clear()
        errands = self.provider.errands
        try:
            async with self.rest, asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch_for_stop(), name="watch for stop")
                tasks.create_task(self._connect_all(tasks), name="start the connections")
                if errands is not None:
                    running = run_errands(errands, rest=self.rest, publish=self._publish, clock=self._clock)
                    tasks.create_task(running, name="run errands")
        except* _StopRequested:
            pass
        finally:
            if errands is not None:
                for event in errands.closed(self._clock.wall_ns()):
                    self._publish(event)
            self._ended.set()

    async def _watch_for_stop(self) -> None:
        await self._stop.wait()
        raise _StopRequested

    async def _connect_all(self, tasks: asyncio.TaskGroup) -> None:
        await self._check_symbols_first(tasks)
        if not self.symbols:
            _log.error("no symbol to subscribe to; the feed stays idle", excluded=self.excluded)
        limits = self.provider.limits
        attempts = TokenBucket(limits.connects_per_5_min, 300.0)
        for symbols in self.provider.split(self.symbols):
            connection = Connection(symbols, state_since_ns=self._clock.wall_ns())
            self.connections.append(connection)
            keeper = Supervisor(
                connection,
                partial(self._session, connection),
                attempts=attempts,
                gate=self._gate,
                clock=self._clock,
                patience=self._patience,
            )
            tasks.create_task(keeper.run(), name=f"keep {symbols[0]} ... connected")

    def _session(self, connection: Connection, reconnect_reason: str | None, is_successor: bool) -> Session:
        return Session(
            self.provider,
            connection,
            publish=self._publish,
            url=self.provider.url(self._ws_url, connection.symbols),
            rest=self.rest,
            books=self._books,
            gate=self._gate,
            clock=self._clock,
            reconnect_reason=reconnect_reason,
            is_successor=is_successor,
        )

    async def _check_symbols_first(self, tasks: asyncio.TaskGroup) -> None:
        """Check the symbols against the venue's listing; when that cannot be had, go on and check later."""
        listing = self.provider.listing()
        if listing is None or not self.symbols:
            return
        try:
            async with asyncio.timeout(FIRST_CHECK_S):
                self._check(await self.rest.get_once(listing))
        except (RestError, UnreadableListingError, TimeoutError) as error:
            why = str(error) or f"no answer within {FIRST_CHECK_S:.0f} s"
            _log.warning("symbols not checked against the venue's listing; going on without", why=why)
            tasks.create_task(self._check_symbols_later(listing), name="check the symbols")

    async def _check_symbols_later(self, listing: Fetch) -> None:
        while True:
            await self._clock.sleep(RECHECK_S)
            try:
                self._check(await self.rest.get(listing))
            except UnreadableListingError as error:
                _log.warning("symbols not checked against the venue's listing", why=str(error))
            else:
                _log.info("symbols checked against the venue's listing", tracked=len(self.symbols))
                return

    def _check(self, answer: tuple[bytes, int]) -> None:
        body, _ = answer
        self._exclude(self.provider.unlisted(body, self.symbols))

    def _exclude(self, whys: dict[str, str]) -> None:
        """Stop tracking these symbols; open connections leave them out from their next attempt on."""
        for symbol, why in whys.items():
            _log.error("symbol excluded", symbol=symbol, why=why)
        self.excluded.update(whys)
        self.symbols = tuple(symbol for symbol in self.symbols if symbol not in whys)
        for connection in self.connections:
            connection.symbols = tuple(symbol for symbol in connection.symbols if symbol not in whys)


def _expect_scheme(url: str, *schemes: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in schemes or not parts.hostname:
        raise ValueError(f"expected a {' or '.join(f'{scheme}://' for scheme in schemes)} address, found {url!r}")
