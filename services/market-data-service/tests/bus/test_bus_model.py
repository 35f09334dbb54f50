"""Any sequence of events, refusals and drains: ledger, order and policy equal a model that is a plain list."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from app.bus import Bus
from md_contract.events import EVENT_TYPES, TYPE_OF, BookL2, Event, Heartbeat, Quote, Status, Trade

CAPACITY = 20
TYPES = st.sampled_from(["trade", "trade", "quote", "quote", "book_l2", "heartbeat", "status"])
SYMBOLS = st.sampled_from(["A", "B", "C"])


def make_event(kind: str, symbol: str, number: int) -> Event:
    """An event that is recognised by its `ts_recv`."""
    match kind:
        case "trade":
            return Trade("x", symbol, number, "1", "1", str(number))
        case "quote":
            return Quote("x", symbol, number, "1", "1", "2", "1")
        case "book_l2":
            return BookL2("x", symbol, number, [("1", "1")], [("2", "1")])
        case "heartbeat":
            return Heartbeat("x", "__system__", number, "silent", 1, True)
        case _:
            return Status("x", symbol, number, "gap", {})


class BusAgainstList(RuleBasedStateMachine):
    """One open sink beside one that refuses and fails at will."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[bool] = []
        self.bus = Bus(self.told.append)
        self.open: list[int] = []
        self.taken: list[int] = []
        self.room = 0
        self.broken = False
        self.bus.attach("open", self._take_all, CAPACITY)
        self.buffer = self.bus.attach("slow", self._take_some, CAPACITY)
        self.number = 0
        self.sent: list[Event] = []
        self.queue: list[Event] = []
        self.expected: list[int] = []
        self.counts = {name: dict.fromkeys(("delivered", "conflated", "dropped"), 0) for name in EVENT_TYPES}
        self.saturated = False

    def _take_all(self, event: Event) -> bool:
        self.open.append(event.ts_recv)
        return True

    def _take_some(self, event: Event) -> bool:
        if self.broken:
            raise OSError("broken")
        if not self.room:
            return False
        self.room -= 1
        self.taken.append(event.ts_recv)
        return True

    def _count(self, event: Event, outcome: str) -> None:
        self.counts[TYPE_OF[type(event)]][outcome] += 1

    def _model_put(self, event: Event) -> None:
        if not self.queue:
            if self.broken:
                self._count(event, "dropped")
                return
            if self.room_before:
                self._count(event, "delivered")
                self.expected.append(event.ts_recv)
                return
        if isinstance(event, Heartbeat) and len(self.queue) >= 0.8 * CAPACITY:
            self._count(event, "dropped")
            return
        self.queue.append(event)
        if len(self.queue) >= 0.9 * CAPACITY:
            latest = {(type(kept), kept.symbol): kept.ts_recv for kept in self.queue}
            survivors = []
            for kept in self.queue:
                if isinstance(kept, (Quote, BookL2)) and latest[type(kept), kept.symbol] != kept.ts_recv:
                    self._count(kept, "conflated")
                else:
                    survivors.append(kept)
            self.queue = survivors
        if len(self.queue) >= CAPACITY:
            self.saturated = True

    @rule(kind=TYPES, symbol=SYMBOLS)
    def publish(self, kind: str, symbol: str) -> None:
        self.number += 1
        event = make_event(kind, symbol, self.number)
        self.sent.append(event)
        self.room_before = self.room
        self.bus.publish(event)
        self._model_put(event)

    @rule(kind=TYPES, symbol=SYMBOLS, times=st.integers(5, 30))
    def burst(self, kind: str, symbol: str, times: int) -> None:
        for _ in range(times):
            self.publish(kind, symbol)

    @rule(room=st.integers(0, 30))
    def make_room(self, room: int) -> None:
        self.room = room

    @rule(broken=st.booleans())
    def break_or_mend(self, broken: bool) -> None:
        self.broken = broken

    @precondition(lambda self: self.queue)
    @rule(limit=st.integers(1, 30))
    def drain(self, limit: int) -> None:
        moved = min(limit, len(self.queue), limit if self.broken else self.room)
        for event in self.queue[:moved]:
            self._count(event, "dropped" if self.broken else "delivered")
            if not self.broken:
                self.expected.append(event.ts_recv)
        self.queue = self.queue[moved:]
        assert self.buffer.drain(limit) == moved
        if len(self.queue) <= CAPACITY // 2:
            self.saturated = False

    @rule()
    def abandon(self) -> None:
        for event in self.queue:
            self._count(event, "dropped")
        assert self.buffer.abandon() == len(self.queue)
        self.queue = []

    @invariant()
    def the_ledger_equals_the_model_and_closes(self) -> None:
        for name, cls in EVENT_TYPES.items():
            account = self.buffer.accounts[cls]
            assert account.received == sum(1 for event in self.sent if type(event) is cls)
            assert account.queued == sum(1 for event in self.queue if type(event) is cls)
            found = {outcome: getattr(account, outcome) for outcome in self.counts[name]}
            assert found == self.counts[name]
            assert account.difference == 0
        assert len(self.buffer) == len(self.queue)

    @invariant()
    def what_left_is_in_order_and_what_the_model_says(self) -> None:
        assert self.taken == self.expected
        assert self.taken == sorted(self.taken)

    @invariant()
    def trades_and_status_are_lost_only_by_a_broken_sink_or_at_the_end(self) -> None:
        for cls in (Trade, Status):
            assert self.buffer.accounts[cls].conflated == 0

    @invariant()
    def saturation_is_told_and_ends(self) -> None:
        assert self.buffer.saturated == self.saturated
        assert self.bus.saturated == self.saturated
        assert (self.told[-1] if self.told else False) == self.saturated
        assert self.told == [i % 2 == 0 for i in range(len(self.told))]

    @invariant()
    def the_other_sink_is_never_held(self) -> None:
        assert self.open == [event.ts_recv for event in self.sent]


TestBusAgainstList = BusAgainstList.TestCase
TestBusAgainstList.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
