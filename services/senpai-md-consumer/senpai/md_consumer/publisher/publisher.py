"""What leaves the service, and what happens when NATS does not take it.

Features are state: what could not be sent is computed anew and sent when NATS takes it again. Signals and alerts are
history: they wait in a small outbox, signals no longer than they are valid.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from md_contract.codec import encode
from md_contract.signals import Alert, FeatureVector, Signal
from md_contract.subjects import ALERTS, feature_subject, signal_subject
from md_contract.units import NS_PER_MS, NS_PER_S
from senpai.md_consumer.publisher.outbox import Kept, Outbox
from senpai.md_consumer.publisher.throttle import Throttle

FEATURES_PER_TURN: Final = 64  # messages per turn of the loop: about a millisecond or two

log = structlog.get_logger(__name__)


class Link(Protocol):
    """The way to NATS."""

    @property
    def writable(self) -> bool:
        """Whether a message would be taken now."""

    def publish(self, subject: str, payload: bytes) -> bool:
        """Hand a message over; False when it was not taken."""


class FeatureSource(Protocol):
    """Where feature messages come from."""

    def features(self, symbol: str, mono_ns: int, wall_ns: int) -> FeatureVector | None:
        """The message as of now, `seq` and `epoch` unfilled; None for an unknown symbol."""


class Timer(Protocol):
    """A call that is still to come."""

    def cancel(self) -> None:
        """Do not call."""


@dataclass(frozen=True, slots=True)
class PublisherOptions:
    """`epoch` tells this run from every other one of the same service."""

    epoch: int
    rate_hz: float = 10.0
    outbox_size: int = 1_000


class Publisher:
    """Stamps, counts, and hands over to the link."""

    def __init__(
        self,
        options: PublisherOptions,
        link: Link,
        source: FeatureSource,
        *,
        call_later: Callable[[float, Callable[[], None]], Timer],
        mono_ns: Callable[[], int],
        wall_ns: Callable[[], int],
    ) -> None:
        self.epoch = options.epoch
        self.features_published: dict[str, int] = {}  # by symbol; also the `seq` of its last message
        self.features_forgotten = 0  # published of symbols that are forgotten
        self.features_refused = 0  # due, but NATS took nothing then
        self.signals_emitted: dict[tuple[str, str], int] = {}  # (symbol, direction) -> new signals
        self.signals_forgotten: dict[str, int] = {}  # direction -> new signals of symbols that are forgotten
        self.signals_cancelled = 0
        self.alerts_emitted: dict[str, int] = {}  # by kind
        self.outbox_refused = 0  # signals and alerts NATS did not take at once
        self.errors = 0  # messages that could not be made
        self.outbox = Outbox(options.outbox_size)
        self._link = link
        self._source = source
        self._call_later = call_later
        self._mono_ns = mono_ns
        self._wall_ns = wall_ns
        self._throttle = Throttle(options.rate_hz)
        self._unsent: dict[str, None] = {}  # symbols whose features wait for NATS
        self._subjects: dict[str, str] = {}
        self._epochs: dict[str, int] = {}  # of each symbol published
        self._next_epoch = options.epoch
        self._timer: Timer | None = None
        self._timer_due = 0

    @property
    def features_waiting(self) -> int:
        """Symbols whose latest features are not out yet: their time is not up, or NATS is away."""
        return len(self._throttle) + len(self._unsent)

    def touch(self, symbols: Iterable[str], now_ns: int) -> None:
        """The features of these symbols have changed: publish them as soon as their rate allows it."""
        for symbol in symbols:
            self._throttle.touch(symbol, now_ns)
        self._publish_due()

    def emit(self, signals: Iterable[Signal]) -> None:
        """Publish signals at once."""
        for signal in signals:
            expires_ns = self._mono_ns() + max(0, signal.valid_until - signal.ts)
            self._send(Kept(signal, signal_subject(signal.symbol), encode(signal), expires_ns))

    def alert(self, alerts: Iterable[Alert]) -> None:
        """Publish alerts at once."""
        for alert in alerts:
            self._send(Kept(alert, ALERTS, encode(alert), expires_ns=None))

    def on_writable(self) -> None:
        """NATS takes messages again: send what waits, and the latest features of every symbol that missed its turn."""
        self._send_kept()
        unsent, self._unsent = self._unsent, {}
        self.touch(unsent, self._mono_ns())

    def on_second(self, mono_ns: int) -> None:
        """Call it about once a second: what is out of date leaves the outbox, and what waits is tried again."""
        self.outbox.expire(mono_ns)
        if self._link.writable and (len(self.outbox) or self._unsent):
            self.on_writable()

    def features_now(self, symbol: str) -> FeatureVector | None:
        """The feature message as of now, with the `seq` of the last one published; None for an unknown symbol."""
        vector = self._source.features(symbol, self._mono_ns(), self._wall_ns())
        if vector is not None:
            vector.seq = self.features_published.get(symbol, 0)
            vector.epoch = self._epochs.get(symbol, self._next_epoch)
        return vector

    def forget(self, symbols: Iterable[str]) -> None:
        """Keep nothing of symbols that are no longer followed.

        One that comes back begins at `seq` 1 again, so it gets another epoch than before.
        """
        for symbol in symbols:
            self._next_epoch += symbol in self.features_published
            self.features_forgotten += self.features_published.pop(symbol, 0)
            for direction in ("long", "short"):
                count = self.signals_emitted.pop((symbol, direction), 0)
                if count:
                    self.signals_forgotten[direction] = self.signals_forgotten.get(direction, 0) + count
            self._epochs.pop(symbol, None)
            self._subjects.pop(symbol, None)
            self._unsent.pop(symbol, None)
            self._throttle.forget(symbol)

    def finish(self) -> None:
        """Publish what still waits for its time, whatever the rate; for the end of a run."""
        self._stop_timer()
        now_ns = self._mono_ns()
        while (symbol := self._throttle.take_any(now_ns)) is not None:
            self._publish_features(symbol)
        self._send_kept()

    def _publish_due(self) -> None:
        """Publish what is due now, a bounded number a turn, and set the one timer for what comes next."""
        now_ns = self._mono_ns()
        for _ in range(FEATURES_PER_TURN):
            symbol = self._throttle.take(now_ns)
            if symbol is None:
                break
            self._publish_features(symbol)
        self._set_timer(now_ns)

    def _publish_features(self, symbol: str) -> None:
        if not self._link.writable:
            self._refuse_features(symbol)
            return
        try:
            vector = self.features_now(symbol)
            if vector is None:
                self._throttle.forget(symbol)
                return
            vector.seq += 1
            payload = encode(vector)
        except Exception:  # one symbol's fault must not silence the others
            self.errors += 1
            if self.errors == 1:
                log.exception("features_failed", symbol=symbol, more="counted, see /stats")
            return
        subject = self._subjects.get(symbol)
        if subject is None:
            subject = self._subjects[symbol] = feature_subject(symbol)
        if self._link.publish(subject, payload):
            self.features_published[symbol] = vector.seq
            self._epochs[symbol] = vector.epoch
        else:
            self._refuse_features(symbol)

    def _refuse_features(self, symbol: str) -> None:
        self.features_refused += 1
        self._unsent[symbol] = None

    def _send(self, kept: Kept) -> None:
        if len(self.outbox) or not self._link.publish(kept.subject, kept.payload):
            self.outbox_refused += 1
            self.outbox.keep(kept)
        else:
            self._count_sent(kept.message)

    def _send_kept(self) -> None:
        while (kept := self.outbox.first(self._mono_ns())) is not None:
            if not self._link.publish(kept.subject, kept.payload):
                return
            self.outbox.sent()
            self._count_sent(kept.message)

    def _count_sent(self, message: Signal | Alert) -> None:
        if isinstance(message, Alert):
            self.alerts_emitted[message.kind] = self.alerts_emitted.get(message.kind, 0) + 1
        elif message.state == "new":
            key = (message.symbol, message.direction)
            self.signals_emitted[key] = self.signals_emitted.get(key, 0) + 1
        else:
            self.signals_cancelled += 1

    def _set_timer(self, now_ns: int) -> None:
        due = self._throttle.next_due
        if due is None or (self._timer is not None and self._timer_due <= due):
            return
        self._stop_timer()
        self._timer_due = due
        delay_ms = -(-max(0, due - now_ns) // NS_PER_MS)  # up: a timer that is early only has to be set again
        self._timer = self._call_later(delay_ms * NS_PER_MS / NS_PER_S, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._publish_due()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
