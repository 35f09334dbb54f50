"""Each sink is told what it did not get: by type and symbol, once it has room, and never of more or less."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.bus import NATS, STORAGE, Bus
from md_contract.events import TYPE_OF, BookL2, Event, Heartbeat, Quote, Status, Trade
from md_contract.units import NS_PER_S

MAKERS: dict[str, Callable[[int, str], Event]] = {
    "trade": lambda number, symbol: Trade("x", symbol, number, "1", "1", str(number)),
    "quote": lambda number, symbol: Quote("x", symbol, number, "1", "1", "2", "1"),
    "book_l2": lambda number, symbol: BookL2("x", symbol, number, [], []),
    "heartbeat": lambda number, symbol: Heartbeat("x", symbol, number, "silent", 1, True),
}


class Sink:
    """Takes what it is given while it is open; some of it is more than it can bear."""

    def __init__(self) -> None:
        self.open = True
        self.hurt_by: set[int] = set()  # ts_recv
        self.taken: list[Event] = []

    def take(self, event: Event) -> bool:
        if event.ts_recv in self.hurt_by and not isinstance(event, Status):
            raise ValueError("too much")
        if self.open:
            self.taken.append(event)
        return self.open

    @property
    def told(self) -> list[Status]:
        return [event for event in self.taken if isinstance(event, Status)]


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def bus() -> Bus:
    return Bus(lambda _saturated: None)


def conflate(bus: Bus, count: int = 89) -> None:
    """As many quotes as there is room for, and one more."""
    for number in range(count + 1):
        bus.publish(MAKERS["quote"](number, "BTCUSDT"))


def test_conflated_quotes_are_told_with_their_number_and_their_time(bus: Bus, sink: Sink) -> None:
    bus.attach("nats", sink.take, 100)
    sink.open = False
    conflate(bus)
    bus.tell_losses(5, 1_000)
    sink.open = True
    bus.buffers[0].drain(100)
    assert [event.ts_recv for event in sink.taken] == [89, 1_000], "the latest, then the news of those before it"
    [status] = sink.told
    assert (status.provider, status.symbol, status.kind) == ("x", "BTCUSDT", "drop")
    assert status.detail == {
        "type": "quote", "missing": 89, "from_ns": 0, "to_ns": 88, "latest_kept": True, "sink": "nats",
    }  # fmt: skip


def test_it_is_told_every_two_seconds_and_once(bus: Bus, sink: Sink) -> None:
    bus.attach("nats", sink.take, 100)
    looks = [0, 1, 2 * NS_PER_S - 1, 2 * NS_PER_S, 4 * NS_PER_S, 6 * NS_PER_S]
    told = []
    for look, is_lossy in zip(looks, [True, True, True, True, False, True], strict=True):
        sink.open = not is_lossy
        conflate(bus)
        sink.open = True
        bus.buffers[0].drain(1_000)
        bus.tell_losses(look, look)
        told.append(sum(status.detail["missing"] for status in sink.told))
    assert told == [89, 89, 89, 4 * 89, 4 * 89, 5 * 89]


def test_what_hurts_the_sink_is_lost_without_a_newer_one(bus: Bus, sink: Sink) -> None:
    bus.attach("nats", sink.take, 100)
    sink.hurt_by = {3, 4}
    for number in range(6):
        bus.publish(MAKERS["trade" if number < 4 else "book_l2"](number, "BTCUSDT"))
    bus.tell_losses(0, 9)
    assert [(status.detail["type"], status.detail["missing"]) for status in sink.told] == [("trade", 1), ("book_l2", 1)]
    assert not any(status.detail["latest_kept"] for status in sink.told)


def test_one_that_was_lost_outweighs_those_that_were_conflated(bus: Bus, sink: Sink) -> None:
    bus.attach("nats", sink.take, 100)
    sink.open = False
    conflate(bus)
    sink.open, sink.hurt_by = True, {89}
    bus.buffers[0].drain(100)
    bus.tell_losses(0, 9)
    assert [(status.detail["missing"], status.detail["latest_kept"]) for status in sink.told] == [(90, False)]


def test_each_sink_is_told_of_itself_alone_and_a_full_one_when_it_has_room(bus: Bus, sink: Sink) -> None:
    other, full = Sink(), Sink()
    for name, one, policy in (("nats", sink, NATS), ("b", other, NATS), ("storage", full, STORAGE)):
        bus.attach(name, one.take, 100, policy)
    full.open = False
    for number in range(105):
        bus.publish(MAKERS["trade"](number, "BTCUSDT"))
    assert bus.buffers[2].saturated
    bus.tell_losses(0, 999)
    full.open = True
    bus.buffers[2].drain(40)
    bus.tell_losses(1, 1_000)
    assert full.told == [], "not yet"
    bus.buffers[2].drain(40)
    bus.tell_losses(2, 1_001)
    bus.buffers[2].drain(100)
    assert [(status.ts_recv, status.detail["missing"], status.detail["sink"]) for status in full.told] == [
        (1_001, 5, "storage")
    ]
    assert sink.told == other.told == []


def test_at_the_end_it_is_told_room_or_not(bus: Bus, sink: Sink) -> None:
    buffer = bus.attach("storage", sink.take, 10, STORAGE)
    sink.open = False
    for number in range(12):
        bus.publish(MAKERS["quote"](number, "BTCUSDT"))
    assert buffer.saturated
    bus.tell_losses(0, 50, last=True)
    bus.tell_losses(0, 51, last=True)
    sink.open = True
    buffer.drain(100)
    assert [(status.ts_recv, status.detail["missing"]) for status in sink.told] == [(50, 2)]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(list(MAKERS)), st.sampled_from(["A", "B"]), st.integers(1, 40)),
        st.tuples(st.sampled_from(["open", "shut", "drain", "tell"]), st.just(""), st.just(0)),
    ),
    max_size=40,
)


@given(steps=STEPS, policy=st.sampled_from([NATS, STORAGE]), hurt_by=st.sets(st.integers(0, 400), max_size=10))
def test_what_is_told_is_what_the_ledger_has_lost(steps: list[tuple[str, str, int]], policy: Any, hurt_by: Any) -> None:
    bus, sink = Bus(lambda _saturated: None), Sink()
    buffer = bus.attach("it", sink.take, 20, policy)
    sink.hurt_by = hurt_by
    number = 0
    for what, symbol, count in steps:
        if what in ("open", "shut"):
            sink.open = what == "open"
        elif what == "drain":
            buffer.drain(1_000)
        elif what == "tell":
            bus.tell_losses(number * NS_PER_S, number)
        for _ in range(count):
            bus.publish(MAKERS[what](number, symbol))
            number += 1
    sink.open = True
    buffer.drain(10_000)
    bus.tell_losses(0, number, last=True)
    told = Counter[str]()
    for status in sink.told:
        told[status.detail["type"]] += status.detail["missing"]
    for kind, account in buffer.accounts.items():
        if kind in (Trade, Quote, BookL2):
            assert told[TYPE_OF[kind]] == account.conflated + account.dropped
