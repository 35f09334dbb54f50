"""The bus at its edges: each line of the policy table once, by hand."""

from itertools import pairwise

import pytest

from app.bus import NATS, STORAGE, Buffer, Bus
from md_contract.events import BookL2, Event, Heartbeat, Quote, Status, Trade


def trade(number: int, symbol: str = "BTCUSDT") -> Trade:
    return Trade("x", symbol, number, "1", "1", str(number))


def quote(number: int, symbol: str = "BTCUSDT") -> Quote:
    return Quote("x", symbol, number, "1", "1", "2", "1")


def heartbeat(number: int) -> Heartbeat:
    return Heartbeat("x", "__system__", number, "silent", 1, True)


class Gate:
    """A sink with a door."""

    def __init__(self) -> None:
        self.shut = False
        self.taken: list[Event] = []

    def take(self, event: Event) -> bool:
        if not self.shut:
            self.taken.append(event)
        return not self.shut


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def bus() -> Bus:
    return Bus(lambda _saturated: None)


def test_an_open_sink_gets_the_event_at_once(bus: Bus, gate: Gate) -> None:
    buffer = bus.attach("gate", gate.take, 100)
    event = trade(1)
    bus.publish(event)
    assert gate.taken == [event]
    assert len(buffer) == 0


def test_what_was_refused_leaves_in_arrival_order_across_types_and_symbols(bus: Bus, gate: Gate) -> None:
    buffer = bus.attach("gate", gate.take, 100)
    gate.shut = True
    events: list[Event] = [trade(1), quote(2), quote(3, "ETHUSDT"), trade(4, "ETHUSDT"), quote(5), heartbeat(6)]
    for event in events:
        bus.publish(event)
    gate.shut = False
    bus.publish(trade(7))
    assert gate.taken == [], "a queued event may not be overtaken"
    assert buffer.drain(100) == 7
    assert [event.ts_recv for event in gate.taken] == [1, 2, 3, 4, 5, 6, 7]


def test_heartbeats_are_dropped_from_80_percent_and_nothing_else(bus: Bus, gate: Gate) -> None:
    buffer = bus.attach("gate", gate.take, 100)
    gate.shut = True
    for number in range(79):
        bus.publish(quote(number))
    bus.publish(heartbeat(79))
    assert buffer.accounts[Heartbeat].queued == 1
    bus.publish(heartbeat(80))
    assert buffer.accounts[Heartbeat].dropped == 1
    bus.publish(quote(81))
    assert buffer.accounts[Quote].queued == 80
    assert buffer.accounts[Quote].conflated == 0


def test_from_90_percent_only_the_latest_quote_and_book_of_each_symbol_is_kept(bus: Bus, gate: Gate) -> None:
    buffer = bus.attach("gate", gate.take, 100)
    gate.shut = True
    for number in range(30):
        bus.publish(quote(number))
        bus.publish(BookL2("x", "BTCUSDT", number, [], []))
    for number in range(29):
        bus.publish(quote(number, "ETHUSDT"))
    assert len(buffer) == 89
    bus.publish(trade(99))
    assert len(buffer) == 4, "one quote each, one book and the trade"
    gate.shut = False
    buffer.drain(100)
    assert [(type(event), event.symbol, event.ts_recv) for event in gate.taken] == [
        (Quote, "BTCUSDT", 29),
        (BookL2, "BTCUSDT", 29),
        (Quote, "ETHUSDT", 28),
        (Trade, "BTCUSDT", 99),
    ]


def test_the_shares_are_exact_in_a_large_buffer_too(bus: Bus, gate: Gate) -> None:
    buffer = bus.attach("gate", gate.take, 1_000)
    gate.shut = True
    for number in range(799):
        bus.publish(quote(number))
    bus.publish(heartbeat(799))
    bus.publish(heartbeat(800))
    assert (buffer.accounts[Heartbeat].queued, buffer.accounts[Heartbeat].dropped) == (1, 1)
    for number in range(800, 899):
        bus.publish(quote(number))
    assert (len(buffer), buffer.accounts[Quote].conflated) == (899, 0)
    bus.publish(quote(899))
    assert (len(buffer), buffer.accounts[Quote].conflated) == (2, 898)
    for number in range(900, 1_898):
        bus.publish(trade(number))
        assert buffer.saturated == (number == 1_897)
    gate.shut = False
    buffer.drain(499)
    assert buffer.saturated
    buffer.drain(1)
    assert not buffer.saturated


def test_trades_and_status_beyond_the_bound_are_kept_and_saturate_until_the_low_water_mark(gate: Gate) -> None:
    told: list[bool] = []
    bus = Bus(told.append)
    buffer = bus.attach("gate", gate.take, 100)
    gate.shut = True
    for number in range(120):
        bus.publish(trade(number) if number % 2 else Status("x", "BTCUSDT", number, "gap", {}))
        assert buffer.saturated == (number >= 99)
    assert told == [True]
    assert buffer.fill_ratio == 1.2
    gate.shut = False
    buffer.drain(69)
    assert buffer.saturated
    buffer.drain(1)
    assert told == [True, False]
    buffer.drain(1000)
    assert [event.ts_recv for event in gate.taken] == list(range(120))
    assert buffer.saturations == 1


def test_the_bus_is_saturated_while_any_sink_is(gate: Gate) -> None:
    told: list[bool] = []
    bus = Bus(told.append)
    other = Gate()
    first, second = bus.attach("first", gate.take, 10), bus.attach("second", other.take, 20)
    gate.shut = other.shut = True
    for number in range(30):
        bus.publish(trade(number))
    gate.shut = other.shut = False
    first.drain(100)
    assert told == [True]
    second.drain(100)
    assert told == [True, False]


def test_a_sink_that_raises_costs_itself_the_event_and_holds_nobody(bus: Bus, gate: Gate) -> None:
    def broken(event: Event) -> bool:
        raise ConnectionError("gone")

    bad = bus.attach("bad", broken, 100)
    bus.attach("gate", gate.take, 100)
    bus.publish(trade(1))
    assert len(gate.taken) == 1
    assert bad.accounts[Trade].dropped == 1
    assert bad.accounts[Trade].difference == 0
    assert bad.failures == 1
    assert bad.last_failure == "ConnectionError: gone"


def test_a_poisoned_event_in_the_queue_does_not_block_the_ones_behind_it(bus: Bus) -> None:
    taken: list[Event] = []
    shut = True

    def take(event: Event) -> bool:
        if shut:
            return False
        if event.ts_recv == 2:
            raise ValueError("poison")
        taken.append(event)
        return True

    buffer = bus.attach("sink", take, 100)
    for number in (1, 2, 3):
        bus.publish(trade(number))
    shut = False
    assert buffer.drain(10) == 3
    assert [event.ts_recv for event in taken] == [1, 3]
    assert buffer.accounts[Trade].dropped == 1


def test_the_queue_never_holds_more_than_the_bound_and_one_of_each_stream_however_long_a_stall(gate: Gate) -> None:
    bus = Bus(lambda _saturated: None)
    buffer = bus.attach("gate", gate.take, 100)
    gate.shut = True
    for number in range(20_000):
        bus.publish(quote(number, f"S{number % 30}"))
    assert len(buffer) <= 100
    gate.shut = False
    buffer.drain(1000)
    assert all(a.ts_recv < b.ts_recv for a, b in pairwise(gate.taken))
    assert {event.symbol: event.ts_recv for event in gate.taken} == {
        f"S{number % 30}": number for number in range(19_970, 20_000)
    }


def test_last_recv_is_kept_by_type_and_symbol(bus: Bus) -> None:
    bus.publish(trade(5))
    bus.publish(quote(7))
    assert bus.last_recv[Trade] == {"BTCUSDT": 5}
    assert bus.last_recv[Quote] == {"BTCUSDT": 7}


def test_a_buffer_too_small_for_its_policy_is_refused(gate: Gate) -> None:
    with pytest.raises(ValueError, match="at least 10"):
        Buffer("x", gate.take, 9, lambda: None, NATS)


def test_a_store_that_is_away_for_too_long_loses_events_by_count_and_stops_no_socket(gate: Gate) -> None:
    told: list[bool] = []
    bus = Bus(told.append)
    away = Gate()
    away.shut = True
    store = bus.attach("store", away.take, 20, STORAGE)
    bus.attach("nats", gate.take, 20)
    events: list[Event] = [trade(number) if number % 2 else quote(number) for number in range(100)]
    for event in events:
        bus.publish(event)
    assert store.saturated
    assert len(store) == 20
    assert gate.taken == events
    assert told == []
    away.shut = False
    while store.drain(100):
        pass
    assert not store.saturated
    bus.publish(trade(100))
    assert away.taken == [*events[:20], trade(100)]
    accounts = store.accounts
    assert [(accounts[kind].dropped, accounts[kind].difference) for kind in (Trade, Quote)] == [(40, 0), (40, 0)]
