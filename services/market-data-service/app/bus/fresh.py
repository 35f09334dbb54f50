"""The lane of what is worth less with every moment: quotes, books and heartbeats, in arrival order."""

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Generic

from app.bus.item import M


class FreshLane(Generic[M]):
    """Events in memory. `after` says how many events of the durable lane arrived before one, so that the order across
    the lanes is known without a number on each event.
    """

    def __init__(self) -> None:
        self._events: OrderedDict[int, tuple[int, M]] = OrderedDict()  # arrival number: (after, event)
        self._arrivals = 0
        self._streams: dict[tuple[type[M], str | None], deque[int]] = {}  # arrival numbers of what may be conflated
        self._doubled: set[tuple[type[M], str | None]] = set()  # streams of which more than the latest is here

    def __len__(self) -> int:
        return len(self._events)

    def add(self, event: M, after: int, *, conflated: bool) -> None:
        """Add the newest event; one that may be conflated makes those before it of its symbol superfluous."""
        self._arrivals += 1
        self._events[self._arrivals] = (after, event)
        if conflated:
            key = (event.__class__, event.symbol)
            numbers = self._streams.get(key)
            if numbers is None:
                self._streams[key] = deque((self._arrivals,))
            else:
                numbers.append(self._arrivals)
                self._doubled.add(key)

    def conflate(self) -> Iterator[M]:
        """Keep only the latest of each stream that may be conflated, and tell each event that goes.

        Each event is looked at once, so O(1) amortised.
        """
        for key in self._doubled:
            numbers = self._streams[key]
            while len(numbers) > 1:
                yield self._events.pop(numbers.popleft())[1]
        self._doubled.clear()

    @property
    def after(self) -> int:
        """Of the oldest event; the lane must not be empty."""
        return next(iter(self._events.values()))[0]

    def oldest(self) -> M:
        """The event to hand over next; the lane must not be empty."""
        return next(iter(self._events.values()))[1]

    def pop(self) -> None:
        """Let the oldest event go."""
        _, (_, event) = self._events.popitem(last=False)
        key = (event.__class__, event.symbol)
        numbers = self._streams.get(key)
        if numbers is None:
            return
        numbers.popleft()
        if not numbers:
            del self._streams[key]
        elif len(numbers) == 1:
            self._doubled.discard(key)

    def clear(self) -> list[M]:
        """Let everything go; return what it was."""
        left = [event for _, event in self._events.values()]
        self._events.clear()
        self._streams.clear()
        self._doubled.clear()
        return left
