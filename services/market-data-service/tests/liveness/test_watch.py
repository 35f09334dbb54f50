"""The watch as a whole, in virtual time: two venues that speak, fall silent, lag and come back."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.liveness.failover import RefusedError, State
from md_contract.events import Quote, Status, Trade

Make = Callable[..., Any]


def test_while_both_speak_nothing_happens_but_heartbeats(world: Make) -> None:
    room = world()
    room.run(120)
    assert room.active == "binance"
    assert room.statuses("stale", "recovered", "source_switch") == []
    for name in ("binance", "bybit"):
        assert room.verdict(name) == (True, ())
        assert {beat.status for beat in room.heartbeats(name)} == {"live"}
        assert len(room.heartbeats(name)) == 24
    assert [remark.event for remark in room.remarks] == ["provider healthy"], "the backup, once it has shown that it is"


def test_a_mute_primary_is_left_just_beyond_the_limit_and_taken_back_after_the_probation(world: Make) -> None:
    room = world()
    room.run(60)
    room.speaking.remove("binance")
    room.run(9.9)
    assert room.active == "binance"
    room.run(0.3)
    assert room.active == "bybit"
    room.run(40)
    room.speaking.add("binance")
    room.run(60)
    assert (room.active, room.liveness.failover.state) == ("bybit", State.PROBING)
    room.run(3)
    assert room.active == "binance"
    switches = room.statuses("source_switch")
    assert [(one.symbol, one.detail["from"], one.detail["to"], one.detail["reason"]) for one in switches] == [
        ("BTCUSDT", "binance", "bybit", "primary failed: no market data for 10.1 s"),
        ("ETHUSDT", "binance", "bybit", "primary failed: no market data for 10.1 s"),
        ("BTCUSDT", "bybit", "binance", "probation passed"),
        ("ETHUSDT", "bybit", "binance", "probation passed"),
    ]
    assert [(one.kind, one.symbol, one.provider) for one in room.statuses("stale", "recovered")] == [
        ("stale", "__system__", "binance"),
        ("recovered", "__system__", "binance"),
    ]
    silent = [beat for beat in room.heartbeats("binance") if beat.synthetic]
    assert len(silent) == 9
    assert all(beat.status == "silent" for beat in silent)


def test_every_trade_of_the_active_provider_is_on_the_bus_once_and_no_other(world: Make) -> None:
    room = world()
    expected: list[tuple[str, str]] = []
    for seconds, mute in ((20, None), (30, "binance"), (80, None), (10, None)):
        room.speaking = {"binance", "bybit"} - {mute}
        for _ in range(seconds * 10):
            active, sent = room.active, len(room.sent)
            room.run(0.1)
            expected += [one for one in room.sent[sent:] if one[0] == active]
    assert len(room.statuses("source_switch")) == 4
    assert [(one.provider, one.trade_id) for one in room.published if isinstance(one, Trade)] == expected


def test_late_data_is_a_reason_to_leave_and_its_end_one_to_come_back(world: Make) -> None:
    room = world()
    room.run(20)
    room.late_ns["binance"] = 6_000_000_000
    room.run(6)
    assert room.active == "bybit"
    assert room.statuses("source_switch")[0].detail["reason"] == "primary failed: its data comes 6.0 s late"
    room.late_ns["binance"] = 20_000_000
    room.run(70)
    assert room.active == "binance"


def test_a_lost_connection_is_left_before_the_silence_would_tell(world: Make) -> None:
    room = world()
    room.run(20)
    room.speaking.remove("binance")
    room.feeds["binance"].connections[0].state = "waiting"
    room.run(4.9)
    assert room.active == "binance"
    room.run(0.4)
    assert room.active == "bybit"
    assert room.statuses("stale")[0].detail["detector"] == "transport"


def test_who_wants_to_wait_for_less_of_a_silence_waits_for_less_of_an_outage_too(world: Make) -> None:
    room = world(failover_silence_s=2.0)
    room.run(20)
    room.speaking.remove("binance")
    room.feeds["binance"].connections[0].state = "waiting"
    room.run(1.9)
    assert room.active == "binance"
    room.run(0.3)
    assert room.statuses("source_switch")[0].detail["reason"].startswith("primary failed: not connected for 2.1 s")


def test_a_connection_that_is_put_off_for_long_is_no_healthy_one_and_the_reason_is_said(world: Make) -> None:
    room = world("alpaca")
    room.run(5)
    room.speaking.clear()
    (line,) = room.feeds["alpaca"].connections
    line.state, line.last_end = "waiting", "error 402: auth failed"
    line.next_attempt_ns = room.wall_ns + 60_000_000_000
    room.run(1)
    assert room.verdict("alpaca") == (True, ()), "not longer than it may be away"
    line.next_attempt_ns = room.wall_ns + 600_000_000_000
    room.run(1)
    reason = "not connected: error 402: auth failed; next attempt in 599.0 s"
    assert room.verdict("alpaca") == (False, (reason,))
    line.state = "live"
    room.speaking.add("alpaca")
    room.run(130)
    assert room.verdict("alpaca") == (True, ()), "one that is live waits for nothing but its successor"


def test_of_several_connections_those_without_data_are_counted(world: Make, fake_line: Any) -> None:
    symbols = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
    room = world("binance", symbols=symbols)
    room.feeds["binance"].connections[:] = [fake_line((symbol,)) for symbol in symbols]
    room.speaking.clear()
    for _ in range(150):
        room.run(0.1)
        room.speak("binance", "ETHUSDT", "SOLUSDT")
    assert room.liveness.silence("binance") == "no market data on 1 of 3 connections"


def test_garbage_and_endless_reconnects_are_reasons_too(world: Make) -> None:
    room = world()
    room.run(20)
    room.feeds["binance"].quarantined["not_json"] = 500
    room.run(0.2)
    assert "could not be used" in room.statuses("source_switch")[0].detail["reason"]
    room = world()
    room.run(20)
    room.feeds["binance"].reconnects = 6
    room.run(0.2)
    assert "6 reconnects within 60 s" in room.statuses("source_switch")[0].detail["reason"]


def test_when_both_are_silent_it_stays_and_says_so_once(world: Make) -> None:
    room = world()
    room.run(20)
    room.speaking.clear()
    room.run(60)
    assert room.active == "binance"
    assert room.liveness.undecidable == "neither binance nor bybit is healthy: staying on binance"
    assert [remark.event for remark in room.remarks if remark.level == "error"] == ["no healthy provider"]
    room.speaking.add("bybit")
    room.run(3)
    assert room.active == "bybit"
    assert room.liveness.undecidable is None


def test_a_primary_that_never_speaks_is_left_and_a_backup_that_never_spoke_is_not_taken(world: Make) -> None:
    room = world()
    room.speaking = {"bybit"}
    room.run(10.2)
    assert room.active == "bybit"
    room = world()
    room.speaking = set()
    room.run(60.1)
    assert room.active == "binance"
    assert room.verdict("bybit")[1] == ("no market data for 60.0 s",)


def test_our_own_backpressure_is_no_silence_and_what_it_held_up_is_not_late(world: Make) -> None:
    room = world()
    room.run(20)
    room.speaking.clear()
    for feed in room.feeds.values():
        feed.paused = True
    room.run(120)
    for feed in room.feeds.values():
        feed.paused = False
    room.speaking = {"binance", "bybit"}
    room.late_ns = dict.fromkeys(room.late_ns, 120_000_000_000)
    room.run(3)
    room.late_ns = dict.fromkeys(room.late_ns, 20_000_000)
    room.run(60)
    assert room.statuses("stale", "source_switch") == []
    assert not any(beat.synthetic for name in room.feeds for beat in room.heartbeats(name))
    assert room.verdict("binance") == (True, ())


def test_one_socket_that_is_not_read_is_enough_to_count_no_silence(world: Make) -> None:
    room = world()
    room.run(20)
    room.speaking.discard("binance")
    room.feeds["binance"].paused = True
    room.run(60)
    assert room.active == "binance"
    assert room.statuses("stale", "source_switch") == []


def test_a_process_that_was_held_up_does_not_blame_the_venues(world: Make) -> None:
    room = world()
    room.run(20)
    room.stall(300)
    room.late_ns["binance"] = 300_000_000_000  # what waited meanwhile
    room.run(3)
    room.late_ns["binance"] = 20_000_000
    room.run(27)
    assert room.statuses("stale", "source_switch") == []
    assert room.verdict("binance") == (True, ())


def test_a_symbol_without_its_promised_sign_of_life_is_stale_and_told_again_after_a_switch(world: Make) -> None:
    room = world()
    signs = {"BTCUSDT": 1, "ETHUSDT": 1}
    room.feeds["bybit"].connections[0].heard = signs.__getitem__
    for second in range(15):
        signs["BTCUSDT"] = second
        room.run(1)
    assert room.statuses("stale") == [], "a standby's symbols are nobody's business"
    assert room.liveness.watches["bybit"].monitor.stale_symbols() == ["ETHUSDT"]
    room.liveness.order("bybit", room.wall_ns)
    assert [(one.symbol, one.provider, one.detail["detector"]) for one in room.statuses("stale")] == [
        ("ETHUSDT", "bybit", "symbol")
    ]
    for second in range(100, 106):
        signs.update(BTCUSDT=second, ETHUSDT=second)
        room.run(1)
    assert [one.symbol for one in room.statuses("recovered")] == ["ETHUSDT"]


def test_a_sign_that_publishes_nothing_keeps_a_quiet_venue_alive(world: Make) -> None:
    room = world("bybit")
    room.speaking.clear()
    signs = {"BTCUSDT": 1, "ETHUSDT": 1}
    room.feeds["bybit"].connections[0].heard = signs.__getitem__
    for second in range(0, 60, 3):
        signs.update(BTCUSDT=second, ETHUSDT=second)
        room.run(3)
    assert room.verdict("bybit") == (True, ())
    assert room.statuses("stale") == []


def test_what_the_new_source_does_not_carry_is_stale_after_the_switch(world: Make) -> None:
    room = world()
    room.feeds["bybit"].excluded["ETHUSDT"] = "not listed by Bybit (spot)"
    room.run(5)
    room.liveness.order("bybit", room.wall_ns)
    stale = room.statuses("stale")
    assert [(one.symbol, one.detail) for one in stale] == [
        ("ETHUSDT", {"detector": "listing", "reason": "not listed by Bybit (spot)"})
    ]
    assert len(room.statuses("source_switch")) == 2


def test_a_mute_connection_is_hung_up_so_that_another_is_made(world: Make) -> None:
    room = world("binance")
    room.run(5)
    room.speaking.clear()
    room.run(21)
    assert room.hung_up == ["no market data for 10 s"] * 2


def test_a_closed_market_is_no_outage(world: Make) -> None:
    room = world("alpaca", markets={"alpaca": "us_equity"}, symbols=("AAPL", "SPY"))  # it is the night of 2027-01-15
    room.speaking.clear()
    room.run(300)
    assert room.statuses("stale") == []
    assert room.hung_up == []
    assert room.verdict("alpaca") == (True, ())


def test_alone_a_provider_is_watched_but_never_left(world: Make) -> None:
    room = world("binance")
    room.run(5)
    room.speaking.clear()
    room.run(30)
    assert room.verdict("binance")[0] is False
    assert room.liveness.silence("binance") == "no market data for 30 s"
    assert room.liveness.undecidable is None
    assert room.statuses("source_switch") == []
    with pytest.raises(RefusedError, match="there is no backup"):
        room.liveness.order("binance", 0)


def test_a_rehearsal_ends_by_itself(world: Make) -> None:
    room = world()
    room.run(10)
    with pytest.raises(RefusedError, match="unknown provider 'mars': expected binance or bybit"):
        room.liveness.order("mars", 0)
    room.liveness.order("bybit", room.wall_ns)
    assert room.active == "bybit"
    with pytest.raises(RefusedError, match="already"):
        room.liveness.order("bybit", room.wall_ns)
    with pytest.raises(RefusedError, match="too recent"):
        room.liveness.order("binance", room.wall_ns)
    room.run(61)
    assert room.active == "binance"


PHASES = st.lists(
    st.tuples(
        st.floats(0.1, 25),
        st.sets(st.sampled_from(["binance", "bybit"])),
        st.sampled_from([None, None, "binance", "bybit"]),
    ),
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(PHASES)
def test_whatever_the_venues_do_switches_are_rare_announced_and_towards_one_that_speaks(
    world: Make, phases: Any
) -> None:
    room = world(failover_min_dwell_s=8, failover_probation_s=10, failover_silence_s=3)
    silent_for = dict.fromkeys(room.feeds, 0.0)
    last, unjust = -100.0, 0.0
    now = 0.0
    for seconds, speaking, late in phases:
        room.speaking = speaking
        room.late_ns = {name: 7_000_000_000 if name == late else 20_000_000 for name in room.feeds}
        for _ in range(int(seconds * 10)):
            now += 0.1
            active = room.active
            room.run(0.1)
            for name in silent_for:
                silent_for[name] = 0.0 if name in speaking else silent_for[name] + 0.1
            if room.active != active:
                assert now - last >= 8 - 0.05
                last = now
                assert silent_for[room.active] <= 3.2
            other = "bybit" if room.active == "binance" else "binance"
            unfair = not room.verdict(room.active)[0] and room.verdict(other)[0]
            unjust = unjust + 0.1 if unfair else 0.0
            assert unjust <= 3 + 8 + 0.3
    source: dict[str, str] = dict.fromkeys(room.symbols, "binance")
    for event in room.published:
        if isinstance(event, Status) and event.kind == "source_switch":
            assert event.detail["from"] == source[event.symbol]
            source[event.symbol] = event.detail["to"]
        elif isinstance(event, (Trade, Quote)):
            assert event.provider == source[event.symbol]
    assert all(
        a.ts_recv <= b.ts_recv
        for a, b in itertools.pairwise(event for event in room.published if isinstance(event, Trade))
    )
