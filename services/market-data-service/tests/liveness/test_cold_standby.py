"""The cold standby, in virtual time: connected when it is needed, and for how long."""

from collections.abc import Callable
from typing import Any

import pytest

from app.liveness.failover import RefusedError

Make = Callable[..., Any]


def connect(room: Any, name: str) -> None:
    """What the service does while a cold standby is wanted."""
    room.feeds[name].connections.append(type(room.feeds["binance"].connections[0])(room.symbols))
    room.liveness.began(name)
    room.speaking.add(name)


def test_a_cold_standby_is_wanted_from_the_first_trouble_until_the_primary_is_well(world: Make) -> None:
    room = world(cold=True)
    room.speaking.discard("bybit")
    room.run(60)
    assert not room.liveness.wanted
    assert room.verdict("bybit") == (False, ("on cold standby: connects when it is needed",))
    assert room.heartbeats("bybit") == []
    room.speaking.discard("binance")
    room.run(10.2)
    assert room.liveness.wanted
    assert room.active == "binance"
    connect(room, "bybit")
    room.run(2.2)
    assert room.active == "bybit"
    room.speaking.add("binance")
    room.run(60)
    assert (room.active, room.liveness.wanted) == ("bybit", True)
    room.run(3)
    assert (room.active, room.liveness.wanted) == ("binance", False)
    room.liveness.ended("bybit")
    room.run(1)
    assert room.verdict("bybit")[0] is False


def test_an_order_calls_a_cold_standby_up(world: Make) -> None:
    room = world(cold=True)
    room.speaking.discard("bybit")
    room.run(5)
    with pytest.raises(RefusedError, match="begins to connect now"):
        room.liveness.order("bybit", room.wall_ns)
    room.run(59.9)
    assert room.liveness.wanted
    room.run(0.1)
    assert not room.liveness.wanted, "a minute later"


def test_a_standby_that_has_no_connection_yet_is_given_its_time(world: Make) -> None:
    room = world(cold=True)
    room.speaking.discard("bybit")
    room.run(300)
    room.liveness.began("bybit")
    room.run(10)
    assert room.verdict("bybit") == (False, ("no market data yet",))
    room.run(0.1)
    assert room.verdict("bybit") == (False, ("no market data for 10.1 s",))


def test_trouble_that_is_over_before_the_standby_could_help_keeps_it_for_a_whole_probation(world: Make) -> None:
    room = world(cold=True)
    room.speaking.discard("bybit")
    room.run(20)
    room.speaking.discard("binance")
    room.run(10.5)
    assert room.liveness.wanted
    room.speaking.add("binance")
    while not room.verdict("binance")[0]:
        room.run(0.1)
    room.run(59.9)
    assert (room.active, room.liveness.wanted) == ("binance", True)
    room.run(0.1)
    assert not room.liveness.wanted


def test_an_order_back_to_the_primary_lets_the_standby_go(world: Make) -> None:
    room = world(cold=True)
    room.speaking.discard("bybit")
    room.run(65)
    with pytest.raises(RefusedError, match="begins to connect now"):
        room.liveness.order("bybit", room.wall_ns)
    connect(room, "bybit")
    room.run(5)
    room.liveness.order("bybit", room.wall_ns)
    room.run(59.8)
    room.liveness.order("binance", room.wall_ns)
    room.run(0.1)
    assert (room.active, room.liveness.wanted) == ("binance", True), "called up for a minute"
    room.run(0.2)
    assert not room.liveness.wanted, "the order to the primary called nobody up"
