"""What every event has: its type, whose it is, what it is of, and when it was; partly from the subject."""

from typing import Any, Final

from md_contract.codec import UnreadableError
from md_contract.events import EVENT_TYPES, VERSION
from md_contract.subjects import EVENTS, BadTokenError, unescape
from md_contract.tolerant.fields import Fields
from md_contract.tolerant.names import OTHER_NAMES
from md_contract.tolerant.values import AHEAD_NS, LARGEST, text, time_ns, whole

UNKNOWN_PROVIDER: Final = "unknown"


def read_head(fields: Fields) -> dict[str, Any]:
    """The fields that every event has. Raises `UnreadableError`."""
    subject_type, subject_symbol = _address(fields.subject)
    event_type = _type(fields, subject_type)
    symbol = fields.find("symbol", (), text("symbol"))
    if symbol is None:
        if subject_symbol is None:
            raise UnreadableError("wrong_shape", "'symbol' is missing, and the subject names none")
        fields.tolerate("symbol_from_subject")
        symbol = subject_symbol
    why = contradiction(fields.subject, event_type, symbol)
    if why is not None:
        raise UnreadableError("ambiguous", why)
    provider = fields.find("provider", OTHER_NAMES["provider"], text("provider"))
    if provider is None:
        fields.tolerate("no_provider")
    return {
        "type": event_type,
        "provider": provider or UNKNOWN_PROVIDER,
        "symbol": symbol,
        **_times(fields),
        "seq": fields.find("seq", (), whole(fields, "seq")) or 0,
        "epoch": fields.find("epoch", (), whole(fields, "epoch")) or 0,
        "v": fields.find("v", (), whole(fields, "v")) or VERSION,
    }


def contradiction(subject: str, event_type: str, symbol: str) -> str | None:
    """What the subject says of an event that is not true of it; None when they agree, or the subject tells nothing.

    Capitals make no difference.
    """
    subject_type, subject_symbol = _address(subject)
    if subject_type not in (None, event_type):
        return f"a {event_type} came on the subject of a {subject_type}"
    if subject_symbol is not None and symbol.casefold() != subject_symbol.casefold():
        return f"symbol {symbol[:40]!r} came on the subject of {subject_symbol[:40]!r}"
    return None


def _address(subject: str) -> tuple[str | None, str | None]:
    """Type and symbol of a subject; None for what it does not tell."""
    head, _, rest = subject.partition(f"{EVENTS}.")
    event_type, _, token = rest.partition(".")
    if head or event_type not in EVENT_TYPES:
        return None, None
    try:
        return event_type, unescape(token)
    except BadTokenError:
        return event_type, None


def _type(fields: Fields, subject_type: str | None) -> str:
    said = fields.find("type", (), text("type"))
    if said is None:
        if subject_type is None:
            raise UnreadableError("wrong_shape", "'type' is missing, and the subject names none")
        fields.tolerate("type_from_subject")
        return subject_type
    event_type = said.lower()
    if event_type not in EVENT_TYPES:
        raise UnreadableError("unknown_type", f"expected one of {', '.join(EVENT_TYPES)}, found {said[:40]!r}")
    if event_type != said:
        fields.tolerate("other_spelling")
    return event_type


def _times(fields: Fields) -> dict[str, int | None]:
    latest_ns = min(fields.now_ns + AHEAD_NS, LARGEST)
    ts_recv = fields.find("ts_recv", OTHER_NAMES["ts_recv"], time_ns(fields, "ts_recv", latest_ns))
    if ts_recv is None:
        fields.tolerate("no_ts_recv")
        ts_recv = fields.now_ns
    latest_ns = min(ts_recv + AHEAD_NS, LARGEST)
    ts_event = fields.find("ts_event", OTHER_NAMES["ts_event"], time_ns(fields, "ts_event", latest_ns))
    return {"ts_recv": ts_recv, "ts_event": ts_event}
