"""Messages that are set aside or read with tolerance: counted by kind, with a short sample of each for people. Pure."""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from md_contract.tolerant import TOLERANCES

SAMPLE_BYTES: Final = 200
UNREADABLE: Final = ("not_json", "unknown_type", "wrong_shape", "ambiguous", "too_large")  # no event at all
UNUSABLE: Final = ("bad_symbol", "bad_time")
FAILED: Final = "failed"  # usable, but working on it raised: a fault of ours
KINDS: Final = (*UNREADABLE, *UNUSABLE, FAILED)


class Sample(Struct, frozen=True):
    """The first message of its kind, cut to SAMPLE_BYTES."""

    subject: str
    why: str
    payload: str


class Sampled:
    """Counts of messages by kind, and the first of each; bounded by the number of kinds."""

    def __init__(self, kinds: Iterable[str]) -> None:
        self.counts = dict.fromkeys(kinds, 0)
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


class Quarantine(Sampled):
    """Messages that are set aside."""

    def __init__(self) -> None:
        super().__init__(KINDS)


class Tolerated(Sampled):
    """Messages of other producers that are read all the same, by what had to be tolerated."""

    def __init__(self) -> None:
        super().__init__(TOLERANCES)
