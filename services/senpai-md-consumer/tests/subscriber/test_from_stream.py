"""The pure parts of reading the stream: plans, times, acknowledgements, numbers that come late."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from md_contract.events import Trade
from md_contract.signals import Signal, Trust
from md_contract.units import NS_PER_S
from senpai.md_consumer.subscriber import Sequences
from senpai.md_consumer.subscriber.jetstream.acks import DELAY_S, MARK_EVERY, Acks
from senpai.md_consumer.subscriber.jetstream.gate import Gate
from senpai.md_consumer.subscriber.jetstream.paced import MOST_TICKS, PacedHeart
from senpai.md_consumer.subscriber.jetstream.plan import (
    Standing,
    plan_resume,
    plan_rewound,
    plan_start,
    spans,
)
from senpai.md_consumer.subscriber.jetstream.stream_clock import MEMORY_NS, StreamClock

S = NS_PER_S
NOW = 1_760_000_000 * S
SPANS = spans(60.0)


def trade(seq: int = 1) -> Trade:
    return Trade("binance", "BTCUSDT", NOW, "1", "1", str(seq), seq=seq, epoch=1)


def test_a_start_reads_the_windows_before_the_first_message_that_was_not_worked_off() -> None:
    plan = plan_start(Standing(position=100, delivered=130, last_seq=500, news_ns=NOW - 5 * S, now_ns=NOW), SPANS)
    assert (plan.position, plan.until, plan.start_ns) == (100, 130, NOW - 80 * S)
    assert plan.live_ns == 0
    assert plan.seeded
    assert not plan.move


def test_a_start_with_nothing_to_work_off_reads_the_windows_up_to_now() -> None:
    plan = plan_start(Standing(position=100, delivered=100, last_seq=100, news_ns=None, now_ns=NOW), SPANS)
    assert (plan.until, plan.start_ns, plan.move) == (100, NOW - 75 * S, False)


def test_what_has_waited_for_hours_is_passed_over_up_to_one_window_ago() -> None:
    plan = plan_start(Standing(position=100, delivered=130, last_seq=9_000, news_ns=NOW - 7_200 * S, now_ns=NOW), SPANS)
    assert (plan.until, plan.live_ns, plan.start_ns) == (9_000, NOW - 60 * S, NOW - 135 * S)
    assert plan.move


def test_a_run_that_goes_on_reads_what_was_given_out_and_did_not_come() -> None:
    standing = Standing(position=100, delivered=130, last_seq=500, news_ns=NOW - 5 * S, now_ns=NOW)
    plan = plan_resume(standing, SPANS)
    assert (plan.start_seq, plan.until, plan.seeded, plan.reads) == (101, 130, False, True)
    assert not plan_resume(Standing(100, 100, 500, NOW, NOW), SPANS).reads
    assert plan_resume(Standing(100, 130, 500, NOW - 61 * S, NOW), SPANS).move


def test_a_stream_that_began_anew_is_read_from_the_time_of_the_last_message() -> None:
    plan = plan_rewound(NOW, Standing(0, 3, 8, None, NOW + S))
    assert (plan.position, plan.start_ns, plan.until, plan.move) == (0, NOW + 1, 8, True)


def test_short_windows_still_leave_room_for_the_ten_second_ones() -> None:
    assert spans(1.0).warm_ns == 25 * S
    assert spans(60.0).warm_ns == 75 * S


def test_a_message_that_had_to_wait_for_us_is_dated_back() -> None:
    clock = StreamClock()
    clock.observe(NOW, 1_000 * S)
    assert clock.mono_of(NOW + S, 1_001 * S) == 1_001 * S
    assert clock.mono_of(NOW + 2 * S, 1_007 * S) == 1_002 * S


@given(st.lists(st.tuples(st.integers(0, 5 * S), st.integers(0, 5 * S), st.booleans()), max_size=60))
def test_dated_times_never_go_back_and_are_never_in_the_future(steps: list[tuple[int, int, bool]]) -> None:
    clock, stored, now, last = StreamClock(), NOW, 1_000 * S, 0
    for stored_step, now_step, newest in steps:
        stored, now = stored + stored_step, now + now_step
        if newest:
            clock.observe(stored, now)
        at = clock.mono_of(stored, now)
        assert last <= at <= now
        last = at


def test_a_clock_of_the_server_that_was_set_back_is_believed_after_a_while() -> None:
    clock = StreamClock()
    for second in range(3 * MEMORY_NS // S):
        back = 100 * S if second > 5 else 0
        clock.observe(NOW + second * S - back, (1_000 + second) * S)
    end = 3 * MEMORY_NS // S
    assert clock.mono_of(NOW + (end - 100) * S, (1_000 + end) * S) == (1_000 + end) * S


class Rig:
    """Acknowledgements with a timer that is turned by hand."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.writable = True
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.acks = Acks(self._send, call_later=lambda delay_s, call: self.timers.append((delay_s, call)))

    def _send(self, subject: str) -> bool:
        if self.writable:
            self.sent.append(subject)
        return self.writable

    def ring(self) -> None:
        timers, self.timers[:] = list(self.timers), []
        for _, call in timers:
            call()


def test_nothing_is_acknowledged_before_it_was_worked_off() -> None:
    rig = Rig()
    for position in range(1, 4):
        rig.acks.note(position, f"ack {position}")
    rig.acks.worked_off(2, at_once=True)
    assert rig.sent == []
    rig.acks.worked_off(3, at_once=False)
    assert rig.sent == []
    assert [delay_s for delay_s, _ in rig.timers] == [DELAY_S]
    rig.ring()
    assert rig.sent == ["ack 3"]


def test_after_a_signal_the_acknowledgement_goes_out_with_it() -> None:
    rig = Rig()
    rig.acks.note(1, "ack 1")
    rig.acks.worked_off(1, at_once=True)
    assert rig.sent == ["ack 1"]


def test_under_load_the_front_of_the_queue_is_acknowledged() -> None:
    rig = Rig()
    for position in range(1, 3 * MARK_EVERY + 1):
        rig.acks.note(position, f"ack {position}")
    rig.acks.worked_off(2 * MARK_EVERY + 5, at_once=True)
    assert rig.sent == [f"ack {2 * MARK_EVERY}"]


def test_an_acknowledgement_that_cannot_be_sent_is_tried_again_with_the_newest() -> None:
    rig = Rig()
    rig.writable = False
    rig.acks.note(1, "ack 1")
    rig.acks.worked_off(1, at_once=False)
    rig.ring()
    rig.acks.note(2, "ack 2")
    rig.acks.worked_off(2, at_once=False)
    rig.writable = True
    rig.ring()
    assert rig.sent == ["ack 2"]
    assert not rig.timers


def test_a_consumer_that_is_gone_is_acknowledged_nothing() -> None:
    rig = Rig()
    rig.acks.note(1, "ack 1")
    rig.acks.worked_off(1, at_once=False)
    rig.acks.forget()
    rig.ring()
    assert rig.sent == []


class Heart:
    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_event(self, event: Any, mono_ns: int) -> tuple[()]:
        self.seen.append(("event", mono_ns / S))
        return ()

    def on_bus_gap(self, event_type: str, symbol: str, missing: int, mono_ns: int) -> None:
        self.seen.append(("gap", mono_ns / S))

    def on_time(self, mono_ns: int) -> None:
        self.seen.append(("time", mono_ns / S))


def test_seconds_pass_between_the_messages_they_lie_between() -> None:
    heart = Heart()
    paced = PacedHeart(heart, heart.on_time)
    paced.on_event(trade(), 1_000 * S)
    paced.ticking = True
    for tenths in (10_010, 10_015, 10_035):
        paced.on_event(trade(), tenths * S // 10)
    paced.on_bus_gap("trade", "BTCUSDT", 1, 0)
    assert heart.seen == [
        ("event", 1000.0),
        ("time", 1001.0),
        ("event", 1001.0),
        ("event", 1001.5),
        ("time", 1002.0),
        ("time", 1003.0),
        ("event", 1003.5),
        ("gap", 1003.5),
    ]


def test_a_long_silence_of_everything_is_passed_in_one_step() -> None:
    heart = Heart()
    paced = PacedHeart(heart, heart.on_time)
    paced.ticking = True
    paced.on_event(trade(), 1_000 * S)
    paced.on_event(trade(), (1_002 + MOST_TICKS) * S)
    assert [what for what, _ in heart.seen] == ["time", "event", "time", "event"]


class Outlet:
    def __init__(self) -> None:
        self.signals: list[str] = []
        self.touched: list[str] = []

    def emit(self, signals: Any) -> None:
        self.signals += [signal.id for signal in signals]

    def touch(self, symbols: Any, now_ns: int) -> None:
        self.touched += symbols


def finding(name: str) -> Signal:
    trust = Trust(True, False, False, 0.0, 1, "binance")
    return Signal(name, "new", "BTCUSDT", "binance", "long", "momentum", NOW, NOW + 10 * S, [], {}, trust)


def test_a_shut_gate_lets_nothing_out_and_counts_signals() -> None:
    outlet = Outlet()
    batches: list[bool] = []
    gate = Gate(outlet, age_ns=lambda: 0, on_worked_off=batches.append)
    gate.emit([finding("old")])
    gate.touch(["BTCUSDT"], 0)
    assert (outlet.signals, outlet.touched, gate.muted) == ([], [], 1)
    gate.open = True
    gate.emit([finding("new")])
    gate.touch(["BTCUSDT"], 0)
    gate.touch([], 0)
    assert (outlet.signals, outlet.touched) == (["new"], ["BTCUSDT"])
    assert batches == [False, True, False]


@pytest.mark.parametrize(("age_s", "sent"), [(9, True), (11, False)])
def test_a_signal_found_after_its_time_is_not_sent(age_s: int, sent: bool) -> None:
    outlet = Outlet()
    gate = Gate(outlet, age_ns=lambda: age_s * S, on_worked_off=lambda _: None)
    gate.open = True
    gate.emit([finding("late")])
    assert bool(outlet.signals) is sent
    assert gate.outdated == (not sent)


def admitted(sequences: Sequences, numbers: list[int]) -> list[int]:
    stream = sequences.open("trade", "BTCUSDT")
    assert stream is not None
    return [seq for seq in numbers if sequences.admit(stream, 1, seq)]


def test_in_a_stream_that_loses_nothing_a_late_number_is_taken_once_and_a_hole_is_no_loss() -> None:
    sequences = Sequences(10, lossless=True)
    assert admitted(sequences, [1, 2, 6, 7, 4, 4, 3, 7, 8, 5, 5]) == [1, 2, 6, 7, 4, 3, 8, 5]
    assert (sequences.missing["trade"], sequences.late["trade"], sequences.duplicates["trade"]) == (0, 3, 3)


def test_after_a_skip_the_next_hole_of_each_stream_is_a_loss() -> None:
    sequences = Sequences(10, lossless=True)
    stream = sequences.open("trade", "BTCUSDT")
    assert stream is not None
    assert sequences.admit(stream, 1, 1)
    sequences.skips += 1
    assert sequences.admit(stream, 1, 5)
    assert (sequences.missing["trade"], stream.missing) == (3, 3)
    assert not sequences.admit(stream, 1, 3)


@given(st.permutations(list(range(1, 15))))
def test_whatever_the_order_each_number_after_the_first_is_taken_once(order: list[int]) -> None:
    sequences = Sequences(10, lossless=True)
    later = [seq for seq in order if seq > order[0]]
    assert admitted(sequences, [order[0], *later, *later]) == [order[0], *later]
