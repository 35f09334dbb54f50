"""JetStream mode put together: a subscriber, and a follower that feeds it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from md_contract.signals import Signal
from md_contract.units import NS_PER_MS, NS_PER_S
from nats_link import Link
from senpai.md_consumer.queue import EventQueue
from senpai.md_consumer.subscriber import Subscriber
from senpai.md_consumer.subscriber.drain import Heart, Outlet
from senpai.md_consumer.subscriber.jetstream.follower import Follower, FollowerOptions
from senpai.md_consumer.subscriber.jetstream.gate import Gate
from senpai.md_consumer.subscriber.jetstream.intake import StreamIntake
from senpai.md_consumer.subscriber.jetstream.paced import PacedHeart

PAST_NS: Final = 366 * 86_400 * NS_PER_S  # added to the monotonic clock, whose zero may be younger than the stream
STALL_NS: Final = 500 * NS_PER_MS  # a second that comes so late: the process stood still, and messages wait unseen


class TimedHeart(Heart, Protocol):
    """A heart that time goes by for."""

    def on_time(self, mono_ns: int, /) -> Iterable[str]:
        """Advance quiet symbols; return those that changed."""

    def review(self, mono_ns: int, /) -> list[Signal]:
        """Look again at what time alone may have ended; for after `on_time`."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """mono_ns: monotonic, PAST_NS ahead; wall_ns: UTC; and two calls of the event loop."""

    mono_ns: Callable[[], int]
    wall_ns: Callable[[], int]
    call_soon: Callable[[Callable[[], None]], Any]
    call_later: Callable[[float, Callable[[], None]], Any]


class StreamReader:
    """`subscriber` as in core mode, but fed by `follower`; time passes for the heart as the messages say."""

    def __init__(
        self,
        options: FollowerOptions,
        link: Link,
        queue: EventQueue,
        heart: TimedHeart,
        outlet: Outlet,
        clocks: Clocks,
        *,
        may_ack: Callable[[], bool],
    ) -> None:
        self._heart = heart
        self._mono_ns = clocks.mono_ns
        self._second_ns = clocks.mono_ns()
        self._paced = PacedHeart(heart, self._pass_time)
        self._gate = Gate(
            outlet,
            age_ns=lambda: clocks.mono_ns() - self._paced.now_ns,
            on_worked_off=self._on_worked_off,
        )
        self.subscriber = Subscriber(
            queue,
            self._paced,
            self._gate,
            call_soon=clocks.call_soon,
            mono_ns=clocks.mono_ns,
            wall_ns=lambda: self._intake.taken_ns,
            received_ns=lambda: self._intake.event_ns,
            lossless=True,
        )
        self.subscriber.measure(wanted=False)
        self._intake = StreamIntake(self.subscriber, queue, self._paced, self._gate, clocks.mono_ns)
        self.follower = Follower(
            options,
            link,
            self._intake,
            queue,
            may_ack=may_ack,
            call_later=clocks.call_later,
            mono_ns=clocks.mono_ns,
            wall_ns=clocks.wall_ns,
        )

    def on_second(self, mono_ns: int) -> int:
        """Once a second: time passes by our own clock, unless messages are waiting that say otherwise.

        Returns the heart's time.
        """
        late_ns, self._second_ns = mono_ns - self._second_ns - NS_PER_S, mono_ns
        caught_up = late_ns < STALL_NS and self.follower.caught_up
        if caught_up:
            self._paced.pass_until(mono_ns)
        self.follower.on_second()
        return mono_ns if caught_up else self._paced.now_ns

    def stop(self) -> None:
        """Take nothing more."""
        self.follower.stop()
        self.subscriber.stop()

    def finish(self) -> None:
        """Work off everything that is queued, and acknowledge it."""
        self.subscriber.finish()
        self.follower.acks.flush()

    def stats(self) -> dict[str, Any]:
        """Counters for /stats."""
        return {**self.follower.stats(), "muted_signals": self._gate.muted, "outdated_signals": self._gate.outdated}

    def _on_worked_off(self, urgent: bool) -> None:
        self.follower.on_worked_off(urgent)

    def _pass_time(self, mono_ns: int) -> None:
        self._gate.changed(self._heart.on_time(mono_ns), self._mono_ns())
        self._gate.emit(self._heart.review(mono_ns))
