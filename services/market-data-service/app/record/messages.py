"""From the bytes of a NATS message, or of a record in the journal, to what the tables hold. Pure."""

from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from app.storage.rows import Storable, Unreadable
from md_contract.codec import UnreadableError, decode_alert, decode_event, decode_features, decode_signal
from md_contract.events import TYPE_OF, Event, Trade
from md_contract.signals import FeatureVector
from md_contract.subjects import ALERTS, EVENTS, FEATURES, SIGNALS
from md_contract.tolerant import contradiction, read_event, read_side
from md_contract.tolerant.values import AHEAD_NS, EARLIEST_NS, LARGEST

MAX_PAYLOAD_BYTES: Final = 512 * 1024  # ten times a book of a thousand levels
MAX_KEPT: Final = 4_096  # characters that are kept of a message that nobody can read
MAX_SUBJECT: Final = 256
MAX_REMEMBERED: Final = 65_536  # subjects

_EVENT_TAG: Final = b'{"type":'  # how the codec begins every event, and nothing else
_contradiction: Final = lru_cache(MAX_REMEMBERED)(contradiction)  # subjects come again and again
_unreadable: Final = msgspec.json.Decoder(Unreadable)
_others: Final[tuple[Callable[[bytes], Storable], ...]] = (decode_features, decode_signal, decode_alert)


class Numbers(NamedTuple):
    """What tells whether a message follows the one before it on its subject."""

    epoch: int
    seq: int


def read(subject: str, payload: bytes, now_ns: int) -> Storable:
    """The message; an `Unreadable` when it is none of the contract.

    Events of other producers are read with the contract's tolerance, as the consumer does it.
    """
    try:
        return _read(subject, payload, now_ns)
    except UnreadableError as error:
        kept = payload[:MAX_KEPT].decode("ascii", "backslashreplace")  # no shorter than its bytes
        return Unreadable(subject[:MAX_SUBJECT], str(error), kept[:MAX_KEPT], now_ns)


def _read(subject: str, payload: bytes, now_ns: int) -> Storable:
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise UnreadableError("wrong_shape", f"{len(payload)} bytes, at most {MAX_PAYLOAD_BYTES}")
    if subject.startswith(f"{EVENTS}."):
        try:
            event = decode_event(payload)
        except UnreadableError as error:
            if error.kind == "not_json":
                raise
            return read_event(payload, subject, now_ns).event
        if not _is_of_our_time(event):
            return read_event(payload, subject, now_ns).event
        why = _contradiction(subject, TYPE_OF[type(event)], event.symbol)
        if why is not None:
            raise UnreadableError("ambiguous", why)
        return read_side(event, payload, subject, now_ns).event if type(event) is Trade else event
    if subject.startswith(f"{FEATURES}."):
        return decode_features(payload)
    if subject.startswith(f"{SIGNALS}."):
        return decode_signal(payload)
    if subject == ALERTS:
        return decode_alert(payload)
    raise UnreadableError("unknown_type", "no message of the contract goes on this subject")


def _is_of_our_time(event: Event) -> bool:
    """Whether its times are what they should be; another producer's may be in seconds."""
    ts_event = event.ts_event
    return EARLIEST_NS <= event.ts_recv <= LARGEST and (
        ts_event is None or EARLIEST_NS <= ts_event <= event.ts_recv + AHEAD_NS
    )


def numbers(message: Storable) -> Numbers | None:
    """The numbers of a message that has some."""
    if isinstance(message, Event | FeatureVector):
        return Numbers(message.epoch, message.seq)
    return None


def decode(payload: bytes) -> Storable:
    """Read what `md_contract.codec.encode` has made of any of these messages.

    Only events say what they are. The others have fields that no other has, so one decoder at most accepts them.

    Raises:
        UnreadableError: it is none of them.
    """
    if payload.startswith(_EVENT_TAG):
        return decode_event(payload)
    for each in _others:
        try:
            return each(payload)
        except UnreadableError:
            continue
    try:
        return _unreadable.decode(payload)
    except msgspec.DecodeError as error:
        raise UnreadableError("wrong_shape", str(error)) from None
