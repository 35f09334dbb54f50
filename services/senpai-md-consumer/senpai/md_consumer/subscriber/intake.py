"""From the bytes of one NATS message to an event on the queue: synchronous, and it never raises."""

import re
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from md_contract.codec import UnreadableError, decode_event
from md_contract.events import EVENT_TYPES, TYPE_OF, Event, Heartbeat, Status, Trade
from md_contract.subjects import SYSTEM, BadTokenError, escape
from md_contract.tolerant import OWN_END, contradiction, read_event, read_side
from md_contract.tolerant import Tolerated as Tolerant
from md_contract.units import NS_PER_S
from senpai.md_consumer.queue import EventQueue, QueueFullError
from senpai.md_consumer.subscriber.gaps import GapNotices
from senpai.md_consumer.subscriber.quarantine import Quarantine, Tolerated
from senpai.md_consumer.subscriber.sequence import Sequences, Stream

MAX_PAYLOAD_BYTES: Final = 512 * 1024  # ten times a book of a thousand levels
EARLIEST_NS: Final = 1_230_768_000 * NS_PER_S  # 2009: before the oldest of these markets
LATEST_NS: Final = 2**63 - 1
MAX_AHEAD_NS: Final = 86_400 * NS_PER_S  # the venue's clock before ours
MAX_PROVIDERS: Final = 32  # names counted by themselves; the others share one
MAX_PROVIDER_CHARS: Final = 32
OTHER: Final = "other"
DUPLICATE: Final = "duplicate"
IMPLAUSIBLE: Final = "implausible_seq"
TOLERATED: Final = "not the contract's form, but read: see docs/input.md"
PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,32}", re.ASCII)

log = structlog.get_logger(__name__)


class Drain(Protocol):
    """What empties the queue."""

    def wake(self) -> None:
        """Empty the queue soon."""

    def run(self) -> None:
        """Take one batch from the queue now."""


class Intake:
    """Decodes, checks, follows the sequence, and queues."""

    def __init__(
        self,
        queue: EventQueue,
        drain: Drain,
        *,
        sequences: Sequences,
        notices: GapNotices,
        quarantine: Quarantine,
        tolerated: Tolerated,
        mono_ns: Callable[[], int],
        wall_ns: Callable[[], int],
    ) -> None:
        self.taking = True
        self.ignored = 0  # messages after the stop
        self.last_received_ns: int | None = None
        self.events_in: dict[str, dict[str, int]] = {name: {OTHER: 0} for name in EVENT_TYPES}  # type -> provider
        self._queue = queue
        self._drain = drain
        self._sequences = sequences
        self._notices = notices
        self._quarantine = quarantine
        self._tolerated = tolerated
        self._mono_ns = mono_ns
        self._wall_ns = wall_ns
        self._streams = {cls: sequences.of_type(name) for name, cls in EVENT_TYPES.items()}
        self._events_in = {cls: self.events_in[name] for name, cls in EVENT_TYPES.items()}

    def on_message(self, subject: str, payload: bytes) -> None:
        """Take one message off NATS."""
        if not self.taking:
            self.ignored += 1
            return
        received_ns = self.last_received_ns = self._mono_ns()
        event = self._read(subject, payload)
        if event is None:
            return
        stream = self._streams[type(event)].get(event.symbol)
        if stream is None or stream.subject != subject:
            if not self._is_at_home(event, subject, payload):
                return
            stream = self._follow(stream, event, subject)
        if stream is None:
            pass  # beyond the bound: not checked
        elif event.seq == stream.seq + 1 and event.epoch == stream.epoch:
            stream.seq += 1
        elif not self._sequences.is_plausible(stream, event.epoch, event.seq):
            self._queue.refuse(event, IMPLAUSIBLE)
            return
        elif not self._sequences.admit(stream, event.epoch, event.seq):
            self._queue.refuse(event, DUPLICATE)
            return
        try:
            queued = self._queue.put(event, received_ns)
        except QueueFullError:
            self._drain.run()  # while events are worked on here, none is taken from NATS
            queued = self._queue.put(event, received_ns)
        if stream is not None and (stream.missing or not queued):
            self._tell_missing(stream, queued)
        self._drain.wake()

    def _read(self, subject: str, payload: bytes) -> Event | None:
        """Decode, check and count; what is no usable event is set aside (None)."""
        if len(payload) > MAX_PAYLOAD_BYTES:
            self._set_aside("too_large", subject, payload, f"{len(payload)} bytes, at most {MAX_PAYLOAD_BYTES}")
            return None
        try:
            event = decode_event(payload)
        except UnreadableError as error:
            foreign = self._read_foreign(subject, payload, error)
            if foreign is not None:
                self._count_in(self._events_in[type(foreign)], foreign.provider)
            return foreign
        counts = self._events_in[type(event)]
        if event.provider in counts:
            counts[event.provider] += 1
        else:
            self._count_in(counts, event.provider)
        ts_event = event.ts_event
        if not EARLIEST_NS <= event.ts_recv <= LATEST_NS or (
            ts_event is not None and not EARLIEST_NS <= ts_event <= event.ts_recv + MAX_AHEAD_NS
        ):
            why = UnreadableError("bad_time", "ts_recv or ts_event is no time in ns")
            return self._read_foreign(subject, payload, why, event)
        if type(event) is Trade and not payload.endswith(OWN_END):
            return self._check_side(event, subject, payload)
        return event

    def _check_side(self, event: Trade, subject: str, payload: bytes) -> Event | None:
        """A trade of another producer, whose side may be told by another field, or contradicted by one."""
        try:
            found = read_side(event, payload, subject, self._wall_ns())
        except UnreadableError as error:
            self._set_aside(error.kind, subject, payload, str(error), event)
            return None
        self._tell_tolerated(found, subject, payload)
        return found.event

    def _is_at_home(self, event: Event, subject: str, payload: bytes) -> bool:
        """Whether the symbol is usable and the subject says nothing else than the event; if not, it is set aside."""
        if not _is_symbol_of(event):
            self._set_aside("bad_symbol", subject, payload, "the symbol fits no subject", event)
            return False
        why = contradiction(subject, TYPE_OF[type(event)], event.symbol)
        if why is not None:
            self._set_aside("ambiguous", subject, payload, why, event)
            return False
        return True

    def _follow(self, stream: Stream | None, event: Event, subject: str) -> Stream | None:
        """The stream of the event, from now on at home on this subject; None beyond the bound."""
        if stream is None:
            stream = self._sequences.open(TYPE_OF[type(event)], event.symbol)
        if stream is not None:
            stream.subject = subject
        return stream

    def _read_foreign(
        self, subject: str, payload: bytes, why: UnreadableError, unusable: Event | None = None
    ) -> Event | None:
        """Read with tolerance what the contract's decoder refused, or made something `unusable` of; or set it aside."""
        if why.kind != "not_json":
            try:
                found = read_event(payload, subject, self._wall_ns())
            except UnreadableError as error:
                why = error
            else:
                self._tell_tolerated(found, subject, payload)
                return found.event
        self._set_aside(why.kind, subject, payload, str(why), unusable)
        return None

    def _tell_tolerated(self, found: Tolerant, subject: str, payload: bytes) -> None:
        for kind in found.tolerances:
            if self._tolerated.add(kind, subject, payload, TOLERATED):
                log.info("message_tolerated", kind=kind, subject=subject[:256], more="counted, see /stats")

    @staticmethod
    def _count_in(counts: dict[str, int], provider: str) -> None:
        known = provider in counts or (len(counts) <= MAX_PROVIDERS and len(provider) <= MAX_PROVIDER_CHARS)
        name = provider if known else OTHER
        counts[name] = counts.get(name, 0) + 1

    def _tell_missing(self, stream: Stream, queued: bool) -> None:
        """Put the news that events of this stream are missing where it belongs: before the one just queued."""
        if stream.symbol == SYSTEM:
            stream.missing = 0
        elif queued:
            self._notices.announce(stream, self._queue.next_position - 1)
            if self._notices.full:
                self._drain.run()
        else:
            stream.miss(1)
            self._notices.owe(stream)

    def _set_aside(self, kind: str, subject: str, payload: bytes, why: str, event: Event | None = None) -> None:
        self._queue.refuse(event, kind)
        self._sequences.skips += 1  # nobody knows which stream it belonged to
        if self._quarantine.add(kind, subject, payload, why):
            log.warning("message_set_aside", kind=kind, subject=subject[:256], why=why, more="counted, see /stats")


def _is_symbol_of(event: Event) -> bool:
    """Whether features of this symbol could be published; the system's token is for events about the system."""
    try:
        escape(event.symbol)
    except BadTokenError:
        return False
    return event.symbol != SYSTEM or isinstance(event, Heartbeat | Status)
