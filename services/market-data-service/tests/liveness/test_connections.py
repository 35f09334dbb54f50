"""A provider with several connections: the worst of them counts, and a mute one is made anew."""

from collections.abc import Callable
from typing import Any

import pytest

Make = Callable[..., Any]
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


@pytest.fixture
def room(world: Make, fake_line: Any) -> Any:
    """A primary with a connection for each symbol, and a backup with one for all."""
    made = world(symbols=SYMBOLS)
    made.feeds["binance"].connections[:] = [fake_line((symbol,)) for symbol in SYMBOLS]
    made.run(20)
    return made


def run_without(room: Any, mute: str, seconds: float) -> None:
    """The primary speaks on all connections but one."""
    room.speaking.discard("binance")
    for _ in range(round(seconds * 10)):
        room.speak("binance", *(symbol for symbol in SYMBOLS if symbol != mute))
        room.run(0.1)


@pytest.mark.parametrize("mute", SYMBOLS)
def test_the_primary_is_left_for_one_connection_that_is_mute(room: Any, mute: str) -> None:
    run_without(room, mute, 10)
    assert room.active == "binance"
    run_without(room, mute, 0.2)
    assert room.active == "bybit"
    assert room.statuses("source_switch")[0].detail["reason"] == "primary failed: no market data for 10.1 s"


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_the_primary_is_left_for_one_connection_that_is_missing(room: Any, missing: int) -> None:
    room.feeds["binance"].connections[missing].state = "waiting"
    run_without(room, SYMBOLS[missing], 5)
    assert room.active == "binance"
    run_without(room, SYMBOLS[missing], 0.2)
    assert room.active == "bybit"
    assert room.statuses("source_switch")[0].detail["reason"] == "primary failed: not connected for 5.1 s"


def test_a_connection_without_a_busy_symbol_may_be_mute_for_longer(world: Make, fake_line: Any) -> None:
    symbols = ("BTCUSDT", "XYZBTC")
    room = world(symbols=symbols)
    room.feeds["binance"].connections[:] = [fake_line((symbol,)) for symbol in symbols]
    room.run(20)
    room.speaking.discard("binance")
    for _ in range(600):
        room.speak("binance", "BTCUSDT")
        room.run(0.1)
    assert room.active == "binance", "six times what the other one may"
    for _ in range(2):
        room.speak("binance", "BTCUSDT")
        room.run(0.1)
    assert room.active == "bybit"
    assert room.statuses("source_switch")[0].detail["reason"] == "primary failed: no market data for 60.1 s"


def test_a_long_silence_that_may_be_does_not_hide_a_shorter_one_that_may_not(world: Make, fake_line: Any) -> None:
    symbols = ("BTCUSDT", "XYZBTC")
    room = world(symbols=symbols)
    room.feeds["binance"].connections[:] = [fake_line((symbol,)) for symbol in symbols]
    room.run(20)
    room.speaking.discard("binance")
    for _ in range(100):
        room.speak("binance", "BTCUSDT")
        room.run(0.1)
    room.run(10.1)
    assert room.active == "bybit"
    assert room.statuses("source_switch")[0].detail["reason"] == "primary failed: no market data for 10.1 s"


@pytest.mark.parametrize(
    ("provider", "symbol", "limit_s"),
    [
        ("binance", "BTCUSDT", 10),
        ("binance", "XYZBTC", 60),
        ("bybit", "BTCUSDT", 10),
        ("bybit", "XYZBTC", 10),
        ("bybit_linear", "XYZBTC", 10),
        ("alpaca", "AAPL", 60),
        ("alpaca", "XYZ", 600),
    ],
)
def test_a_mute_connection_of_each_venue_is_hung_up_just_beyond_its_limit(
    world: Make, provider: str, symbol: str, limit_s: int
) -> None:
    room = world(provider, symbols=(symbol,))
    room.run(5)
    room.speaking.clear()
    room.run(limit_s)
    assert room.hung_up == []
    room.run(0.1)
    assert room.hung_up == [f"no market data for {limit_s} s"]
