"""What is measured about the system, about once a second."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Readings:
    """Totals count from the start of the service."""

    latency_ms: float | None  # since the last look; None: nothing came, which changes nothing
    queue_fill: float  # 0 to 1
    received: int  # messages, in all
    holes: int  # jumps in seq, in all
    missing: int  # messages they stand for, in all; falls when a jump is found to be wrong
    duplicates: int  # messages dropped because their seq was known, in all
    rebased: int  # streams whose seq was believed anew, in all
    connected: bool  # to NATS
    reconnects: int  # to NATS, in all
    stale: Mapping[str, float]  # symbol -> seconds of silence
    feed_gaps: Mapping[str, str]  # symbol -> what its producer says was lost since the last look
    switched: Mapping[str, str]  # symbol -> the provider it has just changed to
    plugins_off: Mapping[str, str]  # plug-in -> why it is switched off
