"""From NATS to the heart: every message is decoded, checked, queued, and worked off in batches on the loop."""

from collections.abc import Callable
from typing import Any, Final

from senpai.md_consumer.queue import EventQueue
from senpai.md_consumer.subscriber.drain import BATCH, Heart, Outlet, QueueDrain
from senpai.md_consumer.subscriber.gaps import GapNotices
from senpai.md_consumer.subscriber.intake import Intake
from senpai.md_consumer.subscriber.latency import Latency
from senpai.md_consumer.subscriber.quarantine import Quarantine, Tolerated
from senpai.md_consumer.subscriber.rate import Rate
from senpai.md_consumer.subscriber.sequence import Sequences

__all__ = ["BATCH", "Heart", "Latency", "Outlet", "Quarantine", "Rate", "Sequences", "Subscriber", "Tolerated"]

MAX_STREAMS: Final = 20_000
RATE_WINDOW_S: Final = 10.0


class Subscriber:
    """The whole way in; `on_message` is what the link calls."""

    def __init__(
        self,
        queue: EventQueue,
        heart: Heart,
        outlet: Outlet,
        *,
        call_soon: Callable[[Callable[[], None]], Any],
        mono_ns: Callable[[], int],
        wall_ns: Callable[[], int],
        received_ns: Callable[[], int] | None = None,
        lossless: bool = False,
        max_streams: int = MAX_STREAMS,
        batch: int = BATCH,
    ) -> None:
        """`received_ns`: the monotonic time of the message in hand, when that is not now; `lossless`: what brings the
        messages loses none without saying so (`skipped`), so that a hole in `seq` is no loss.
        """
        notices = GapNotices(queue.hard_bound)
        self.quarantine = Quarantine()
        self.tolerated = Tolerated()
        self.sequences = Sequences(max_streams, lossless=lossless)
        self.rate = Rate(RATE_WINDOW_S)
        self._queue = queue
        self._drain = QueueDrain(
            queue,
            heart,
            outlet,
            notices=notices,
            quarantine=self.quarantine,
            call_soon=call_soon,
            mono_ns=mono_ns,
            batch=batch,
        )
        self._intake = Intake(
            queue,
            self._drain,
            sequences=self.sequences,
            notices=notices,
            quarantine=self.quarantine,
            tolerated=self.tolerated,
            mono_ns=received_ns or mono_ns,
            wall_ns=wall_ns,
        )
        self._missing_before = 0
        self.on_message: Callable[[str, bytes], None] = self._intake.on_message

    @property
    def latency(self) -> Latency:
        """From the local receipt of an event until it is worked off."""
        return self._drain.latency

    @property
    def events_in(self) -> dict[str, dict[str, int]]:
        """Events received, by type and provider."""
        return self._intake.events_in

    @property
    def last_received_ns(self) -> int | None:
        """Monotonic time of the last message; None before the first."""
        return self._intake.last_received_ns

    @property
    def ignored(self) -> int:
        """Messages that came after `stop`."""
        return self._intake.ignored

    def events_per_second(self, mono_ns: int) -> float:
        """Messages received a second, over the last seconds."""
        return self.rate.per_second(self._queue.received, mono_ns)

    def take_lag_ms(self, mono_to_wall_ns: int) -> float | None:
        """Mean time from the venue's clock until worked off, of the events since the last call; None without any.

        mono_to_wall_ns: what turns a monotonic time into a UTC time.
        """
        return self._drain.take_lag_ms(mono_to_wall_ns)

    def on_second(self, mono_ns: int) -> None:
        """Call it about once a second: the event rate slides."""
        self.rate.sample(self._queue.received, mono_ns)

    @property
    def missing(self) -> int:
        """Messages known to be lost on the bus since `measure` was last switched on."""
        return sum(self.sequences.missing.values()) - self._missing_before

    def measure(self, *, wanted: bool) -> None:
        """Whether what is worked off counts for latency, lag and losses; not while the past is read again."""
        self._drain.measuring = wanted
        self._missing_before = sum(self.sequences.missing.values())

    def skipped(self) -> None:
        """From here on every stream may miss something."""
        self.sequences.skips += 1

    def stop(self) -> None:
        """Take nothing more from NATS."""
        self._intake.taking = False

    def finish(self) -> None:
        """Work off everything that is queued."""
        self._drain.finish()
