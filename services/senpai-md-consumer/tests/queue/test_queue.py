"""The queue against a naive model, and its rule at the edges."""

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from md_contract.events import TYPE_OF, BookL2, Event, Heartbeat, Quote, Status, Trade
from senpai.md_consumer.queue import QUEUE_RULE, EventQueue, QueueFullError

NOW = 1_700_000_000_000_000_000


def trade() -> Event:
    return Trade("binance", "BTCUSDT", NOW, "1", "1", "1")


def quote() -> Event:
    return Quote("binance", "BTCUSDT", NOW, "1", "1", "2", "1")


def book() -> Event:
    return BookL2("binance", "BTCUSDT", NOW, [("1", "1")], [("2", "1")])


def heartbeat() -> Event:
    return Heartbeat("binance", "__system__", NOW, "live", 0, synthetic=False)


def status() -> Event:
    return Status("binance", "BTCUSDT", NOW, "gap", {})


MAKERS = (trade, quote, book, heartbeat, status)


@pytest.mark.parametrize(("capacity", "taken_below"), [(10, 9), (11, 10), (100, 90), (1, 1), (15, 14)])
def test_queue_takes_everything_below_90_percent(capacity: int, taken_below: int) -> None:
    queue = EventQueue(capacity, capacity * 2)
    for _ in range(taken_below):
        assert queue.put(quote(), 0)
    assert not queue.put(quote(), 0)


@pytest.mark.parametrize("make", [quote, book, heartbeat])
def test_what_may_be_dropped_is_dropped_from_90_percent_on(make: object) -> None:
    queue = EventQueue(10, 20)
    for _ in range(9):
        queue.put(trade(), 0)
    event = make()  # type: ignore[operator]  # one of MAKERS
    assert not queue.put(event, 0)
    assert queue.dropped_by_reason[QUEUE_RULE, TYPE_OF[type(event)]] == 1
    assert len(queue) == 9


@pytest.mark.parametrize("make", [trade, status])
def test_trades_and_status_events_are_taken_beyond_the_capacity(make: object) -> None:
    queue = EventQueue(10, 20)
    for _ in range(20):
        assert not queue.full
        assert queue.put(make(), 0)  # type: ignore[operator]  # one of MAKERS
    assert queue.full
    with pytest.raises(QueueFullError, match="20 events"):
        queue.put(make(), 0)  # type: ignore[operator]  # one of MAKERS
    assert len(queue) == 20


def test_room_is_there_again_after_taking() -> None:
    queue = EventQueue(10, 10)
    for _ in range(10):
        queue.put(trade(), 0)
    queue.take()
    assert not queue.full
    assert not queue.put(quote(), 0)
    queue.take()
    assert queue.put(quote(), 0)


def test_fill_ratio_stays_within_0_and_1() -> None:
    queue = EventQueue(10, 20)
    assert queue.fill_ratio == 0.0
    for _ in range(5):
        queue.put(trade(), 0)
    assert queue.fill_ratio == 0.5
    for _ in range(15):
        queue.put(trade(), 0)
    assert queue.fill_ratio == 1.0


def test_a_message_that_is_refused_before_the_queue_is_in_the_ledger() -> None:
    queue = EventQueue(10, 20)
    queue.refuse(trade(), "duplicate")
    queue.refuse(None, "not_json")
    assert queue.dropped_by_reason["duplicate", "trade"] == 1
    assert queue.dropped_by_reason["not_json", "unknown"] == 1
    assert queue.ledger()["unknown"].dropped == 1
    assert queue.received == 2


@pytest.mark.parametrize(("capacity", "hard_bound"), [(0, 1), (-1, 1), (2, 1)])
def test_a_bound_that_makes_no_sense_is_refused(capacity: int, hard_bound: int) -> None:
    with pytest.raises(ValueError, match="capacity"):
        EventQueue(capacity, hard_bound)


class QueueAgainstModel(RuleBasedStateMachine):
    """The model: a list, and counters kept by the letter of the specification."""

    capacity = 20
    hard_bound = 30

    def __init__(self) -> None:
        super().__init__()
        self.queue = EventQueue(self.capacity, self.hard_bound)
        self.held: list[Event] = []
        self.received: Counter[str] = Counter()
        self.delivered: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.taken = 0

    @rule(make=st.sampled_from(MAKERS), many=st.integers(1, 12))
    def put(self, make: object, many: int) -> None:
        for _ in range(many):
            event = make()  # type: ignore[operator]  # one of MAKERS
            name = TYPE_OF[type(event)]
            may_be_dropped = name in {"heartbeat", "quote", "book_l2"}
            if len(self.held) / self.capacity >= 0.9 and may_be_dropped:
                assert not self.queue.put(event, 0)
                self.dropped[name] += 1
            elif len(self.held) >= self.hard_bound:
                assert self.queue.full
                return
            else:
                assert self.queue.next_position == self.taken + len(self.held)
                assert self.queue.put(event, 0)
                self.held.append(event)
            self.received[name] += 1

    @precondition(lambda self: self.held)
    @rule(many=st.integers(1, 12))
    def take(self, many: int) -> None:
        for _ in range(min(many, len(self.held))):
            event, _ = self.queue.take()
            assert event is self.held.pop(0)
            self.delivered[TYPE_OF[type(event)]] += 1
            self.taken += 1

    @rule(make=st.sampled_from(MAKERS))
    def refuse(self, make: object) -> None:
        event = make()  # type: ignore[operator]  # one of MAKERS
        self.queue.refuse(event, "duplicate")
        self.received[TYPE_OF[type(event)]] += 1
        self.dropped[TYPE_OF[type(event)]] += 1

    @invariant()
    def ledger_is_the_models_and_closes(self) -> None:
        queued = Counter(TYPE_OF[type(event)] for event in self.held)
        for name, line in self.queue.ledger().items():
            assert line.difference == 0
            assert (line.received, line.delivered, line.dropped, line.queued) == (
                self.received[name],
                self.delivered[name],
                self.dropped[name],
                queued[name],
            )
        assert self.queue.received == self.received.total()
        assert sum(self.queue.dropped_by_reason.values()) == self.dropped.total()
        assert self.queue.full == (len(self.held) >= self.hard_bound)


QueueAgainstModel.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestQueueAgainstModel = QueueAgainstModel.TestCase
