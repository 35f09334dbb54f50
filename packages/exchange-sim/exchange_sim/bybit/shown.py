"""What the subscribers of an `orderbook` topic have been shown, and what they are told next.

A subscriber holds the best levels, as many as the topic is deep: a level that comes into that range is sent, and one
that leaves it is deleted. Depth 1 is always sent whole, and again after 3 s without a change, with the same number.
"""

from collections.abc import Iterable
from typing import Final

from exchange_sim.bybit import text
from exchange_sim.bybit.text import BookView, Digits
from exchange_sim.bybit.topics import BookTopic

REPEAT_NS: Final = 3_000_000_000
_NS_PER_MS: Final = 1_000_000
_IDS_BEGAN_NS: Final = 1_704_067_200_000_000_000  # 2024-01-01
_NS_PER_UPDATE_ID: Final = 5_000_000  # no topic speaks that often, so a book begun later has higher numbers


class ShownBook:
    """One topic, from the subscription that it began with to the time when nobody is subscribed."""

    def __init__(self, topic: BookTopic, digits: Digits, now_ns: int) -> None:
        self.topic = topic
        self.seen = -1  # number of the market's update that it was last asked to show
        self.absent = 0  # how many of the next deltas also delete a level that is not there
        self._digits = digits
        self._update_id = (now_ns - _IDS_BEGAN_NS) // _NS_PER_UPDATE_ID + topic.depth
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}
        self._seq = 0
        self._made_ns = 0
        self._spoke_ns: int | None = None

    def show(
        self, bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]], seq: int, made_ns: int, now_ns: int
    ) -> bytes | None:
        """Take the best levels; return the message that tells how they have changed, None when they have not.

        The first call returns the snapshot that everything begins with.
        """
        self.seen = seq
        new_bids, new_asks = dict(bids), dict(asks)
        if self._spoke_ns is not None and new_bids == self._bids and new_asks == self._asks:
            return None
        changed_bids, changed_asks = _changes(self._bids, new_bids), _changes(self._asks, new_asks)
        self._bids, self._asks, self._seq, self._made_ns = new_bids, new_asks, seq, made_ns
        self._update_id += 1
        if self._spoke_ns is None or self.topic.depth == 1:
            return self._say("snapshot", self.view(now_ns), now_ns)
        if self.absent and new_bids:
            self.absent -= 1
            changed_bids[min(new_bids) // 2] = 0
        delta = self._view(sorted(changed_bids.items(), reverse=True), sorted(changed_asks.items()), now_ns)
        return self._say("delta", delta, now_ns)

    def repeat(self, now_ns: int) -> bytes | None:
        """Return the same message again when it is time to; None when it is not."""
        if self.topic.depth > 1 or self._spoke_ns is None or now_ns - self._spoke_ns < REPEAT_NS:
            return None
        return self._say("snapshot", self.view(now_ns), now_ns)

    def restart(self, kind: str, now_ns: int) -> bytes:
        """Return the whole book as a service sends it that has begun anew: numbered 1, and 2 is next."""
        self._update_id = 1
        return self._say(kind, self.view(now_ns), now_ns)

    def view(self, now_ns: int) -> BookView:
        """Return everything that subscribers have been shown."""
        return self._view(self._bids.items(), self._asks.items(), now_ns)

    def _view(self, bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]], now_ns: int) -> BookView:
        levels = self._digits.levels
        sent_ms = now_ns // _NS_PER_MS
        return BookView(levels(bids), levels(asks), self._update_id, self._seq, sent_ms, self._made_ns // _NS_PER_MS)

    def _say(self, kind: str, view: BookView, now_ns: int) -> bytes:
        self._spoke_ns = now_ns
        return text.book(self.topic, kind, view)


def _changes(before: dict[int, int], after: dict[int, int]) -> dict[int, int]:
    """Return the new size of every price whose size differs."""
    changed = {price: size for price, size in after.items() if before.get(price) != size}
    changed.update((price, 0) for price in before if price not in after)
    return changed
