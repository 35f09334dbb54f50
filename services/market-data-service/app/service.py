"""The composition root: read it top to bottom and you have seen the service.

    feed (sockets) -> door, if its provider is the active one -> bus -> sink -> NATS

Beside it: HTTP, the liveness watch that chooses among two providers, and a watch that tells what people should know.
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
from app.http import HttpServer, OrderRules, Parts, create_app, listen
from app.liveness.active import Doors
from app.liveness.provider_watch import LivenessOptions
from app.liveness.watch import Liveness
from app.metrics import ServiceCollector, make_registry, render
from app.providers import Provider
from app.settings import Settings
from app.sinks.discard import DiscardSink
from app.sinks.nats import NatsSink
from app.sinks.sink import Sink, drain
from app.venues import endpoints, make_provider, make_providers
from md_contract.events import TYPE_OF
from md_contract.units import NS_PER_MS
from nats_link import Link, LinkOptions, redact

# The parts of a stop that may take time; together they stay below the 10 s a supervisor waits before it kills.
CLOSE_SOCKETS_S: Final = 2.5
EMPTY_BUS_S: Final = 3.5
CLOSE_SINK_S: Final = 2.0
CLOSE_HTTP_S: Final = 1.5
WATCH_EVERY_S: Final = 0.5
LOOK_EVERY_S: Final = 0.2

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
            BadSettingsError: settings that cannot be used together; see `make_providers` and `Settings.read_secret`.
        """
        providers = make_providers(settings)
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

        self.doors = Doors(list(providers), settings.symbols, self.bus.publish)
        self.feeds = {name: self._make_feed(provider) for name, provider in providers.items()}
        self.liveness = Liveness(
            self.feeds,
            self.doors,
            _liveness_options(settings),
            time.monotonic_ns(),
            markets={name: getattr(provider, "market", "") for name, provider in providers.items()},
            cold=settings.backup_cold,
        )

        collector = ServiceCollector(
            settings.symbols, self.bus, self.feeds, self.liveness, self.link, lambda: self.loop_lag_s
        )
        registry = make_registry(collector)
        self.parts = Parts(
            settings.symbols,
            self.bus,
            self.feeds,
            self.liveness,
            OrderRules(settings.read_secret("failover_token"), settings.failover_remote),
            self.link,
            self.nats_url,
            lambda: render(registry),
        )
        self.http = HttpServer(create_app(self.parts), listener)

        self._running: dict[str, asyncio.Task[None]] = {}  # the feeds, by provider
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
                for name in self.liveness.watches:
                    self._connect(name, tasks)
                liveness = tasks.create_task(self._watch_liveness(tasks), name="liveness")
                await self._stop.wait()

                liveness.cancel()
                await self._close_sockets()
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

    def _make_feed(self, provider: Provider) -> Feed:
        ws_url, rest_url = endpoints(self.settings, provider.name)
        return Feed(
            provider,
            self.settings.symbols,
            publish=self.doors[provider.name].publish,
            ws_url=ws_url,
            rest_url=rest_url,
            book_depth=self.settings.book_depth,
            book_rate_hz=self.settings.book_pub_rate_hz,
        )

    def _connect(self, name: str, tasks: asyncio.TaskGroup) -> None:
        """Run a provider's feed, until it is asked to stop."""
        part = f"feed {name}"
        run = self.feeds[name].run()
        is_cold = self.liveness.cold and name == self.liveness.backup
        self._running[name] = tasks.create_task(run if is_cold else self._endless(run, part), name=part)

    async def _watch_liveness(self, tasks: asyncio.TaskGroup) -> None:
        """Look at the feeds a few times a second, and keep a cold standby connected while it is wanted."""
        liveness = self.liveness
        while True:
            for remark in liveness.look(time.monotonic_ns(), time.time_ns()):
                getattr(log, remark.level)(remark.event, **remark.fields)
            if liveness.cold and liveness.backup is not None:
                self._keep_as_wanted(liveness.backup, tasks)
            await asyncio.sleep(LOOK_EVERY_S)

    def _keep_as_wanted(self, cold: str, tasks: asyncio.TaskGroup) -> None:
        running = self._running.get(cold)
        if self.liveness.wanted and running is None:
            log.info("cold standby connects", provider=cold)
            self.feeds[cold] = self._make_feed(make_provider(self.settings, cold))
            if self.bus.saturated:
                self.feeds[cold].pause()
            self.liveness.began(cold)
            self._connect(cold, tasks)
        elif running is not None and running.done():
            del self._running[cold]
            self.liveness.ended(cold)
        elif running is not None and not self.liveness.wanted:
            self.feeds[cold].request_stop()

    async def _close_sockets(self) -> None:
        running = self._running
        for name in running:
            self.feeds[name].request_stop()
        _, late = await asyncio.wait(running.values(), timeout=CLOSE_SOCKETS_S)
        for task in late:
            log.warning("sockets did not close in time", waited_s=CLOSE_SOCKETS_S, next="they are cut off")
            task.cancel()
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
            for feed in self.feeds.values():
                feed.pause()
        else:
            log.info("bus has room: sockets are read again", sink=self.sink.name)
            for feed in self.feeds.values():
                feed.resume()

    async def _watch(self) -> None:
        """Measure how late the loop is, and tell once what would otherwise only be counted."""
        loop = asyncio.get_running_loop()
        failed = False
        unconfirmed = 0
        while True:
            due = loop.time() + WATCH_EVERY_S
            await asyncio.sleep(WATCH_EVERY_S)
            self.loop_lag_s = max(loop.time() - due, self.loop_lag_s * 0.9, 0.0)
            if self.buffer.failures and not failed:
                failed = True
                log.error("sink failed on an event; further ones are only counted", why=self.buffer.last_failure)
            if self.link is not None and self.link.unconfirmed > unconfirmed:
                log.warning(
                    "messages went down with a connection to NATS before it confirmed them",
                    at_most=self.link.unconfirmed - unconfirmed,
                    next="readers see the lost ones as holes in seq",
                )
                unconfirmed = self.link.unconfirmed


def _liveness_options(settings: Settings) -> LivenessOptions:
    silence_s = settings.heartbeat_silence_s
    return LivenessOptions(
        heartbeat_interval_s=settings.heartbeat_interval_s,
        heartbeat_silence_s=silence_s,
        failover_silence_s=silence_s if settings.failover_silence_s is None else settings.failover_silence_s,
        failover_lag_s=settings.failover_lag_s,
        failover_min_dwell_s=settings.failover_min_dwell_s,
        failover_probation_s=settings.failover_probation_s,
    )


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

    for file in settings.secret_files:
        if os.name == "posix" and file.stat().st_mode & 0o077:
            log.warning("others may read a secret", file=str(file), next=f"chmod 600 {file}")
    host, port = listener.getsockname()[:2]
    log.info(
        "started",
        provider=settings.provider,
        backup=settings.backup,
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
