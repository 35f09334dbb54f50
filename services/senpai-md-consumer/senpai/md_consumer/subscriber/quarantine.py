"""Messages that are set aside: counted by kind, with one short sample of each for people to look at. Pure."""

from typing import Final

from msgspec import Struct

SAMPLE_BYTES: Final = 200
UNREADABLE: Final = ("not_json", "unknown_type", "wrong_shape", "too_large")  # no event at all
UNUSABLE: Final = ("bad_symbol", "bad_time")
FAILED: Final = "failed"  # usable, but working on it raised: a fault of ours
KINDS: Final = (*UNREADABLE, *UNUSABLE, FAILED)


class Sample(Struct, frozen=True):
    """The first message of its kind, cut to SAMPLE_BYTES."""

    subject: str
    why: str
    payload: str


class Quarantine:
    """Bounded by the number of kinds."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(KINDS, 0)
        self.samples: dict[str, Sample] = {}

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def add(self, kind: str, subject: str, payload: bytes, why: str) -> bool:
        """Count one message; True when it is the first of its kind, whose sample is now kept."""
        self.counts[kind] += 1
        if kind in self.samples:
            return False
        text = payload[:SAMPLE_BYTES].decode(errors="replace")
        self.samples[kind] = Sample(subject=subject[:SAMPLE_BYTES], why=why[:SAMPLE_BYTES], payload=text)
        return True
