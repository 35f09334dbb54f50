"""The composition root: read it top to bottom and you have seen the service."""

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import structlog

from md_contract.subjects import ALL_EVENTS
from md_contract.units import NS_PER_US
from nats_link import Link, LinkOptions, redact
from nats_link.jetstream import StreamError, StreamOptions
from nats_link.jetstream.consumers import DurableOptions
from senpai.md_consumer.alerts import Alerts, Readings
from senpai.md_consumer.features import select
from senpai.md_consumer.http import HttpServer, Views, create_app
from senpai.md_consumer.http.stats import ledger
from senpai.md_consumer.metrics import ConsumerCollector, exposition
from senpai.md_consumer.pipeline import Pipeline, PipelineOptions
from senpai.md_consumer.plugins.guard import Limits
from senpai.md_consumer.plugins.loaded import Plugins
from senpai.md_consumer.plugins.loader import load
from senpai.md_consumer.plugins.report import Reporter
from senpai.md_consumer.plugins.watchdog import Watchdog
from senpai.md_consumer.publisher import Publisher, PublisherOptions
from senpai.md_consumer.queue import DROP_FROM_PERCENT, QUEUE_RULE, EventQueue
from senpai.md_consumer.rules import RULES
from senpai.md_consumer.settings import Settings
from senpai.md_consumer.stream import Hub, Tap
from senpai.md_consumer.subscriber import Subscriber
from senpai.md_consumer.subscriber.jetstream import PAST_NS, Clocks, FollowerOptions, StreamReader

NAME: Final = "senpai-md-consumer"
QUEUE_GROUP: Final = "senpai-md"
HARD_BOUND_FACTOR: Final = 2  # trades beyond the queue's capacity, before nothing more is taken from NATS
UNACKED_FACTOR: Final = 4  # messages of the stream not acknowledged, in sizes of the queue: it never comes near
ACK_WAIT_S: Final = 30.0  # then the server gives a message out again
FLUSH_TIMEOUT_S: Final = 2.0
CLOSE_TIMEOUT_S: Final = 2.0

log = structlog.get_logger(__name__)


class LinkEndedError(RuntimeError):
    """The link to NATS gave up, which it never should."""


class Service:
    """Everything wired together; made inside the running event loop it is to work on.

    Raises:
        PluginsError: a plug-in cannot be used.
        BadHostError: the HTTP server's host is none of this machine.
        PortTakenError: the HTTP server's port cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        loop = asyncio.get_running_loop()
        self.plugins = load_plugins(settings)
        self._reporter = Reporter(self.plugins)
        self._mono_ns = _shifted_mono_ns if settings.use_jetstream else time.monotonic_ns
        self.http = HttpServer(settings.http_host, settings.http_port)
        self.queue = EventQueue(settings.queue_size, settings.queue_size * HARD_BOUND_FACTOR)
        self.pipeline = Pipeline(_pipeline_options(settings, self.plugins), {**RULES, **self.plugins.rules})
        self.alerts = Alerts()
        self.link = Link(_link_options(settings), on_writable=self._on_writable)
        self.hub = Hub()
        self.publisher = Publisher(
            PublisherOptions(epoch=time.time_ns(), rate_hz=settings.features_pub_rate_hz),
            Tap(self.link, self.hub),
            self.pipeline,
            call_later=lambda delay_s, callback: loop.call_later(delay_s, self._guarded(callback)),
            mono_ns=self._mono_ns,
            wall_ns=time.time_ns,
        )
        self.reader = self._stream_reader(settings) if settings.use_jetstream else None
        self.subscriber = self._core_subscriber() if self.reader is None else self.reader.subscriber
        self.views = Views(
            self.queue,
            self.subscriber,
            self.publisher,
            self.pipeline,
            self.link,
            self.hub,
            self.http.gate,
            firing=lambda: self.alerts.firing,
            nats_url=redact(settings.nats_url.get_secret_value()),
            mono_ns=self._mono_ns,
        )
        self.views.plugins = self.plugins
        if self.reader is not None:
            self.views.not_ready = self.reader.follower.reasons
            self.views.jetstream = self.reader.stats
        self._ended: asyncio.Future[None] = loop.create_future()
        self._rule_drops = 0

    async def run(self) -> None:
        """Work until `request_stop`, then stop in order: take nothing more, work off, publish the last, close."""
        collector = ConsumerCollector(
            self.queue,
            self.subscriber,
            self.publisher,
            self.pipeline,
            self.hub,
            nats_connected=lambda: self.link.connected,
            plugins=self.plugins.guards,
        )
        app = create_app(self.views, exposition(collector), _version())
        watchdog = Watchdog(self.plugins.watch) if self.plugins.guards else None
        if watchdog is not None:
            watchdog.start()
        log.info("started", http=f"http://{self.http.host}:{self.http.port}", nats=self.views.nats_url)
        try:
            async with asyncio.TaskGroup() as tasks:
                link = tasks.create_task(self._run_link(), name="link")
                tasks.create_task(self.http.run(app), name="http")
                tasks.create_task(self._run_clock(), name="clock")
                reader = tasks.create_task(self._run_reader(), name="reader")
                await asyncio.wait([self._ended])
                await self._shut_down(link)
                reader.cancel()
        finally:
            if watchdog is not None:
                watchdog.stop()
            log.info("stopped", **self._ledger())
        self._ended.result()  # raises what a callback raised

    def _core_subscriber(self) -> Subscriber:
        """Messages as NATS brings them, at most once."""
        loop = asyncio.get_running_loop()
        subscriber = Subscriber(
            self.queue,
            self.pipeline,
            self.publisher,
            call_soon=lambda callback: loop.call_soon(self._guarded(callback)),
            mono_ns=time.monotonic_ns,
            wall_ns=time.time_ns,
        )
        self.link.subscribe(ALL_EVENTS, QUEUE_GROUP, subscriber.on_message)
        return subscriber

    def _stream_reader(self, settings: Settings) -> StreamReader:
        """Messages of the stream MD_EVENTS, at least once."""
        loop = asyncio.get_running_loop()
        stream = StreamOptions(
            max_age_s=settings.jetstream_max_age_s,
            max_bytes=settings.jetstream_max_bytes,
            duplicate_window_s=settings.jetstream_duplicate_window_s,
            replicas=settings.jetstream_replicas,
        )
        durable = DurableOptions(
            settings.jetstream_durable, stream.name, UNACKED_FACTOR * settings.queue_size, ACK_WAIT_S
        )
        clocks = Clocks(
            self._mono_ns,
            time.time_ns,
            call_soon=lambda callback: loop.call_soon(self._guarded(callback)),
            call_later=lambda delay_s, callback: loop.call_later(delay_s, self._guarded(callback)),
        )
        return StreamReader(
            FollowerOptions(stream, durable, settings.rolling_window_seconds),
            self.link,
            self.queue,
            self.pipeline,
            self.publisher,
            clocks,
            may_ack=lambda: not len(self.publisher.outbox),
        )

    def request_stop(self) -> None:
        """Begin to stop."""
        if not self._ended.done():
            self._ended.set_result(None)

    def on_signal(self, number: int) -> None:
        """The first signal stops in order, the second one at once."""
        name = signal.Signals(number).name
        if self._ended.done():
            log.warning("stopped_at_once", signal=name, **self._ledger())
            os._exit(128 + number)
        log.info("stopping", signal=name, again="stops at once")
        self.request_stop()

    async def _shut_down(self, link: asyncio.Task[None]) -> None:
        self.views.stopping = True
        incoming = self.reader or self.subscriber
        incoming.stop()
        incoming.finish()
        self.publisher.finish()
        self.hub.close("the service is stopping", "connect again in a moment")
        if self.link.connected and not await self.link.flush(FLUSH_TIMEOUT_S):
            log.warning("last_messages_unconfirmed", why=f"no answer from NATS within {FLUSH_TIMEOUT_S:g} s")
        self.http.stop()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S + 1):
                await self.link.close(CLOSE_TIMEOUT_S)
        except TimeoutError:
            log.warning("link_cut", why=f"NATS did not close within {CLOSE_TIMEOUT_S:g} s")
        link.cancel()

    def _ledger(self) -> dict[str, Any]:
        """The ledger for the log: the difference, which is 0, and what became of the events of each type."""
        lines = ledger(self.queue)
        shown = {name: _as_text(line) for name, line in lines.items() if line["received"]}
        return {"difference": sum(line["difference"] for line in lines.values()), **shown}

    async def _run_link(self) -> None:
        await self.link.run()
        if not self._ended.done():
            raise LinkEndedError("the link to NATS ended by itself")

    async def _run_reader(self) -> None:
        """In JetStream mode, follow the stream; what makes that impossible ends the service."""
        if self.reader is None:
            return
        try:
            await self.reader.follower.run()
        except StreamError as error:
            if not self._ended.done():
                self._ended.set_exception(error)

    async def _run_clock(self) -> None:
        """Once a second, without drift, whatever has to happen without an event."""
        started_s, second = time.monotonic(), 0
        self.subscriber.on_second(self._mono_ns())
        while not self._ended.done():
            second = max(second + 1, int(time.monotonic() - started_s))
            await asyncio.wait([self._ended], timeout=max(0.0, started_s + second - time.monotonic()))
            if not self._ended.done():
                self._guarded(self._on_second)()

    def _on_second(self) -> None:
        mono_ns, wall_ns = self._mono_ns(), time.time_ns()
        self.subscriber.on_second(mono_ns)
        self.publisher.on_second(mono_ns)
        heart_ns = mono_ns
        if self.reader is not None:
            heart_ns = self.reader.on_second(mono_ns)
        else:
            self.publisher.touch(self.pipeline.on_time(mono_ns), mono_ns)
            self.publisher.emit(self.pipeline.review(mono_ns))
        self.publisher.forget(self.pipeline.expire(heart_ns))
        self.plugins.look(counts=self.reader is None or self.reader.follower.caught_up)
        self._reporter.look()
        readings = self._readings(mono_ns, heart_ns, wall_ns)
        self.publisher.alert(self.alerts.check(readings, mono_ns=mono_ns, wall_ns=wall_ns))

    def _readings(self, mono_ns: int, heart_ns: int, wall_ns: int) -> Readings:
        sequences = self.subscriber.sequences
        return Readings(
            latency_ms=self.subscriber.take_lag_ms(wall_ns - mono_ns),
            queue_fill=self._highest_fill(),
            received=self.queue.received,
            holes=sum(sequences.holes.values()),
            missing=self.subscriber.missing,
            duplicates=sum(sequences.duplicates.values()),
            rebased=sum(sequences.rebased.values()),
            connected=self.link.connected,
            reconnects=self.link.reconnects,
            stale=self.pipeline.silences(heart_ns),
            feed_gaps=self.pipeline.take_feed_gaps(),
            switched=self.pipeline.switched(),
            plugins_off=self.plugins.off(),
        )

    def _highest_fill(self) -> float:
        """The queue's fill, or where the 90 % rule begins when it has dropped anything since the last look."""
        drops = sum(n for (reason, _), n in self.queue.dropped_by_reason.items() if reason == QUEUE_RULE)
        has_dropped, self._rule_drops = drops > self._rule_drops, drops
        return max(self.queue.fill_ratio, DROP_FROM_PERCENT / 100 if has_dropped else 0.0)

    def _on_writable(self) -> None:
        self.publisher.on_writable()

    def _guarded(self, callback: Callable[[], None]) -> Callable[[], None]:
        """A callback whose fault ends the service: half alive is worse than restarted."""

        def call() -> None:
            try:
                callback()
            except Exception as error:  # noqa: BLE001  # handed to run(), which raises it
                if not self._ended.done():
                    self._ended.set_exception(error)

        return call


def _as_text(line: dict[str, int]) -> str:
    outcomes = ("delivered", "conflated", "dropped", "spilled", "queued")
    return f"{line['received']} received = " + " + ".join(f"{line[name]} {name}" for name in outcomes)


def _link_options(settings: Settings) -> LinkOptions:
    return LinkOptions(
        url=settings.nats_url.get_secret_value(),
        name=NAME,
        replies=settings.use_jetstream,
        creds_file=settings.nats_creds_file,
        nkey_file=settings.nats_nkey_file,
        tls_ca_file=settings.nats_tls_ca_file,
        tls_cert_file=settings.nats_tls_cert_file,
        tls_key_file=settings.nats_tls_key_file,
        allow_insecure=settings.nats_allow_insecure,
    )


def load_plugins(settings: Settings) -> Plugins:
    """The user's own features and rules.

    Raises:
        PluginsError: some of them cannot be used.
    """
    limits = Limits(round(settings.plugin_budget_us * NS_PER_US), settings.plugin_budget_percent / 100)
    return load(settings.senpai_plugins, features=select(settings.features), limits=limits, clock=time.perf_counter_ns)


def _pipeline_options(settings: Settings, plugins: Plugins) -> PipelineOptions:
    return PipelineOptions(
        features={**select(settings.features), **plugins.features},
        window_s=settings.rolling_window_seconds,
        return_threshold=settings.signal_return_threshold,
        volume_threshold=settings.signal_volume_threshold,
        spread_threshold_bps=settings.signal_spread_bps_threshold,
        signal_valid_s=settings.signal_valid_s,
        signal_cooldown_s=settings.signal_cooldown_s,
        withhold=settings.signal_withhold,
        symbol_expiry_s=settings.symbol_expiry_s,
    )


def _shifted_mono_ns() -> int:
    return time.monotonic_ns() + PAST_NS


def _version() -> str:
    try:
        return version(NAME)
    except PackageNotFoundError:
        return "0"


def _new_loop() -> asyncio.AbstractEventLoop:
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


async def _main(settings: Settings) -> None:
    service = Service(settings)
    for number in (signal.SIGINT, signal.SIGTERM):
        _call_on(number, service.on_signal)
    gc.collect()
    gc.freeze()  # what was loaded to start is never looked at again
    asyncio.get_running_loop().call_later(settings.rolling_window_seconds, gc.freeze)  # nor what fills the windows
    await service.run()


def _call_on(number: signal.Signals, callback: Callable[[int], Any]) -> None:
    loop = asyncio.get_running_loop()
    if sys.platform == "win32":
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(callback, number))
    else:
        loop.add_signal_handler(number, callback, number)


def run(settings: Settings) -> None:
    """Run the service until a signal stops it.

    Raises:
        PluginsError: a plug-in cannot be used.
        BadHostError: the HTTP server's host is none of this machine.
        PortTakenError: the HTTP server's port cannot be used.
        BadAccessError: the credentials for NATS cannot be used, or would travel unencrypted.
        StreamError: JetStream is wanted and cannot be had.
    """
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        runner.run(_main(settings))
