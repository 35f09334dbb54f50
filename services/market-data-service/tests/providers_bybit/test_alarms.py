"""Alarms of one delay."""

from app.books.pace import NEVER
from app.providers.bybit.alarms import Alarms


def test_an_alarm_rings_once_its_delay_after_the_call_that_follows_its_setting() -> None:
    alarms = Alarms(10)
    assert alarms.due == NEVER
    alarms.set("A")
    assert "A" in alarms
    assert alarms.ring(100) == []
    assert alarms.due == 110
    assert alarms.ring(109) == []
    assert alarms.ring(110) == ["A"]
    assert alarms.ring(500) == []
    assert "A" not in alarms


def test_alarms_ring_in_the_order_of_their_times() -> None:
    alarms = Alarms(10)
    for now, symbol in enumerate("BAC"):
        alarms.set(symbol)
        alarms.ring(now)
    assert alarms.due == 10
    assert alarms.ring(12) == ["B", "A", "C"]


def test_setting_an_alarm_again_does_not_put_it_off() -> None:
    alarms = Alarms(10)
    alarms.set("A")
    alarms.ring(0)
    alarms.set("A")
    assert alarms.ring(5) == []
    assert alarms.ring(10) == ["A"]


def test_a_cleared_alarm_does_not_ring_whether_it_was_running_or_not() -> None:
    alarms = Alarms(10)
    alarms.set("A")
    alarms.ring(0)
    alarms.set("B")
    alarms.clear("A")
    alarms.clear("B")
    alarms.clear("C")
    assert "B" not in alarms
    assert alarms.ring(100) == []
    assert alarms.due == NEVER
