"""The bounded queue between NATS and the features, with the specified 90 % rule.

Below 90 % of its capacity the queue takes everything. From there on heartbeats, quotes and book snapshots are dropped
and counted; trades and status events are always taken, in order of arrival, up to a hard bound. There `full` tells the
subscriber to stop taking from NATS until events have left, so that memory is bounded and no trade is lost here.

The ledger closes for every type: received = delivered + conflated + dropped + spilled + queued.
"""

from collections import Counter, deque
from typing import Final

from msgspec import Struct

from md_contract.events import EVENT_TYPES, TYPE_OF, BookL2, Event, Heartbeat, Quote

DROP_FROM_PERCENT: Final = 90
QUEUE_RULE: Final = "queue_90_percent"  # the drop reason of the rule
UNKNOWN_TYPE: Final = "unknown"  # the ledger's line for messages that are no event
DROPPABLE: Final[tuple[type[Event], ...]] = (Heartbeat, Quote, BookL2)


class QueueFullError(OverflowError):
    """An event was put on a full queue: the caller did not look at `full` first."""

    def __init__(self, bound: int) -> None:
        self.bound = bound
        super().__init__(f"the queue holds its bound of {bound} events: take some before the next put")


class Lane(Struct, gc=False):
    """What happened to the events of one type."""

    name: str
    droppable: bool
    received: int = 0
    delivered: int = 0
    dropped: int = 0


class Entry(Struct, frozen=True):
    """One line of the ledger; `conflated` and `spilled` are 0: this queue does neither."""

    received: int
    delivered: int
    dropped: int
    queued: int
    conflated: int = 0
    spilled: int = 0

    @property
    def difference(self) -> int:
        """What cannot be accounted for: 0, or there is a fault in the queue."""
        return self.received - self.delivered - self.conflated - self.dropped - self.spilled - self.queued


class EventQueue:
    """First in, first out, over all types; see the module for the policy."""

    def __init__(self, capacity: int, hard_bound: int) -> None:
        if not 0 < capacity <= hard_bound:
            raise ValueError(f"expected 0 < capacity <= hard bound, found {capacity} and {hard_bound}")
        self.capacity = capacity
        self.hard_bound = hard_bound
        self.taken = 0
        self.dropped_by_reason: dict[tuple[str, str], int] = {}  # (reason, type) -> events
        self._drop_from = -(-capacity * DROP_FROM_PERCENT // 100)
        self._items: deque[tuple[Event, int, Lane]] = deque()
        self._lanes = {cls: Lane(name, cls in DROPPABLE) for cls, name in TYPE_OF.items()}
        self._unknown = Lane(UNKNOWN_TYPE, droppable=True)
        for lane in self._lanes.values():
            if lane.droppable:
                self.dropped_by_reason[QUEUE_RULE, lane.name] = 0

    def __len__(self) -> int:
        return len(self._items)

    @property
    def full(self) -> bool:
        """The hard bound is reached: nothing may be put before something is taken."""
        return len(self._items) >= self.hard_bound

    @property
    def fill_ratio(self) -> float:
        """0..1; 1 also while trades are held beyond the capacity."""
        return min(1.0, len(self._items) / self.capacity)

    @property
    def next_position(self) -> int:
        """How many events have been taken when the event put next is the next to be taken."""
        return self.taken + len(self._items)

    def put(self, event: Event, mono_ns: int) -> bool:
        """Take an event received at `mono_ns`, or drop it by the 90 % rule (False).

        Raises:
            QueueFullError: the queue is full and the event may not be dropped.
        """
        lane = self._lanes[type(event)]
        held = len(self._items)
        if held >= self._drop_from:
            if lane.droppable:
                lane.received += 1
                self._drop(lane, QUEUE_RULE)
                return False
            if held >= self.hard_bound:
                raise QueueFullError(self.hard_bound)
        lane.received += 1
        self._items.append((event, mono_ns, lane))
        return True

    def take(self) -> tuple[Event, int]:
        """The oldest event and when it was received. Raises `IndexError` when the queue is empty."""
        event, mono_ns, lane = self._items.popleft()
        lane.delivered += 1
        self.taken += 1
        return event, mono_ns

    def refuse(self, event: Event | None, reason: str) -> None:
        """Put a message that never reaches the queue into the ledger: received and dropped, for `reason`."""
        lane = self._unknown if event is None else self._lanes[type(event)]
        lane.received += 1
        self._drop(lane, reason)

    def ledger(self) -> dict[str, Entry]:
        """By type; `unknown` stands for messages that are no event. Counts what is really queued."""
        queued = Counter(type(event) for event, _, _ in self._items)
        lines = {lane.name: (lane, queued[cls]) for cls, lane in self._lanes.items()}
        lines[UNKNOWN_TYPE] = (self._unknown, 0)
        return {
            name: Entry(received=lane.received, delivered=lane.delivered, dropped=lane.dropped, queued=held)
            for name, (lane, held) in lines.items()
        }

    @property
    def received(self) -> int:
        """Messages of every type since the start."""
        return self._unknown.received + sum(self._lanes[cls].received for cls in EVENT_TYPES.values())

    def _drop(self, lane: Lane, reason: str) -> None:
        lane.dropped += 1
        key = (reason, lane.name)
        self.dropped_by_reason[key] = self.dropped_by_reason.get(key, 0) + 1
