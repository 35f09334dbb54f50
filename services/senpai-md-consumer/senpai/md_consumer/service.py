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
from nats_link import Link, LinkOptions, redact
from senpai.md_consumer.alerts import AlertOptions, Alerts
from senpai.md_consumer.http import HttpServer, Views, create_app
from senpai.md_consumer.http.stats import ledger
from senpai.md_consumer.metrics import ConsumerCollector, exposition
from senpai.md_consumer.pipeline import Pipeline, PipelineOptions
from senpai.md_consumer.publisher import Publisher, PublisherOptions
from senpai.md_consumer.queue import DROP_FROM_PERCENT, QUEUE_RULE, EventQueue
from senpai.md_consumer.settings import Settings
from senpai.md_consumer.subscriber import Subscriber

NAME: Final = "senpai-md-consumer"
QUEUE_GROUP: Final = "senpai-md"
HARD_BOUND_FACTOR: Final = 2  # trades beyond the queue's capacity, before nothing more is taken from NATS
FLUSH_TIMEOUT_S: Final = 2.0
CLOSE_TIMEOUT_S: Final = 2.0

log = structlog.get_logger(__name__)


class LinkEndedError(RuntimeError):
    """The link to NATS gave up, which it never should."""


class Service:
    """Everything wired together; made inside the running event loop it is to work on.

    Raises:
        PortTakenError: the HTTP server's address cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        loop = asyncio.get_running_loop()
        url = settings.nats_url.get_secret_value()
        self.http = HttpServer(settings.http_host, settings.http_port)
        self.queue = EventQueue(settings.queue_size, settings.queue_size * HARD_BOUND_FACTOR)
        self.pipeline = Pipeline(_pipeline_options(settings))
        self.alerts = Alerts(AlertOptions())
        self.link = Link(LinkOptions(url=url, name=NAME), on_writable=self._on_writable)
        self.publisher = Publisher(
            PublisherOptions(epoch=time.time_ns(), rate_hz=settings.features_pub_rate_hz),
            self.link,
            self.pipeline,
            call_later=lambda delay_s, callback: loop.call_later(delay_s, self._guarded(callback)),
            mono_ns=time.monotonic_ns,
            wall_ns=time.time_ns,
        )
        self.subscriber = Subscriber(
            self.queue,
            self.pipeline,
            self.publisher,
            call_soon=lambda callback: loop.call_soon(self._guarded(callback)),
            mono_ns=time.monotonic_ns,
        )
        self.link.subscribe(ALL_EVENTS, QUEUE_GROUP, self.subscriber.on_message)
        self.views = Views(
            self.queue,
            self.subscriber,
            self.publisher,
            self.pipeline,
            self.link,
            firing=lambda: self.alerts.firing,
            nats_url=redact(url),
            mono_ns=time.monotonic_ns,
        )
        self._ended: asyncio.Future[None] = loop.create_future()
        self._rule_drops = 0

    async def run(self) -> None:
        """Work until `request_stop`, then stop in order: take nothing more, work off, publish the last, close."""
        collector = ConsumerCollector(
            self.queue, self.subscriber, self.publisher, self.pipeline, nats_connected=lambda: self.link.connected
        )
        app = create_app(self.views, exposition(collector), _version())
        log.info("started", http=f"http://{self.http.host}:{self.http.port}", nats=self.views.nats_url)
        try:
            async with asyncio.TaskGroup() as tasks:
                link = tasks.create_task(self._run_link(), name="link")
                tasks.create_task(self.http.run(app), name="http")
                tasks.create_task(self._run_clock(), name="clock")
                await asyncio.wait([self._ended])
                await self._shut_down(link)
        finally:
            log.info("stopped", **self._ledger())
        self._ended.result()  # raises what a callback raised

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
        self.subscriber.stop()
        self.subscriber.finish()
        self.publisher.finish()
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
        """The ledger for the log: what is not zero, and the difference, which is."""
        lines = ledger(self.queue)
        shown = {name: {key: n for key, n in line.items() if n} for name, line in lines.items() if line["received"]}
        return {"ledger": shown, "difference": sum(line["difference"] for line in lines.values())}

    async def _run_link(self) -> None:
        await self.link.run()
        if not self._ended.done():
            raise LinkEndedError("the link to NATS ended by itself")

    async def _run_clock(self) -> None:
        """Once a second, without drift, whatever has to happen without an event."""
        started_s, second = time.monotonic(), 0
        self.subscriber.on_second(time.monotonic_ns())
        while not self._ended.done():
            second = max(second + 1, int(time.monotonic() - started_s))
            await asyncio.wait([self._ended], timeout=max(0.0, started_s + second - time.monotonic()))
            if not self._ended.done():
                self._guarded(self._on_second)()

    def _on_second(self) -> None:
        mono_ns, wall_ns = time.monotonic_ns(), time.time_ns()
        self.subscriber.on_second(mono_ns)
        self.publisher.on_second(mono_ns)
        self.publisher.touch(self.pipeline.on_time(mono_ns), mono_ns)
        changed = self.alerts.check(
            latency_ms=self.subscriber.take_lag_ms(wall_ns - mono_ns),
            missing=sum(self.subscriber.sequences.missing.values()),
            queue_fill=self._highest_fill(),
            wall_ns=wall_ns,
        )
        self.publisher.alert(changed)

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


def _pipeline_options(settings: Settings) -> PipelineOptions:
    return PipelineOptions(
        window_s=settings.rolling_window_seconds,
        return_threshold=settings.signal_return_threshold,
        volume_threshold=settings.signal_volume_threshold,
        spread_threshold_bps=settings.signal_spread_bps_threshold,
    )


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
        PortTakenError: the HTTP server's address cannot be used.
    """
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        runner.run(_main(settings))
