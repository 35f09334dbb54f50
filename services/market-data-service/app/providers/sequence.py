"""Trade ids that grow by exactly one per symbol: what is new, what was seen before, and what is missing."""

from enum import Enum
from typing import Final

MAX_HOLES: Final = 64  # remembered per symbol; the oldest is forgotten first


class Verdict(Enum):
    NEXT = "next"
    GAP = "gap"  # ids were jumped over
    LATE = "late"  # one of those that were jumped over
    DUPLICATE = "duplicate"
    RESTART = "restart"  # the venue's numbering has begun anew


class TradeSequence:
    """The ids of one symbol. It outlives connections, so that what was lost between two of them is known exactly.

    Trades come in the order of their ids and of their times. An id that is not new, on a trade that is younger than
    every trade so far, can therefore be no repeat: the numbering has begun anew.
    """

    __slots__ = ("expected", "holes", "last_ts")

    def __init__(self) -> None:
        self.expected: int | None = None  # the id of the next trade; None before the first
        self.last_ts = 0  # ns: the time of the trade with the highest id
        self.holes: list[tuple[int, int]] = []  # ranges jumped over and still missing, both ends included

    def judge(self, trade_id: int, ts_event: int) -> Verdict:
        """Take one id. After GAP, the last entry of `holes` is the range that was jumped over."""
        expected = self.expected
        if expected is None or trade_id == expected:
            verdict = Verdict.NEXT
        elif trade_id > expected:
            self._open_hole(expected, trade_id - 1)
            verdict = Verdict.GAP
        elif ts_event > self.last_ts:
            self.holes.clear()
            verdict = Verdict.RESTART
        else:
            return Verdict.LATE if self.fill(trade_id) else Verdict.DUPLICATE
        self.expected = trade_id + 1
        self.last_ts = ts_event
        return verdict

    @property
    def last(self) -> int | None:
        """The highest id seen."""
        return None if self.expected is None else self.expected - 1

    def _open_hole(self, first: int, last: int) -> None:
        if len(self.holes) == MAX_HOLES:
            del self.holes[0]
        self.holes.append((first, last))

    def fill(self, trade_id: int) -> bool:
        """Take one of the missing ids; return False when it is none of them."""
        return take_out(self.holes, trade_id)


def take_out(ranges: list[tuple[int, int]], number: int) -> bool:
    """Take one number out of ranges, both ends included; return False when it is in none of them."""
    for index, (first, last) in enumerate(ranges):
        if first <= number <= last:
            rest = [(first, number - 1), (number + 1, last)]
            ranges[index : index + 1] = [(start, end) for start, end in rest if start <= end]
            return True
    return False
