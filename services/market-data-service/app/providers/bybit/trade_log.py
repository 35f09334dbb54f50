"""What has to be remembered of one symbol's trades: which came lately, and from where on some may be missing.

Bybit's trade ids are opaque, so a repeat is found by remembering the ids, and a hole only by holding the venue's list
of its latest trades against what came. After a break in the stream something is *owed*: the trades after the newest one
known before. It stays owed until such a list overlaps the stream that flows again, on whichever connection that is.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from md_contract.events import Trade
from md_contract.units import NS_PER_S

MAX_IDS: Final = 8_192  # in each of two generations; the venue's list holds at most 1,000
KEEP_NS: Final = 120 * NS_PER_S


class Known(NamedTuple):
    """A trade that was published."""

    trade_id: str
    ts_event: int  # ns


class Filling(NamedTuple):
    """What a list of latest trades brought."""

    trades: list[Trade]  # not known before, oldest first
    hole: tuple[str, str] | None  # trade ids between which some may be missing all the same
    is_behind: bool  # the list ends before the stream resumed: a later one is needed


class TradeLog:
    """The latest trades of one symbol. It outlives connections.

    Ids are kept for two minutes at least, except that no more than twice MAX_IDS are kept and that none goes by age
    while something is owed.
    """

    __slots__ = ("_break_ts", "_older", "_recent", "_turn_at", "last_id", "last_ts", "owed", "resumed")

    def __init__(self) -> None:
        self.last_id: str | None = None  # of the latest trade of the stream
        self.last_ts = 0  # ns
        self.owed: Known | None = None  # from this one on, trades may be missing
        self.resumed: Known | None = None  # the first trade of the stream after the break
        self._break_ts = 0  # ns: the latest trade before the break
        self._recent: set[str] = set()
        self._older: set[str] = set()
        self._turn_at = 0  # when the recent ids become the older ones

    def take(self, trade_id: str, ts_event: int, ts_recv: int) -> bool:
        """Take one trade of the stream; return False when it is known already."""
        recent = self._recent
        if trade_id in recent or trade_id in self._older:
            return False
        if len(recent) >= MAX_IDS or ts_recv > self._turn_at:
            recent = self._turn(ts_recv)
        recent.add(trade_id)
        self.last_id, self.last_ts = trade_id, ts_event
        return True

    def on_break(self) -> None:
        """The stream was interrupted; what comes next may not follow what came last."""
        if self.owed is None and self.last_id is not None:
            self.owed = Known(self.last_id, self.last_ts)
        self.resumed = None
        self._break_ts = self.last_ts

    def on_resumed(self, first: Known, *, is_new: bool) -> bool:
        """Take the stream's first trade after the break; return True when the list is needed to see what came before.

        A trade that is known and younger than the break came with a list: the two overlap. One that is known and older
        is sent once more by the venue, and says nothing.
        """
        if not is_new and first.ts_event <= self._break_ts:
            return False
        self.resumed = first
        if not is_new:
            self.owed = None
        return is_new

    def fill(self, latest: Sequence[Trade], ts_recv: int) -> Filling:
        """Take the venue's latest trades, oldest first and not empty, while something is owed."""
        owed, resumed = self.owed, self.resumed
        if owed is None:
            return Filling([], None, is_behind=False)
        oldest, newest = _known(latest[0]), _known(latest[-1])
        ids = {trade.trade_id for trade in latest}
        hole = None
        if oldest.ts_event >= owed.ts_event and owed.trade_id not in ids:
            after = resumed if resumed and resumed.ts_event <= oldest.ts_event else oldest
            hole = (owed.trade_id, after.trade_id)
        last = self.last_id, self.last_ts
        trades = [t for t in latest if _known(t).ts_event >= owed.ts_event and self.take(*_known(t), ts_recv)]
        if resumed is not None:
            self.last_id, self.last_ts = last  # the stream is further on
        overlaps = resumed is not None and (newest.ts_event > resumed.ts_event or resumed.trade_id in ids)
        if overlaps:
            self.owed = None
        elif newest.ts_event >= owed.ts_event:
            self.owed = newest
        return Filling(trades, hole, is_behind=resumed is not None and not overlaps)

    def give_up(self) -> tuple[str, str | None] | None:
        """Stop asking for what is owed; return the ids between which trades may be missing, None when nothing is."""
        owed, self.owed = self.owed, None
        return owed and (owed.trade_id, self.resumed.trade_id if self.resumed else None)

    def _turn(self, ts_recv: int) -> set[str]:
        """Begin a new generation when it is time to; return the one to add to."""
        if len(self._recent) >= MAX_IDS or self.owed is None:
            self._older = self._recent
            self._recent = set()
            self._turn_at = ts_recv + KEEP_NS
        return self._recent


def _known(trade: Trade) -> Known:
    return Known(trade.trade_id, trade.ts_event or 0)
