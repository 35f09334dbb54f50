"""The composition root: read it top to bottom and you have seen the service.

    feed (sockets) -> door, if its provider is the active one -> bus -> outlet (buffer, journal on disk, sink) -> NATS

Beside it: HTTP, the liveness watch that chooses among two providers, and a watch that tells what people should know.
It stops in the order in which the data flows, so that nothing on its way is lost: sockets, bus, sinks, HTTP, database.
"""

import asyncio
import gc
import socket
import time
from collections.abc import Awaitable
from typing import Final

import structlog

from app.bus import NATS, STORAGE, Bus, Policy
from app.feed import Feed
from app.http import HttpServer, OrderRules, Parts, create_app
from app.journal import Journal, JournalError
from app.ledger import log_ledger
from app.liveness.active import Doors
from app.liveness.provider_watch import LivenessOptions
from app.liveness.watch import Liveness
from app.metrics import ServiceCollector, make_registry, render
from app.providers import Provider
from app.settings import BadSettingsError, Settings
from app.sinks.discard import DiscardSink
from app.sinks.jetstream import JetStreamSink
from app.sinks.outlet import Outlet
from app.sinks.sink import Sink
from app.sinks.storage import StorageSink
from app.storage.store import Store
from app.storage.writer import Writer
from app.uplink import make_uplink
from app.venues import endpoints, make_provider, make_providers
from md_contract.units import NS_PER_MS
from nats_link import Link, redact
from nats_link.jetstream import StreamError

# The parts of a stop that may take time; together they stay below the 10 s a supervisor waits before it kills.
CLOSE_SOCKETS_S: Final = 2.5
EMPTY_BUS_S: Final = 3.0
CLOSE_SINK_S: Final = 2.0
CLOSE_HTTP_S: Final = 1.5
DISPOSE_S: Final = 0.5
BYTES_PER_MB: Final = 1 << 20
WATCH_EVERY_S: Final = 0.5
LOOK_EVERY_S: Final = 0.2

log: Final = structlog.get_logger("app")


class Service:
    """All parts of one run, wired."""

    def __init__(self, settings: Settings, listener: socket.socket, store: Store | None = None) -> None:
        """Wire the parts; nothing runs yet.

        Args:
            settings: of this run.
            listener: the HTTP port, already taken.
            store: where events are stored, and disposed of at the end; None: nowhere.

        Raises:
            UnknownProviderError: the settings name a provider that does not exist.
            BadSettingsError: settings that cannot be used together; see `make_providers` and `Settings.read_secret`;
                or a folder for events on disk that cannot be used.
        """
        providers = make_providers(settings)
        self.settings = settings
        self.epoch = time.time_ns() // NS_PER_MS
        self.loop_lag_s = 0.0

        self.bus = Bus(self._saturation_changed)
        self.outlets: list[Outlet] = []
        self.link: Link | None = None
        self.stream: JetStreamSink | None = None
        self.nats_url = redact(settings.nats_url.get_secret_value())
        if settings.nats_enabled:
            uplink = make_uplink(settings, self.epoch)
            self.link = uplink.link
            self.stream = uplink if isinstance(uplink, JetStreamSink) else None
            self._add_outlet(uplink, NATS, folder="nats")
        else:
            self._add_outlet(DiscardSink(), NATS, folder=None)
        self.store = store
        self.storage: StorageSink | None = None
        if store is not None:
            self.storage = StorageSink(Writer(store))
            self._add_outlet(self.storage, STORAGE, folder="storage")

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
            settings.symbols,
            self.bus,
            self.feeds,
            self.liveness,
            self.link,
            lambda: self.loop_lag_s,
            self.stream,
            self.storage,
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
            stream=self.stream,
            storage=self.storage,
        )
        self.http = HttpServer(create_app(self.parts), listener)

        self._running: dict[str, asyncio.Task[None]] = {}  # the feeds, by provider
        self._stop = asyncio.Event()

    async def run(self) -> int:
        """Run until `request_stop`, then stop in order; return the exit code.

        A part that dies takes the service with it: better gone, and started anew, than half alive.
        """
        code = 0
        settings = self.settings
        try:
            async with asyncio.TaskGroup() as tasks:
                http = tasks.create_task(self._endless(self.http.run_until_stopped(), "http"), name="http")
                sinks = [
                    tasks.create_task(self._endless(outlet.sink.run(), outlet.sink.name), name=outlet.sink.name)
                    for outlet in self.outlets
                ]
                for outlet in self.outlets:
                    outlet.start(tasks)
                watch = tasks.create_task(self._watch(), name="watch")
                gc.collect()
                gc.freeze()
                for name in self.liveness.watches:
                    self._connect(name, tasks)
                background = [tasks.create_task(self._watch_liveness(tasks), name="liveness")]
                if self.storage is not None and settings.retention_days:
                    from app.history.archive.retention import keep_pruned  # only here, as in `process`

                    prune = keep_pruned(
                        settings.archive_dir, self.storage.writer.delete_exactly, settings.retention_days
                    )
                    background.append(tasks.create_task(prune, name="retention"))
                await self._stop.wait()

                for task in background:
                    task.cancel()
                await self._close_sockets()
                await asyncio.gather(*(outlet.stop(EMPTY_BUS_S, CLOSE_SINK_S) for outlet in self.outlets))
                self.http.stop()
                watch.cancel()
                await asyncio.wait([http, *sinks], timeout=CLOSE_HTTP_S)
                for task in (http, *sinks):
                    task.cancel()
        except* Exception as group:
            code = 1
            for error in group.exceptions:
                if isinstance(error, StreamError):
                    code = 2  # as the consumer: with these settings it will never work
                    log.error("service cannot work", why=str(error))  # noqa: TRY400 - it says what to do, a trace would not
                    continue
                log.exception("service failed", why=f"{type(error).__name__}: {error}", exc_info=error)
        self._put_aside()
        try:
            if self.store is not None:
                await _within(DISPOSE_S, self.store.dispose(), "storage did not close in time")
        finally:
            log_ledger(self.bus.buffers, self.storage)
        return code

    @property
    def stopping(self) -> bool:
        """It was asked to stop."""
        return self.parts.stopping

    def request_stop(self) -> None:
        """Begin the orderly stop; `run` returns when it is done."""
        self.parts.stopping = True
        self._stop.set()

    def end(self) -> None:
        """Put aside at once what is still under way, and say what became of every event."""
        self._put_aside()
        log_ledger(self.bus.buffers, self.storage)

    def _put_aside(self) -> None:
        for outlet in self.outlets:
            if outlet.sink is self.storage:
                outlet.buffer.give_back(self.storage.surrender())
            outlet.abandon()

    async def _endless(self, part: Awaitable[None], name: str) -> None:
        """Await a part that ends only when it is told to."""
        await part
        if not self._stop.is_set():
            raise RuntimeError(f"{name} ended by itself")

    def _add_outlet(self, sink: Sink, policy: Policy, folder: str | None) -> None:
        """Let the bus feed `sink`; what its buffer has no room for goes to this folder of SPILL_DIR."""
        settings, journal = self.settings, None
        if folder is not None and settings.spill_max_mb:
            try:
                journal = Journal(settings.spill_dir / folder, settings.spill_max_mb * BYTES_PER_MB)
            except JournalError as error:
                raise BadSettingsError([f"SPILL_DIR: {error}"]) from None
        settled = (lambda: sink.settled) if isinstance(sink, JetStreamSink | StorageSink) else None
        buffer = self.bus.attach(sink.name, sink.take, settings.bus_capacity, policy, journal, settled)
        self.outlets.append(Outlet(sink, buffer))

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
        self.bus.tell_losses(time.monotonic_ns(), time.time_ns(), last=True)
        log.info("stopping", step="sockets closed", queued=sum(len(buffer) for buffer in self.bus.buffers))

    def _saturation_changed(self, saturated: bool) -> None:
        if saturated:
            full = ",".join(buffer.name for buffer in self.bus.buffers if buffer.saturated)
            log.warning("bus full: sockets are not read", capacity=self.settings.bus_capacity, sink=full)
            for feed in self.feeds.values():
                feed.pause()
        else:
            log.info("bus has room: sockets are read again")
            for feed in self.feeds.values():
                feed.resume()

    async def _watch(self) -> None:
        """Measure how late the loop is, and tell once what would otherwise only be counted."""
        loop = asyncio.get_running_loop()
        unconfirmed = 0
        while True:
            due = loop.time() + WATCH_EVERY_S
            await asyncio.sleep(WATCH_EVERY_S)
            self.loop_lag_s = max(loop.time() - due, self.loop_lag_s * 0.9, 0.0)
            for outlet in self.outlets:
                outlet.look()
            self.bus.tell_losses(time.monotonic_ns(), time.time_ns())
            if self.link is not None and self.stream is None and self.link.unconfirmed > unconfirmed:
                log.warning(
                    "messages went down with a connection to NATS before it confirmed them",
                    at_most=self.link.unconfirmed - unconfirmed,
                    next="readers see the lost ones as holes in seq",
                )
                unconfirmed = self.link.unconfirmed


async def _within(timeout_s: float, part: Awaitable[None], otherwise: str) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await part
    except TimeoutError:
        log.warning(otherwise, waited_s=timeout_s, next="it is left to the operating system")


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
