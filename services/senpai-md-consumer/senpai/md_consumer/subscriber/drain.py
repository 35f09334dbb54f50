"""From the queue through the heart to the publisher, in batches on the event loop; no task per message."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol

import structlog

from md_contract.events import TYPE_OF, Event
from md_contract.signals import Signal
from md_contract.subjects import SYSTEM
from md_contract.units import NS_PER_MS
from senpai.md_consumer.queue import EventQueue
from senpai.md_consumer.subscriber.gaps import GapNotices
from senpai.md_consumer.subscriber.latency import Latency
from senpai.md_consumer.subscriber.quarantine import FAILED, Quarantine

BATCH: Final = 256  # events per turn of the loop: about a millisecond, so that HTTP and NATS are served in between
SHARE: Final = 4  # or this part of a queue that grows, so that a burst is worked off before the 90 % rule begins,
MAX_BATCH: Final = 4096  # up to about 20 ms

log = structlog.get_logger(__name__)


class Heart(Protocol):
    """The pure part of the consumer."""

    def on_event(self, event: Event, mono_ns: int, /) -> Sequence[Signal]:
        """Apply one event; return the signals that fire now."""

    def on_bus_gap(self, event_type: str, symbol: str, missing: int, mono_ns: int, /) -> None:
        """Events of this stream are missing from here on (-1: nobody knows how many)."""


class Outlet(Protocol):
    """Where results go."""

    def emit(self, signals: Iterable[Signal], /) -> None:
        """Publish signals at once."""

    def touch(self, symbols: Iterable[str], now_ns: int, /) -> None:
        """The features of these symbols have changed."""


class QueueDrain:
    """Works the queue off, a batch a turn."""

    def __init__(
        self,
        queue: EventQueue,
        heart: Heart,
        outlet: Outlet,
        *,
        notices: GapNotices,
        quarantine: Quarantine,
        call_soon: Callable[[Callable[[], None]], Any],
        mono_ns: Callable[[], int],
        batch: int = BATCH,
    ) -> None:
        self.latency = Latency()
        self.measuring = True  # of the latency and the lag
        self._queue = queue
        self._heart = heart
        self._outlet = outlet
        self._notices = notices
        self._quarantine = quarantine
        self._call_soon = call_soon
        self._mono_ns = mono_ns
        self._batch = batch
        self._scheduled = False
        self._lag_ns = 0  # sum of (monotonic time - ts_event)
        self._lags = 0

    def wake(self) -> None:
        """Begin to work the queue off in the next turn of the loop."""
        if not self._scheduled:
            self._scheduled = True
            self._call_soon(self._turn)

    def run(self) -> None:
        """Work off one batch, then tell the publisher which symbols have changed."""
        queue, on_event, mono_ns = self._queue, self._heart.on_event, self._mono_ns
        observe = self.latency.observe if self.measuring else _let_be
        notices, touched = self._notices.waiting, dict[str, None]()
        for _ in range(min(len(queue), max(self._batch, min(len(queue) // SHARE, MAX_BATCH)))):
            if notices:
                self._apply_gaps(touched)
            event, received_ns = queue.take()
            try:
                signals = on_event(event, received_ns)
            except Exception as error:  # noqa: BLE001  # whatever one event breaks, its neighbours are worked on
                self._fail(event, error)
                signals = ()
            if signals:
                self._outlet.emit(signals)
            touched[event.symbol] = None
            done_ns = mono_ns()
            observe(done_ns - received_ns)
            if event.ts_event is not None:
                self._lag_ns += done_ns - event.ts_event
                self._lags += 1
        if not queue:
            self._notices.announce_owed(queue.next_position)
            self._apply_gaps(touched)
        if not self.measuring:
            self._lag_ns = self._lags = 0
        touched.pop(SYSTEM, None)
        self._outlet.touch(touched, mono_ns())

    def take_lag_ms(self, mono_to_wall_ns: int) -> float | None:
        """Mean time from the venue's clock until worked off, of the events since the last call; None without any."""
        lag_ms = (self._lag_ns + self._lags * mono_to_wall_ns) / self._lags / NS_PER_MS if self._lags else None
        self._lag_ns = self._lags = 0
        return lag_ms

    def finish(self) -> None:
        """Work off everything that is queued."""
        while self._queue or self._notices:
            self.run()

    def _turn(self) -> None:
        self._scheduled = False
        self.run()
        if self._queue:
            self.wake()

    def _apply_gaps(self, touched: dict[str, None]) -> None:
        while (notice := self._notices.take(self._queue.taken)) is not None:
            self._heart.on_bus_gap(notice.event_type, notice.symbol, notice.missing, self._mono_ns())
            touched[notice.symbol] = None

    def _fail(self, event: Event, error: Exception) -> None:
        """Set an event aside that could not be worked on, and tell the heart that it is missing."""
        event_type = TYPE_OF[type(event)]
        if self._quarantine.add(FAILED, f"{event_type} {event.symbol}", repr(event).encode(), repr(error)):
            log.error("event_failed", type=event_type, symbol=event.symbol, exc_info=error, more="counted, see /stats")
        if event.symbol != SYSTEM:
            self._heart.on_bus_gap(event_type, event.symbol, 1, self._mono_ns())


def _let_be(_: int) -> None:
    """Stands in for a measurement that is not wanted."""
