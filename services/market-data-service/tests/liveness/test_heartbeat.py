"""The heartbeat monitor: heartbeats, and three detectors that are not mistaken for each other."""

from collections.abc import Callable
from typing import Any

from app.liveness.detectors import Line
from app.liveness.heartbeat import HeartbeatMonitor
from app.liveness.silence import Limits
from md_contract.events import Event, Heartbeat, Status

S = 1_000_000_000
LIMITS = Limits(transport_s=5, data_s=10, quiet_data_s=10, symbol_s=10)
BOTH = ("A", "B")


def lines(*, live: bool = True, opens: int = 1, heard: bool = True, spoke: tuple[str, ...] = BOTH) -> list[Line]:
    return [Line(BOTH, live, opens, heard, frozenset(spoke if heard else ()))]


class Run:
    """A monitor looked at once a second."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.now = 0
        self.monitor = HeartbeatMonitor("p", BOTH, limits, 0, interval_s=5)
        self.said: list[tuple[int, Event]] = []

    def seconds(self, count: int, make: Callable[[], list[Line]]) -> "Run":
        for _ in range(count):
            self.now += 1
            self.said += [(self.now, event) for event in self.monitor.look(make(), self.now * S, self.now)]
        return self

    @property
    def changes(self) -> list[tuple[int, str, str, Any]]:
        return [
            (at, event.kind, event.symbol, event.detail["detector"])
            for at, event in self.said
            if isinstance(event, Status)
        ]

    @property
    def heartbeats(self) -> list[tuple[int, str, int, bool]]:
        return [
            (at, event.status, event.silent_for_ms, event.synthetic)
            for at, event in self.said
            if isinstance(event, Heartbeat)
        ]


def test_a_provider_that_speaks_says_live_at_the_interval_and_nothing_else() -> None:
    run = Run().seconds(16, lines)
    assert run.heartbeats == [
        (1, "live", 0, False),
        (6, "live", 0, False),
        (11, "live", 0, False),
        (16, "live", 0, False),
    ]
    assert run.changes == []


def test_a_silent_provider_gets_a_synthetic_heartbeat_each_interval_and_one_when_it_speaks_again() -> None:
    run = Run().seconds(1, lines).seconds(22, lambda: lines(heard=False)).seconds(1, lines)
    silent = [beat for beat in run.heartbeats if beat[1] == "silent"]
    assert silent == [(12, "silent", 11_000, True), (17, "silent", 16_000, True), (22, "silent", 21_000, True)]
    assert run.heartbeats[-1] == (24, "live", 0, False)


def test_the_first_frame_that_never_comes_is_silence_from_the_start() -> None:
    run = Run().seconds(12, lambda: lines(heard=False))
    assert run.heartbeats == [(11, "silent", 11_000, True)], "and no word of life before"


def test_a_feed_without_any_connection_is_silent_too() -> None:
    assert Run().seconds(12, list).heartbeats == [(11, "silent", 11_000, True)]


def test_a_mute_connection_is_found_by_the_data_detector_alone() -> None:
    run = Run().seconds(3, lines).seconds(20, lambda: lines(heard=False)).seconds(5, lines)
    assert run.changes == [(14, "stale", "__system__", "data"), (26, "recovered", "__system__", "data")]
    stale = next(event for _, event in run.said if isinstance(event, Status))
    assert stale.detail == {"detector": "data", "threshold_ms": 10_000, "silent_for_ms": 11_000}
    assert (stale.provider, stale.ts_recv, stale.ts_event) == ("p", 14, None)


def test_a_lost_connection_is_found_by_the_transport_detector_alone() -> None:
    away = lambda: lines(live=False, heard=False)  # noqa: E731 - a name for what is said twice
    run = Run().seconds(3, lines).seconds(30, away).seconds(4, lambda: lines(opens=2))
    assert run.changes == [(9, "stale", "__system__", "transport"), (35, "recovered", "__system__", "transport")]


def test_a_connection_that_never_comes_about_is_found_as_well() -> None:
    run = Run().seconds(30, lambda: lines(live=False, opens=0, heard=False))
    assert run.changes == [(7, "stale", "__system__", "transport")]


def test_connections_that_come_and_go_without_data_do_not_reset_the_patience_with_each() -> None:
    run = Run().seconds(3, lines)
    for opens in range(2, 8):
        run.seconds(3, lambda: lines(opens=opens, heard=False))  # noqa: B023 - called before the loop goes on
        run.seconds(1, lambda: lines(live=False, opens=opens, heard=False))  # noqa: B023 - called before the loop goes on
    assert run.changes == [(16, "stale", "__system__", "data")], "10 s after the first of them opened"


def test_a_connection_that_comes_late_is_given_its_time() -> None:
    run = Run().seconds(4, lambda: lines(live=False, opens=0, heard=False)).seconds(14, lambda: lines(heard=False))
    assert run.changes == [(16, "stale", "__system__", "data")], "it opened at 5"


def test_symbols_are_not_blamed_for_a_new_connection_that_is_mute() -> None:
    run = Run().seconds(3, lines).seconds(14, lambda: lines(opens=2, heard=False))
    assert run.changes == [(15, "stale", "__system__", "data")], "it opened at 4"


def test_a_connection_that_is_mute_is_given_up_once_per_limit() -> None:
    run = Run().seconds(3, lines)
    given_up = []
    for _ in range(40):
        run.seconds(1, lambda: lines(heard=False))
        if run.monitor.lines[0].mute:
            given_up.append(run.now)
    assert given_up == [14, 25, 36]


def test_while_the_market_is_closed_no_data_is_missed_and_afterwards_it_has_its_time() -> None:
    run = Run().seconds(3, lines)
    for _ in range(100):
        run.now += 1
        run.said += [
            (run.now, event) for event in run.monitor.look(lines(heard=False), run.now * S, run.now, expected=False)
        ]
    assert not run.monitor.lines[0].mute
    assert run.changes == []
    assert run.heartbeats[-1] == (101, "live", 98_000, False)
    run.seconds(12, lambda: lines(heard=False))
    assert run.changes == [(114, "stale", "__system__", "data")]


def test_one_mute_symbol_among_others_is_found_by_the_symbol_detector_alone() -> None:
    run = Run().seconds(3, lines).seconds(15, lambda: lines(spoke=("A",))).seconds(4, lines)
    assert run.changes == [(14, "stale", "B", "symbol"), (21, "recovered", "B", "symbol")]


def test_what_is_still_silent_can_be_told_again() -> None:
    run = Run().seconds(3, lines).seconds(15, lambda: lines(spoke=("A",)))
    assert run.monitor.stale_symbols() == ["B"]
    assert [(status.kind, status.symbol, status.ts_recv) for status in run.monitor.stale(99)] == [("stale", "B", 99)]


def test_a_symbol_that_is_no_longer_carried_is_not_missed() -> None:
    run = Run().seconds(3, lines).seconds(15, lambda: lines(spoke=("A",)))
    run.seconds(1, lambda: [Line(("A",), True, 1, True, frozenset("A"))])
    assert run.monitor.stale_symbols() == []


def test_symbols_are_not_blamed_for_what_the_connection_explains() -> None:
    run = Run().seconds(3, lines).seconds(30, lambda: lines(heard=False))
    run.seconds(2, lambda: lines(spoke=())).seconds(5, lines)
    assert {detector for *_, detector in run.changes} == {"data"}


def test_a_venue_without_a_promised_cadence_is_not_judged_by_symbol() -> None:
    run = Run(Limits(data_s=10, quiet_data_s=10)).seconds(60, lambda: lines(spoke=()))
    assert run.changes == []


def test_of_several_connections_one_that_is_mute_concerns_its_own_symbols_only() -> None:
    def two(second_heard: bool) -> list[Line]:
        return [
            Line(("A",), True, 1, True, frozenset("A")),
            Line(("B",), True, 1, second_heard, frozenset("B" if second_heard else ())),
        ]

    run = Run().seconds(3, lambda: two(True)).seconds(12, lambda: two(False))
    assert run.changes == [(14, "stale", "B", "data")]
    assert [beat[1] for beat in run.heartbeats] == ["live"] * 3
    assert run.monitor.silence() == "no market data on 1 of 2 connections"
    run = Run().seconds(3, lambda: two(True)).seconds(10, lambda: two(False))
    assert run.monitor.silence() is None, "at the limit it is not yet missed"
    run = Run().seconds(3, lines).seconds(10, lambda: lines(heard=False))
    assert run.monitor.silence() is None, "nor is it on a single one"
