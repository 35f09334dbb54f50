"""What Bybit's messages look like on odd days: state that the sessions and the venue look at, set by `BybitFaults`."""

import re
from collections import deque
from enum import StrEnum
from typing import Any, Final

import msgspec

_TS: Final = re.compile(rb'"ts":(\d+)')


class BadAck(StrEnum):
    """What can be wrong with the answer to a subscription."""

    REFUSED = "refused"  # the answer says that it failed, for a reason of the venue's own
    MISSING = "missing"  # neither an answer nor data
    HOLLOW = "hollow"  # the answer says that it worked, but no data follows
    FOREIGN = "foreign"  # the answer is to a request that nobody made; data follows
    CUT = "cut"  # the answer is half a text; data follows
    LATE = "late"  # the data comes before the answer


class Oddities:
    """Nothing is odd at first."""

    def __init__(self) -> None:
        self.reordered_keys = False
        self.text_times = False
        self.option_pongs = False
        self.bad_acks: deque[BadAck] = deque()  # of the next subscriptions

    def disguise(self, data: bytes) -> bytes:
        """Write a message in another way that says the same."""
        if self.text_times:
            data = _TS.sub(rb'"ts":"\1"', data, count=1)
        if self.reordered_keys:
            data = msgspec.json.encode(_reordered(msgspec.json.decode(data)))
        return data


def _reordered(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return {name: _reordered(value[name]) for name in reversed(value)}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [_reordered(item) for item in value]
    return value
