"""What has disturbed a symbol's inputs, and when.

A mark belongs to one input, so that whoever reads other inputs is not bothered. It disturbs a window until everything
in the window is younger than the mark, and the latest state (a window of 0) until the next event of that input.
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

Input: TypeAlias = Literal["trades", "quotes", "books", "delays"]

INPUTS: Final[tuple[Input, ...]] = ("trades", "quotes", "books", "delays")
INPUT_OF: Final[dict[str, Input]] = {"trade": "trades", "quote": "quotes", "book_l2": "books"}  # by event type

BACKFILL: Final = "backfill"
NEW_EPOCH: Final = "new_epoch"
IMPLAUSIBLE: Final = "implausible_price"

# The inputs that each reason disturbs. `new_epoch` and `implausible_price` disturb the one they were seen on.
DISTURBS: Final[dict[str, tuple[Input, ...]]] = {
    "trade_gap": ("trades",),
    BACKFILL: ("trades",),
    "quote_gap": ("quotes",),
    "book_l2_gap": ("books",),
    "reconnect": ("trades", "quotes", "books"),
    "correction": ("trades",),
    "clock_jump": INPUTS,
    "clock_restart": INPUTS,
    "event_time_began": INPUTS,
    "source_switch": INPUTS,
}


class Mark(NamedTuple):
    """When an input was disturbed."""

    at: int  # event time, ns
    seen: int  # events of the input that had been applied then


class Marks:
    """The last mark of each reason on each input; there are only so many of both."""

    __slots__ = ("_marks",)

    def __init__(self) -> None:
        self._marks: dict[tuple[str, Input], Mark] = {}

    def __bool__(self) -> bool:
        return bool(self._marks)

    def set(self, reason: str, source: Input, at: int, seen: int) -> None:
        """Note that `reason` disturbed an input at the event time `at`, after `seen` of its events."""
        self._marks[reason, source] = Mark(at, seen)

    def drop(self, reason: str, source: Input) -> None:
        """Take back that `reason` disturbed an input, if it did."""
        self._marks.pop((reason, source), None)

    def clear(self) -> None:
        self._marks.clear()

    def move(self, at: int) -> None:
        """Give every mark this time, because the clock that they were noted by has been replaced."""
        self._marks = {key: Mark(at, mark.seen) for key, mark in self._marks.items()}

    def since(self, edge: int) -> list[str]:
        """The reasons of all marks younger than `edge`, on any input, sorted."""
        return sorted({reason for (reason, _), mark in self._marks.items() if mark.at > edge})

    def against(self, needs: Mapping[Input, int], now: int, seen: Mapping[Input, int]) -> list[str]:
        """The reasons that disturb windows of these lengths (ns; 0: the latest state), sorted.

        Args:
            needs: the longest window on each input that is read.
            now: the event-time clock, ns.
            seen: events of each input that have been applied so far.
        """
        found = set()
        for (reason, source), mark in self._marks.items():
            span_ns = needs.get(source)
            if span_ns is None:
                continue
            if now - mark.at < span_ns if span_ns else seen[source] <= mark.seen:
                found.add(reason)
        return sorted(found)
