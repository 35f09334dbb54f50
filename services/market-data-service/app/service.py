"""The composition root: read it top to bottom and you have seen the service.

    feed (sockets) -> bus -> sink -> NATS        beside it: HTTP, and a watch that tells what people should know

It stops in the order in which the data flows, so that nothing on its way is lost: sockets, bus, sinks, HTTP.
"""

import asyncio
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable
from typing import Final

import structlog

from app.bus import Bus
from app.feed import Feed
from app.http import HttpServer, Parts, create_app, listen
from app.metrics import ServiceCollector, make_registry, render
from app.providers import make_provider
from app.settings import BadSettingsError, Settings
from app.sinks.discard import DiscardSink
from app.sinks.nats import NatsSink
from app.sinks.sink import Sink, drain
from md_contract.events import TYPE_OF
from md_contract.units import NS_PER_MS
from nats_link import Link, LinkOptions, redact

# The parts of a stop that may take time; together they stay below the 10 s a supervisor waits before it kills.
CLOSE_SOCKETS_S: Final = 2.5
EMPTY_BUS_S: Final = 3.5
CLOSE_SINK_S: Final = 2.0
CLOSE_HTTP_S: Final = 1.5
WATCH_EVERY_S: Final = 0.5

log: Final = structlog.get_logger("app")


class Service:
    """All parts of one run, wired."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        """Wire the parts; nothing runs yet.

        Args:
            settings: of this run.
            listener: the HTTP port, already taken.

        Raises:
            UnknownProviderError: the settings name a provider that does not exist.
            BadSettingsError: a symbol is none of the provider's.
        """
        provider = make_provider(settings.provider)
        refusals = [f"SYMBOLS: {why}" for symbol in settings.symbols if (why := provider.refuse(symbol))]
        if refusals:
            raise BadSettingsError(refusals)

        self.settings = settings
        self.epoch = time.time_ns() // NS_PER_MS
        self.loop_lag_s = 0.0

        self.link: Link | None = None
        self.sink: Sink = DiscardSink()
        self.nats_url = redact(settings.nats_url.get_secret_value())
        if settings.nats_enabled:
            writable = asyncio.Event()
            options = LinkOptions(url=settings.nats_url.get_secret_value(), name="market-data-service")
            self.link = Link(options, on_writable=writable.set)
            self.sink = NatsSink(self.link, writable, epoch=self.epoch)

        self.bus = Bus(self._saturation_changed)
        self.buffer = self.bus.attach(self.sink.name, self.sink.take, settings.bus_capacity)

        ws_url, rest_url = {"binance": (settings.binance_ws_url, settings.binance_rest_url)}[settings.provider]
        self.feed = Feed(
            provider,
            settings.symbols,
            publish=self.bus.publish,
            ws_url=ws_url,
            rest_url=rest_url,
            book_depth=settings.book_depth,
            book_rate_hz=settings.book_pub_rate_hz,
        )

        feeds = {settings.provider: self.feed}
        collector = ServiceCollector(settings.symbols, self.bus, feeds, self.link, lambda: self.loop_lag_s)
        registry = make_registry(collector)
        self.parts = Parts(settings.symbols, self.bus, feeds, self.link, self.nats_url, lambda: render(registry))
        self.http = HttpServer(create_app(self.parts), listener)

        self._stop = asyncio.Event()

    async def run(self) -> int:
        """Run until `request_stop`, then stop in order; return the exit code.

        A part that dies takes the service with it: better gone, and started anew, than half alive.
        """
        code = 0
        try:
            async with asyncio.TaskGroup() as tasks:
                http = tasks.create_task(self._endless(self.http.run_until_stopped(), "http"), name="http")
                sink = tasks.create_task(self._endless(self.sink.run(), self.sink.name), name=self.sink.name)
                drains = tasks.create_task(drain(self.buffer, self.sink), name=f"drain {self.sink.name}")
                watch = tasks.create_task(self._watch(), name="watch")
                gc.collect()
                gc.freeze()
                feed = tasks.create_task(self._endless(self.feed.run(), "feed"), name="feed")
                await self._stop.wait()

                await self._close_sockets(feed)
                await self._empty_bus(drains)
                await self.sink.close(CLOSE_SINK_S)
                self.http.stop()
                watch.cancel()
                await asyncio.wait([http, sink], timeout=CLOSE_HTTP_S)
                http.cancel()
                sink.cancel()
        except* Exception as group:
            code = 1
            for error in group.exceptions:
                log.exception("service failed", why=f"{type(error).__name__}: {error}", exc_info=error)
        self.buffer.abandon()
        self.log_ledger()
        return code

    def request_stop(self) -> None:
        """Begin the orderly stop; `run` returns when it is done."""
        self.parts.stopping = True
        self._stop.set()

    def log_ledger(self) -> None:
        """Say what became of every event: one line a sink."""
        for buffer in self.bus.buffers:
            rows = {TYPE_OF[cls]: account for cls, account in buffer.accounts.items() if account.received}
            log.info(
                "ledger",
                sink=buffer.name,
                difference=sum(account.difference for account in rows.values()),
                **{
                    name: f"{account.received} received = {account.delivered} delivered + {account.conflated} conflated"
                    f" + {account.dropped} dropped + {account.spilled} spilled + {account.queued} queued"
                    for name, account in rows.items()
                },
            )

    async def _endless(self, part: Awaitable[None], name: str) -> None:
        """Await a part that ends only when it is told to."""
        await part
        if not self._stop.is_set():
            raise RuntimeError(f"{name} ended by itself")

    async def _close_sockets(self, feed: asyncio.Task[None]) -> None:
        try:
            async with asyncio.timeout(CLOSE_SOCKETS_S):
                await self.feed.stop()
        except TimeoutError:
            log.warning("sockets did not close in time", waited_s=CLOSE_SOCKETS_S, next="they are cut off")
            feed.cancel()
        log.info("stopping", step="sockets closed", queued=len(self.buffer))

    async def _empty_bus(self, drains: asyncio.Task[None]) -> None:
        """Let the sink take what is buffered, as long as it takes anything at all."""
        deadline = time.monotonic() + EMPTY_BUS_S
        while len(self.buffer) and time.monotonic() < deadline and (self.link is None or self.link.connected):  # noqa: ASYNC110 - the buffer is pure and wakes nobody
            await asyncio.sleep(0.01)
        drains.cancel()
        left = self.buffer.abandon()
        if left:
            log.warning("events dropped at the end", events=left, sink=self.sink.name, why="it could not take them")
        log.info("stopping", step="bus emptied", dropped=left)

    def _saturation_changed(self, saturated: bool) -> None:
        if saturated:
            log.warning("bus full: sockets are not read", capacity=self.buffer.capacity, sink=self.sink.name)
            self.feed.pause()
        else:
            log.info("bus has room: sockets are read again", sink=self.sink.name)
            self.feed.resume()

    async def _watch(self) -> None:
        """Measure how late the loop is, and tell once what would otherwise only be counted."""
        loop = asyncio.get_running_loop()
        failed = False
        while True:
            due = loop.time() + WATCH_EVERY_S
            await asyncio.sleep(WATCH_EVERY_S)
            self.loop_lag_s = max(loop.time() - due, self.loop_lag_s * 0.9, 0.0)
            if self.buffer.failures and not failed:
                failed = True
                log.error("sink failed on an event; further ones are only counted", why=self.buffer.last_failure)


async def _serve(settings: Settings, listener: socket.socket) -> int:
    service = Service(settings, listener)

    def on_signal(number: int) -> None:
        if service.parts.stopping:
            log.warning("second signal: stopping at once", signal=signal.Signals(number).name)
            service.buffer.abandon()
            service.log_ledger()
            os._exit(1)
        log.info("stopping", signal=signal.Signals(number).name, next="a second signal stops at once")
        service.request_stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, on_signal, number)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda number, _frame: loop.call_soon_threadsafe(on_signal, number))

    host, port = listener.getsockname()[:2]
    log.info(
        "started",
        provider=settings.provider,
        symbols=",".join(settings.symbols),
        http=f"http://{host}:{port}/health",
        nats=service.nats_url if settings.nats_enabled else "off: events are discarded",
        epoch=service.epoch,
    )
    return await service.run()


def run_service(settings: Settings) -> int:
    """Run the service until it is told to stop; return the exit code: 0 after an orderly stop, 1 after a failure.

    Raises:
        PortTakenError: the HTTP address cannot be used.
        UnknownProviderError, BadSettingsError: see `Service`.
    """
    loop_factory = None
    if sys.platform != "win32":
        import uvloop

        loop_factory = uvloop.new_event_loop
    with (
        listen(settings.http_host, settings.http_port) as listener,
        asyncio.Runner(loop_factory=loop_factory) as runner,
    ):
        return runner.run(_serve(settings, listener))
