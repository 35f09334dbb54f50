"""What has happened to events, counted over all symbols."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Counters:
    """What happened to events, over all symbols; plain ints for /stats and /metrics to read."""

    rejected: dict[tuple[str, str], int] = field(default_factory=dict)  # (event type, reason) -> events set aside
    refused: int = 0  # events of symbols beyond the bound on their number
    late_trades: int = 0  # older than the longest window: not applied
    inserted_trades: int = 0  # out of order but inside the window: applied in their place
    old_quotes: int = 0  # older than the latest quote or book: not the latest
    inserted_quotes: int = 0  # of the old ones: applied in their place in the windows
    old_books: int = 0  # not applied
    crossed_quotes: int = 0  # bid > ask
    locked_quotes: int = 0  # bid == ask
    one_sided_quotes: int = 0  # no bid or no ask, so no mid and no spread
    implausible: dict[str, int] = field(default_factory=dict)  # event type -> jumps of the price that were doubted
    source_switches: int = 0
    clock_restarts: int = 0
    restarts: dict[str, int] = field(default_factory=dict)  # reason -> restarts of a symbol's trade windows
    statuses: dict[str, int] = field(default_factory=dict)  # kind -> status events seen

    def reject(self, event_type: str, reason: str) -> None:
        key = (event_type, reason)
        self.rejected[key] = self.rejected.get(key, 0) + 1
