"""What a stream says when it does not store a message. Pure."""

import json
from dataclasses import dataclass
from typing import Final

TOO_LARGE: Final = 10054
HEADERS_TOO_LARGE: Final = 10097
FOR_GOOD: Final = frozenset({TOO_LARGE, HEADERS_TOO_LARGE})  # sending such a message again would not help

NO_RESOURCES: Final = 10023
STORE_FAILED: Final = 10077

_ADVICE: Final = {
    NO_RESOURCES: "make room on the disk of NATS, or raise max_file_store of its configuration",
    STORE_FAILED: "the stream is full and deletes nothing: set its discard policy to old, or raise its limits",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    err_code: int  # JetStream's number; 0: it gave none
    text: str  # for people


def read_refusal(payload: bytes) -> Refusal:
    """Read the answer to a message that was not stored."""
    try:
        error = json.loads(payload)["error"]
        number, words = int(error["err_code"]), str(error["description"])
    except (ValueError, KeyError, TypeError):
        return Refusal(0, f"the stream gave an answer that is none: {payload[:80]!r}")
    advice = _ADVICE.get(number)
    return Refusal(number, f"the stream refuses messages: {words} ({number})" + (f"; {advice}" if advice else ""))
