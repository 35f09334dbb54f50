"""The buffer between the bus and one sink: a queue in arrival order with a lane, which is a policy, per kind of event.

    fill        trade, status   quote, book_l2                              heartbeat
    < 80 %      kept            kept                                        kept
    >= 80 %     kept            kept                                        dropped
    >= 90 %     kept            conflated: only the latest per symbol kept  dropped
    >= 100 %    kept, and the buffer is saturated: whoever feeds the bus has to stop reading until it is not

A saturated buffer still takes what was already read from the sockets, so nothing is lost between the word "stop" and
its effect. Conflation runs before saturation is declared. What stays is handed over in arrival order.

The ledger of each sink and type closes at every moment:

    received = delivered + conflated + dropped + spilled + queued
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from md_contract.events import TYPE_OF, BookL2, Event, Heartbeat, Quote

HEARTBEATS_DROPPED_PERCENT: Final = 80
CONFLATED_PERCENT: Final = 90
LOW_WATER_PERCENT: Final = 50
MIN_CAPACITY: Final = 10

_CONFLATED: Final[tuple[type[Event], ...]] = (Quote, BookL2)


class Account:
    """What became of the events of one type at one sink."""

    __slots__ = ("conflated", "delivered", "dropped", "queued", "received", "spilled")

    def __init__(self) -> None:
        self.received = 0
        self.delivered = 0  # the sink took it
        self.conflated = 0  # a newer one of its symbol took its place
        self.dropped = 0
        self.spilled = 0  # put aside on disk
        self.queued = 0

    @property
    def difference(self) -> int:
        """Events nobody can account for; anything but 0 is a defect."""
        return self.received - self.delivered - self.conflated - self.dropped - self.spilled - self.queued


class Buffer:
    """Stands between the bus and one sink."""

    def __init__(
        self, name: str, take: Callable[[Event], bool], capacity: int, on_saturation: Callable[[], None]
    ) -> None:
        """Make an empty buffer.

        Args:
            name: the sink's name, for people.
            take: hands one event to the sink; False when it cannot take it now. One that raises costs this event,
                counted as dropped.
            capacity: events, at least MIN_CAPACITY.
            on_saturation: called whenever `saturated` has changed.
        """
        if capacity < MIN_CAPACITY:
            raise ValueError(f"expected a buffer of at least {MIN_CAPACITY} events, found {capacity}")
        self.name = name
        self.capacity = capacity
        self.accounts: dict[type[Event], Account] = {cls: Account() for cls in TYPE_OF}
        self.saturated = False
        self.saturations = 0
        self.failures = 0
        self.last_failure: str | None = None
        self._take = take
        self._on_saturation = on_saturation
        self._heartbeats_dropped_at = _share(capacity, HEARTBEATS_DROPPED_PERCENT)
        self._conflated_at = _share(capacity, CONFLATED_PERCENT)
        self._low_water = capacity * LOW_WATER_PERCENT // 100
        self._queue: OrderedDict[int, Event] = OrderedDict()  # by arrival number
        self._arrivals = 0
        self._streams: dict[tuple[type[Event], str], deque[int]] = {}  # arrival numbers of what may be conflated
        self._doubled: set[tuple[type[Event], str]] = set()  # streams of which more than the latest is queued

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def fill_ratio(self) -> float:
        """Queued events over capacity; above 1 while what was already read comes in."""
        return len(self._queue) / self.capacity

    def put(self, event: Event) -> None:
        """Hand `event` to the sink, or keep it by policy. Never waits, never raises."""
        account = self.accounts[event.__class__]
        account.received += 1
        if self._queue:
            self._enqueue(event, account)
            return
        try:
            taken = self._take(event)
        except Exception as error:  # noqa: BLE001 - a sink's fault must reach neither the socket nor the other sinks
            self._failed(account, error)
            return
        if taken:
            account.delivered += 1
        else:
            self._enqueue(event, account)

    def drain(self, limit: int) -> int:
        """Hand over up to `limit` queued events until the sink refuses one; return how many left the queue."""
        queue = self._queue
        gone = 0
        while gone < limit and queue:
            number, event = next(iter(queue.items()))
            account = self.accounts[event.__class__]
            try:
                if not self._take(event):
                    break
                account.delivered += 1
            except Exception as error:  # noqa: BLE001 - as in put
                self._failed(account, error)
            del queue[number]
            account.queued -= 1
            self._forget(event)
            gone += 1
        if self.saturated and len(queue) <= self._low_water:
            self.saturated = False
            self._on_saturation()
        return gone

    def abandon(self) -> int:
        """Drop whatever is still queued, at the end of the run; return how many events that was."""
        left = len(self._queue)
        for event in self._queue.values():
            account = self.accounts[event.__class__]
            account.queued -= 1
            account.dropped += 1
        self._queue.clear()
        self._streams.clear()
        self._doubled.clear()
        return left

    def _enqueue(self, event: Event, account: Account) -> None:
        kind = event.__class__
        if kind is Heartbeat and len(self._queue) >= self._heartbeats_dropped_at:
            account.dropped += 1
            return
        self._arrivals += 1
        self._queue[self._arrivals] = event
        account.queued += 1
        if kind in _CONFLATED:
            key = (kind, event.symbol)
            numbers = self._streams.get(key)
            if numbers is None:
                self._streams[key] = deque((self._arrivals,))
            else:
                numbers.append(self._arrivals)
                self._doubled.add(key)
        if len(self._queue) >= self._conflated_at:
            self._conflate()
            if len(self._queue) >= self.capacity and not self.saturated:
                self.saturated = True
                self.saturations += 1
                self._on_saturation()

    def _conflate(self) -> None:
        """Keep only the latest of every quote and book stream; each event is looked at once, so O(1) amortised."""
        for key in self._doubled:
            account = self.accounts[key[0]]
            numbers = self._streams[key]
            while len(numbers) > 1:
                del self._queue[numbers.popleft()]
                account.queued -= 1
                account.conflated += 1
        self._doubled.clear()

    def _forget(self, event: Event) -> None:
        """Take the oldest queued event of a stream out of the stream's index."""
        key = (event.__class__, event.symbol)
        numbers = self._streams.get(key)
        if numbers is None:
            return
        numbers.popleft()
        if not numbers:
            del self._streams[key]
        elif len(numbers) == 1:
            self._doubled.discard(key)

    def _failed(self, account: Account, error: Exception) -> None:
        account.dropped += 1
        self.failures += 1
        self.last_failure = f"{type(error).__name__}: {error}"


def _share(capacity: int, percent: int) -> int:
    """The smallest number of events that is at least `percent` of the capacity."""
    return -(-capacity * percent // 100)
