"""Which trades of one symbol came lately, and between which of them some may be missing.

Alpaca's trade ids do not follow one another, so a repeat is found by remembering the ids, and a hole cannot be seen at
all. After a break in the stream it has to be assumed.
"""

from typing import Final

from md_contract.units import NS_PER_S

MAX_IDS: Final = 8_192  # in each of two generations
KEEP_NS: Final = 120 * NS_PER_S


class TradeIds:
    """The ids of one symbol, kept for two minutes at least, or 8,192 of them. It outlives connections."""

    __slots__ = ("_older", "_recent", "_turn_at", "broken", "last")

    def __init__(self) -> None:
        self.last: str | None = None
        self.broken = False  # the stream was interrupted since the last trade
        self._recent: set[str] = set()
        self._older: set[str] = set()
        self._turn_at = 0  # wall clock: when the recent ids become the older ones

    def take(self, trade_id: str, ts_recv: int) -> bool:
        """Take one trade; return False when it is known already."""
        recent = self._recent
        if trade_id in recent or trade_id in self._older:
            return False
        if len(recent) >= MAX_IDS or ts_recv > self._turn_at:
            self._older, self._recent = recent, set()
            self._turn_at = ts_recv + KEEP_NS
        self._recent.add(trade_id)
        self.last = trade_id
        return True

    def on_break(self) -> None:
        """The stream was interrupted: what comes next may not follow what came last."""
        self.broken = self.last is not None
