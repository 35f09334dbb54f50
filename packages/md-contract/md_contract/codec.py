"""Events and signals to bytes and back: JSON, one message each, UTF-8.

Fields that are not known are ignored, optional fields that are missing are null. What cannot be understood raises
`UnreadableError`, whose `kind` says why, so that the caller can count it and go on, or try `md_contract.tolerant`.
"""

from typing import Final, Literal, TypeAlias, TypeVar

import msgspec

from md_contract.events import EVENT_TYPES, Event
from md_contract.signals import Alert, FeatureVector, Signal

Message: TypeAlias = Event | FeatureVector | Signal | Alert
_SignalT = TypeVar("_SignalT", FeatureVector, Signal, Alert)
UnreadableKind: TypeAlias = Literal["not_json", "unknown_type", "wrong_shape", "ambiguous", "bad_time"]

_encoder: Final = msgspec.json.Encoder()
_event_decoder: Final[msgspec.json.Decoder[Event]] = msgspec.json.Decoder(Event)
_fields_decoder: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class UnreadableError(ValueError):
    """A message that is no event of the contract."""

    def __init__(self, kind: UnreadableKind, why: str) -> None:
        self.kind = kind
        super().__init__(f"{kind}: {why}")


encode = _encoder.encode


def decode_event(payload: bytes | bytearray | memoryview) -> Event:
    """Read one event.

    Raises:
        UnreadableError: `not_json` (not one JSON object of UTF-8 text), `unknown_type` (a type this version does not
            know) or `wrong_shape` (a required field is missing, or one has the wrong type).
    """
    try:
        return _event_decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _classify(payload, error) from None


def _classify(payload: bytes | bytearray | memoryview, error: Exception) -> UnreadableError:
    """Say why the payload is no event; slow, and only reached when it is none."""
    if isinstance(error, UnicodeDecodeError):  # the second reading below skips over text without looking at it
        return UnreadableError("not_json", str(error))
    try:
        fields = _fields_decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return UnreadableError("not_json", str(error))
    tag = bytes(fields.get("type", b"null"))
    if not tag.startswith(b'"') or tag.decode(errors="replace").strip('"') in EVENT_TYPES:
        return UnreadableError("wrong_shape", str(error))
    return UnreadableError("unknown_type", f"expected one of {', '.join(EVENT_TYPES)}, found {tag[:40]!r}")


def decode_features(payload: bytes) -> FeatureVector:
    """Read one feature message. Raises `UnreadableError` when it is none."""
    return _decode(payload, FeatureVector)


def decode_signal(payload: bytes) -> Signal:
    """Read one signal. Raises `UnreadableError` when it is none."""
    return _decode(payload, Signal)


def decode_alert(payload: bytes) -> Alert:
    """Read one alert. Raises `UnreadableError` when it is none."""
    return _decode(payload, Alert)


def _decode(payload: bytes, cls: type[_SignalT]) -> _SignalT:
    try:
        return msgspec.json.decode(payload, type=cls)
    except msgspec.ValidationError as error:
        raise UnreadableError("wrong_shape", str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableError("not_json", str(error)) from None
