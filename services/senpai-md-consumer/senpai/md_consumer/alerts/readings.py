"""What is measured about the system, about once a second."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Readings:
    """Totals count from the start of the service."""

    latency_ms: float | None = None  # since the last look; None: nothing came, which changes nothing
    queue_fill: float = 0.0  # 0 to 1
    received: int = 0  # messages, in all
    holes: int = 0  # jumps in seq, in all
    missing: int = 0  # messages they stand for, in all
    duplicates: int = 0  # messages dropped because their seq was known, in all
    rebased: int = 0  # streams whose seq was believed anew, in all
    connected: bool = True  # to NATS
    reconnects: int = 0  # to NATS, in all
    stale: Mapping[str, float] = field(default_factory=dict)  # symbol -> seconds of silence
    switched: Mapping[str, str] = field(default_factory=dict)  # symbol -> the provider it has just changed to
    plugins_off: Mapping[str, str] = field(default_factory=dict)  # plug-in -> why it is switched off
