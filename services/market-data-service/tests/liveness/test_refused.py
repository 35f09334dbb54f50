"""Symbols that a venue refuses to give, in virtual time: told once, shown, and over when their data comes."""

from collections.abc import Callable
from typing import Any

Make = Callable[..., Any]
WHY = "trades, quotes: error 405: symbol limit exceeded"


def changes(room: Any) -> list[tuple[str, str, Any]]:
    return [(one.kind, one.symbol, one.detail) for one in room.statuses("stale", "recovered")]


def quiet_room(world: Make) -> tuple[Any, Any]:
    """A provider that has data for BTCUSDT alone, since it refuses ETHUSDT."""
    room = world("binance")
    room.speaking.clear()
    (line,) = room.feeds["binance"].connections
    line.refused["ETHUSDT"] = WHY
    return room, line


def speak(room: Any, seconds: int, *symbols: str) -> None:
    for _ in range(seconds):
        room.speak("binance", *symbols)
        room.run(1)


def test_a_refused_symbol_is_told_once_with_the_reason_and_shown(world: Make) -> None:
    room, _ = quiet_room(world)
    speak(room, 30, "BTCUSDT")
    assert changes(room) == [("stale", "ETHUSDT", {"detector": "subscription", "reason": WHY})]
    assert room.liveness.watches["binance"].monitor.stale_symbols() == ["ETHUSDT"]
    assert room.liveness.refused("binance") == {"ETHUSDT": WHY}


def test_it_has_recovered_when_it_is_no_longer_refused_and_data_for_it_comes(world: Make) -> None:
    room, line = quiet_room(world)
    speak(room, 3, "BTCUSDT")
    line.refused = {}
    line.opens = 2
    speak(room, 3, "BTCUSDT")
    assert [kind for kind, *_ in changes(room)] == ["stale"], "being allowed is no data yet"
    speak(room, 3, "BTCUSDT", "ETHUSDT")
    assert changes(room)[1:] == [("recovered", "ETHUSDT", {"detector": "subscription", "reason": WHY})]
    assert room.liveness.watches["binance"].monitor.stale_symbols() == []
    line.refused = {"ETHUSDT": WHY}
    speak(room, 3, "BTCUSDT")
    assert [kind for kind, *_ in changes(room)] == ["stale", "recovered", "stale"]


def test_one_that_is_given_in_part_does_not_recover_with_each_reconnect(world: Make) -> None:
    room, line = quiet_room(world)
    speak(room, 3, "BTCUSDT", "ETHUSDT")
    for line.opens in (2, 3):
        for line.state, line.refused in (
            ("waiting", {"ETHUSDT": WHY}),
            ("connecting", {}),
            ("subscribing", {}),
            ("subscribing", {"ETHUSDT": "trades: error 405: symbol limit exceeded"}),
            ("live", {"ETHUSDT": WHY}),
        ):
            speak(room, 1, "BTCUSDT", "ETHUSDT")
    assert [kind for kind, *_ in changes(room)] == ["stale"]


def test_it_is_told_when_everything_has_been_answered_so_that_the_reason_is_complete(world: Make) -> None:
    room, line = quiet_room(world)
    line.state, line.refused = "subscribing", {"ETHUSDT": "trades: error 405: symbol limit exceeded"}
    room.run(1)
    assert changes(room) == []
    line.state, line.refused = "live", {"ETHUSDT": WHY}
    room.run(1)
    assert [detail["reason"] for *_, detail in changes(room)] == [WHY]


def test_where_every_symbol_was_refused_the_reason_is_told_although_the_connection_has_ended(world: Make) -> None:
    room, line = quiet_room(world)
    line.state, line.refused = "waiting", {"BTCUSDT": WHY, "ETHUSDT": WHY}
    room.run(1)
    assert [(kind, symbol) for kind, symbol, _ in changes(room)] == [("stale", "BTCUSDT"), ("stale", "ETHUSDT")]


def test_a_symbol_that_is_no_longer_asked_for_is_not_refused_any_more(world: Make) -> None:
    room, line = quiet_room(world)
    room.run(1)
    line.symbols, line.refused = ("BTCUSDT",), {}
    room.run(1)
    assert room.liveness.refused("binance") == {}


def test_what_a_standby_refuses_is_told_after_the_switch(world: Make) -> None:
    room = world()
    room.speaking.discard("bybit")
    room.feeds["bybit"].connections[0].refused = {"ETHUSDT": WHY}
    for _ in range(5):
        room.speak("bybit", "BTCUSDT")
        room.run(1)
    assert room.statuses("stale") == []
    room.liveness.order("bybit", room.wall_ns)
    assert [(one.provider, one.symbol, one.detail["reason"]) for one in room.statuses("stale")] == [
        ("bybit", "ETHUSDT", WHY)
    ]
