"""Messages of the stream, in its order, each once: into the subscriber, with the time they would have come at."""

from collections.abc import Callable
from typing import Final, Protocol

from senpai.md_consumer.queue import EventQueue
from senpai.md_consumer.subscriber.jetstream.gate import Gate
from senpai.md_consumer.subscriber.jetstream.paced import PacedHeart
from senpai.md_consumer.subscriber.jetstream.plan import Plan
from senpai.md_consumer.subscriber.jetstream.stream_clock import StreamClock

FILL_PERCENT: Final = 75  # of the queue: no more is asked for, so that its 90 % rule never has to act


class Way(Protocol):
    """What the subscriber offers to a reader of the stream."""

    def on_message(self, subject: str, payload: bytes, /) -> None: ...

    def finish(self) -> None:
        """Work off everything that is queued."""

    def skipped(self) -> None:
        """From here on every stream may miss something."""

    def measure(self, *, wanted: bool) -> None:
        """Whether what is worked off counts for the latency and for the alerts."""


class StreamIntake:
    """Knows the last message taken, and whether what comes is news."""

    def __init__(self, way: Way, queue: EventQueue, heart: PacedHeart, gate: Gate, mono_ns: Callable[[], int]) -> None:
        self.clock = StreamClock()
        self.taken = 0  # number of the last message, in the stream
        self.taken_ns = 0  # when it was stored, by the server's clock
        self.event_ns = 0  # our time for the message in hand
        self.repeated = 0  # deliveries of messages that had been taken
        self.replayed = 0  # messages read again in silence
        self.passed_over = 0  # messages that were too old to be news, read or not
        self.lost = 0  # messages the stream deleted before they were read
        self._way = way
        self._queue = queue
        self._heart = heart
        self._gate = gate
        self._mono_ns = mono_ns
        self._most = max(1, queue.capacity * FILL_PERCENT // 100)

    @property
    def live(self) -> bool:
        """What comes is news."""
        return self._gate.open

    @property
    def most(self) -> int:
        """Messages that may be waiting or on their way, all in all."""
        return self._most

    @property
    def room(self) -> int:
        """Messages that may come before anything has to be worked off."""
        return self._most - len(self._queue)

    def take(self, subject: str, seq: int, ts_ns: int, payload: bytes, newest: bool = False) -> None:
        """The next message; those that were taken before are counted and let go.

        newest: the stream held nothing behind it when it was given out, so that it has hardly waited.
        """
        taken = self.taken
        if seq <= taken:
            self.repeated += 1
            return
        if seq != taken + 1 and taken:
            self._way.skipped()
            if self._gate.open:
                self.lost += seq - taken - 1
        self.taken, self.taken_ns = seq, ts_ns
        now_ns = self._mono_ns()
        if newest:
            self.clock.observe(ts_ns, now_ns)
        self.event_ns = self.clock.mono_of(ts_ns, now_ns)
        self._way.on_message(subject, payload)

    def take_seed(self, subject: str, seq: int, ts_ns: int, payload: bytes) -> None:
        """A message from before everything that is read again; no time passes between it and the next."""
        if seq > self.taken:
            self.replayed += 1
            self.take(subject, seq, ts_ns, payload)

    def take_again(self, plan: Plan, subject: str, seq: int, ts_ns: int, payload: bytes) -> None:
        """A message that is read again: in silence up to the first that is news."""
        if not self._gate.open and seq > self.taken:
            if seq > plan.position and ts_ns >= plan.live_ns:
                self.open_gate(plan, seq)
            else:
                self.replayed += 1
                self._heart.ticking = True
        self.take(subject, seq, ts_ns, payload)

    def open_gate(self, plan: Plan, seq: int) -> None:
        """What comes from `seq` on is news."""
        if self._gate.open:
            return
        if plan.move:
            self.passed_over += max(0, seq - 1 - plan.position)
        self._way.finish()
        self._gate.open = self._heart.ticking = True
        self._way.measure(wanted=True)

    def shut_gate(self) -> None:
        """What comes from here on only fills the windows."""
        self._way.finish()
        self._gate.open = self._heart.ticking = False
        self._way.measure(wanted=False)

    def forget(self) -> None:
        """The numbers of the stream begin anew."""
        self.taken = 0
        self._way.skipped()
