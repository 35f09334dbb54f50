"""The buffer between the bus and one sink: two lanes, kept in arrival order, under a policy (see `policy`).

What must arrive is in the durable lane, which goes on on disk; what ages is in the fresh lane, which is thinned out. An
event of the fresh lane is handed over once all that arrived before it in the durable lane has left.
"""

from collections.abc import Callable, Sequence
from typing import Final, Generic

from app.bus.account import Account, open_accounts
from app.bus.durable import DurableLane
from app.bus.fresh import FreshLane
from app.bus.item import M
from app.bus.journal import Journal
from app.bus.policy import CONFLATED_PERCENT, DROPPED_PERCENT, LOW_WATER_PERCENT, Policy

MIN_CAPACITY: Final = 10


class Buffer(Generic[M]):
    """Stands between the bus and one sink."""

    def __init__(
        self,
        name: str,
        take: Callable[[M], bool],
        capacity: int,
        on_saturation: Callable[[], None],
        policy: Policy[M],
        journal: Journal[M] | None = None,
        settled: Callable[[], int] | None = None,
        on_loss: Callable[[M, bool], None] = lambda _event, _conflated: None,
    ) -> None:
        """Make a buffer that holds nothing but what the journal does.

        Args:
            name: the sink's name, for people.
            take: hands one event to the sink; False when it cannot take it now. One that raises costs this event,
                counted as dropped.
            capacity: events in memory, at least MIN_CAPACITY.
            on_saturation: called whenever `saturated` has changed.
            policy: what happens to each kind of event when memory fills.
            journal: where events go that memory has no room for; None: nowhere.
            settled: how many of the events that were taken the sink has brought to their destination, in the order in
                which it took them; None: a sink that answers for them no longer once it has taken them.
            on_loss: told of each event that the sink will not get, during the run, and whether that is because a newer
                one takes its place.
        """
        if capacity < MIN_CAPACITY:
            raise ValueError(f"expected a buffer of at least {MIN_CAPACITY} events, found {capacity}")
        self.name = name
        self.capacity = capacity
        self.journal = journal
        self.accounts = open_accounts(policy.kinds)
        self.saturated = False
        self.saturations = 0
        self.failures = 0
        self.last_failure: str | None = None
        self._take = take
        self._on_saturation = on_saturation
        self._on_loss = on_loss
        self.holds_sockets = policy.holds_sockets
        self._spilling = policy.spilling
        self._conflated = policy.conflated
        self._dropped_at = _share(capacity, DROPPED_PERCENT)
        self._conflated_at = _share(capacity, CONFLATED_PERCENT)
        self._low_water = capacity * LOW_WATER_PERCENT // 100
        self._durable = DurableLane(self.accounts, journal, capacity, self._note, settled)
        self._fresh: FreshLane[M] = FreshLane()
        self._idle = self._durable.empty  # nothing waits, so the next event goes straight to the sink

    def __len__(self) -> int:
        """Events in memory."""
        return len(self._durable) + len(self._fresh)

    @property
    def empty(self) -> bool:
        """Nothing waits, neither in memory nor on disk."""
        return self._durable.empty and not self._fresh

    @property
    def fill_ratio(self) -> float:
        """Events in memory over capacity; above 1 while what was already read comes in."""
        return len(self) / self.capacity

    @property
    def unsettled(self) -> bool:
        """Events that the sink took are on disk still, until it has brought them home; `drain` looks whether it has."""
        return self._durable.unsettled

    def put(self, event: M) -> None:
        """Hand `event` to the sink, or keep it by policy. Never waits, never raises."""
        account = self.accounts[event.__class__]
        account.received += 1
        if not self._idle:
            self._keep(event, account)
            return
        try:
            taken = self._take(event)
        except Exception as error:  # noqa: BLE001 - a sink's fault must reach neither the socket nor the other sinks
            self._drop(event, account)
            self._note(error)
            return
        if taken:
            account.delivered += 1
        else:
            self._keep(event, account)

    def refuse(self, event: M) -> None:
        """Drop `event` with a count: for a source that cannot be told to wait while the buffer is saturated."""
        account = self.accounts[event.__class__]
        account.received += 1
        self._drop(event, account)

    def drain(self, limit: int) -> int:
        """Hand over up to `limit` events that wait, until the sink refuses one; return how many left."""
        gone = 0
        while gone < limit and (lane := self._next()) is not None:
            event = lane.oldest()
            account = self.accounts[event.__class__]
            try:
                if not self._take(event):
                    break
                account.delivered += 1
            except Exception as error:  # noqa: BLE001 - as in put
                self._drop(event, account)
                self._note(error)
            lane.pop()
            if lane is self._fresh:
                account.queued -= 1
            gone += 1
        self._durable.settle(limit)
        self._idle = self.empty
        if self.saturated and len(self) <= self._low_water:
            self.saturated = False
            self._on_saturation()
        return gone

    def give_back(self, events: Sequence[M]) -> int:
        """Take back, oldest first, what the sink took and could not bring to its destination.

        What must arrive waits again, before all else; the rest is too old by now. Returns how many were dropped.
        """
        again = [event for event in events if event.__class__ in self._spilling]
        for event in events:
            account = self.accounts[event.__class__]
            account.delivered -= 1
            if event.__class__ not in self._spilling:
                account.dropped += 1
        self._durable.give_back(again, sum(account.delivered for account in self.accounts.values()))
        self._idle = self.empty
        return len(events) - len(again)

    def abandon(self) -> int:
        """End the run: what must arrive goes to disk and is `spilled`, all else is dropped, and the journal is closed.

        Returns how many events were dropped.
        """
        before = self._dropped()
        for event in self._fresh.clear():
            self.accounts[event.__class__].queued -= 1
            self.accounts[event.__class__].dropped += 1
        self._durable.put_aside()
        self._idle = True
        return self._dropped() - before

    def _dropped(self) -> int:
        return sum(account.dropped for account in self.accounts.values())

    def _next(self) -> FreshLane[M] | DurableLane[M] | None:
        """The lane whose turn it is."""
        fresh, durable = self._fresh, self._durable
        if fresh and fresh.after <= durable.gone:
            return fresh
        if durable.fill():
            return durable
        return None if durable.unsettled else fresh or None  # what is on disk comes first, once that is settled

    def _keep(self, event: M, account: Account) -> None:
        kind = event.__class__
        held = len(self)
        if kind in self._spilling:
            self._durable.add(event, full=held >= self.capacity)
        elif kind in self._conflated or held < self._dropped_at:
            self._fresh.add(event, self._durable.arrived, conflated=kind in self._conflated)
            account.queued += 1
        else:
            self._drop(event, account)
            return
        self._idle = False
        if held + 1 >= self._conflated_at:
            self._make_room()

    def _make_room(self) -> None:
        """Conflate; if that is not enough and the disk does not help, saturation is declared."""
        if len(self) < self._conflated_at:
            return
        for gone in self._fresh.conflate():
            account = self.accounts[gone.__class__]
            account.queued -= 1
            account.conflated += 1
            self._on_loss(gone, True)
        if not self.saturated and len(self) >= self.capacity and self._durable.blocked:
            self.saturated = True
            self.saturations += 1
            self._on_saturation()

    def _drop(self, event: M, account: Account) -> None:
        account.dropped += 1
        self._on_loss(event, False)

    def _note(self, error: Exception) -> None:
        self.failures += 1
        self.last_failure = f"{type(error).__name__}: {error}"


def _share(capacity: int, percent: int) -> int:
    """The smallest number of events that is at least `percent` of the capacity."""
    return -(-capacity * percent // 100)
