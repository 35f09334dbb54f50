"""What could not be used: counted by reason, with one sample of each, never fatal."""

from typing import Final

REASONS: Final = (
    "not_json",  # not one JSON object of UTF-8 text
    "wrong_shape",  # a field is missing or has the wrong type
    "unknown_stream",  # a stream nobody subscribed to
    "unknown_message",  # neither data nor an answer
    "answer",  # an answer to nothing we asked
    "symbol",  # the payload names another symbol than its stream
    "price",  # not plain decimal text, not > 0, or not < 1e15
    "size",  # not plain decimal text, negative, or not < 1e15
    "time",  # before 2009, or more than a day after it was received
    "trade_id",  # negative, or too large to be one
    "update_id",  # a book update whose numbers run backwards
    "snapshot",  # a REST book snapshot that could not be read
    "too_big",  # longer than any message should be
    "fragment",  # a continuation of nothing, or a fragmented message that was never finished
)

SAMPLE_BYTES: Final = 240


class Quarantine:
    """Counts what was set aside, by reason, and keeps the beginning of the first of each kind."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = dict.fromkeys(REASONS, 0)
        self.samples: dict[str, bytes] = {}

    def add(self, reason: str, frame: bytes) -> bool:
        """Count one; return True when it is the first of its kind. `reason` is one of REASONS."""
        self.counts[reason] += 1
        if reason in self.samples:
            return False
        self.samples[reason] = bytes(frame[:SAMPLE_BYTES])
        return True

    @property
    def total(self) -> int:
        return sum(self.counts.values())
