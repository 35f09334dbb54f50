"""Trades that the stream has missed, and how far they have been asked for."""

from typing import Final

from app.providers.sequence import take_out
from md_contract.units import NS_PER_MS, NS_PER_S

GRACE_NS: Final = 100 * NS_PER_MS  # in which the stream itself may fill a hole, or another connection
DEADLINE_NS: Final = 60 * NS_PER_S  # after which what is missing counts as lost
RETRY_NS: Final = NS_PER_S  # doubled with every try that has brought nothing


class Hole:
    """Trade ids of one symbol that were jumped over. Times are monotonic ns, except `after_ts`."""

    __slots__ = (
        "after_ts", "aggregates", "backfilled", "first", "found_at", "last", "missing", "next_aggregate", "next_id",
        "retry_at", "told", "tries",
    )  # fmt: skip

    def __init__(self, first: int, last: int, after_ts: int) -> None:
        self.first = first
        self.last = last
        self.after_ts = after_ts  # event time, ns: of the trade before the first one that is missing
        self.missing = [(first, last)]  # ranges, both ends included
        self.backfilled = 0
        self.found_at: int | None = None
        self.told = False
        self.next_id = first  # what lies before it has been asked for, and will not come any more
        self.aggregates = False  # ask for aggregates
        self.next_aggregate: int | None = None  # id of the first one not seen yet; None: search by time
        self.tries = 0  # in a row that have brought nothing
        self.retry_at = 0

    @property
    def count(self) -> int:
        """Number of trades missing."""
        return sum(last - first + 1 for first, last in self.missing)

    def take(self, trade_id: int) -> bool:
        """One of them has come; return False when it is none of them."""
        return self.first <= trade_id <= self.last and take_out(self.missing, trade_id)

    def is_over(self, now: int) -> bool:
        """True when nothing is missing any more, or nothing more can be expected."""
        found_at = now if self.found_at is None else self.found_at
        return not self.missing or self.next_id > self.last or now >= found_at + DEADLINE_NS

    def reached(self, trade_id: int) -> None:
        """The venue has listed everything that it has up to this id."""
        self.next_id = max(self.next_id, trade_id + 1)
        self.tries = 0

    def postpone(self, now: int) -> None:
        """A try has brought nothing."""
        self.retry_at = now + RETRY_NS * 2**self.tries
        self.tries = min(self.tries + 1, 6)
