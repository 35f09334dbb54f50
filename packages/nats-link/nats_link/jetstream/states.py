"""The states of the window of unacknowledged messages, as a table; `window` says what each means."""

from enum import StrEnum
from typing import Final


class State(StrEnum):
    SHUT = "shut"
    OPEN = "open"
    HOLDING = "holding"


class Sign(StrEnum):
    READY = "ready"  # connected, and the stream is there
    CUT = "cut"  # the connection, or the stream, is gone
    FAILED = "failed"  # a message was refused, or not answered in time
    PASSED = "passed"  # the oldest was acknowledged while holding


TRANSITIONS: Final = {
    (State.SHUT, Sign.READY): State.OPEN,
    (State.OPEN, Sign.CUT): State.SHUT,
    (State.OPEN, Sign.FAILED): State.HOLDING,
    (State.HOLDING, Sign.CUT): State.SHUT,
    (State.HOLDING, Sign.PASSED): State.OPEN,
}
