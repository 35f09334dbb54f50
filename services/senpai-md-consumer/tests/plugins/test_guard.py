"""What a plug-in breaks or delays stays its own, and too much of it switches the plug-in off."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from md_contract.units import NS_PER_MS, NS_PER_S, NS_PER_US
from senpai.md_consumer.plugins.features import as_number
from senpai.md_consumer.plugins.guard import FAILED, Guard, Interrupted, Limits, Stopwatch


class Time:
    """A clock that goes on by what calls take."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now

    def takes(self, ns: int) -> Callable[[], int]:
        def call() -> int:
            self.now += ns
            return 1

        return call


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def guard(time: Time) -> Guard:
    return Guard("mine", "feature", "module", Stopwatch(time), Limits())


def raising(error: BaseException) -> Callable[[], Any]:
    def call() -> Any:
        raise error

    return call


def good() -> int:
    return 7


class PanicError(BaseException):
    """What a library in Rust raises: pyo3's PanicException is no Exception either."""


class WordlessError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError("x"),
        SystemExit(0),
        RecursionError(),
        MemoryError(),
        Exception(),
        PanicError("at 'src/lib.rs'"),
        GeneratorExit(),
        asyncio.CancelledError(),
        WordlessError(),
        ValueError("half a character: \ud800"),
    ],
)
def test_three_failures_in_a_row_switch_it_off(guard: Guard, error: BaseException) -> None:
    assert guard.call(good) == 7
    for number in range(3):
        assert guard.why_off is None
        assert guard.call(raising(error)) is FAILED
        assert guard.failures == number + 1
    assert guard.why_off is not None
    assert type(error).__name__ in guard.why_off
    assert guard.why_off.encode()
    assert str(guard.last_error).encode()
    assert guard.call(good) is FAILED
    assert (guard.calls, guard.failures) == (4, 3)


def test_a_good_answer_between_two_failures_begins_anew(guard: Guard) -> None:
    for _ in range(9):
        guard.call(raising(KeyError("k")))
        guard.call(raising(KeyError("k")))
        guard.call(good)
    assert (guard.why_off, guard.failures) == (None, 18)


def test_many_failures_between_good_answers_switch_it_off_as_well(guard: Guard) -> None:
    for number in range(1_000):
        guard.call(raising(KeyError(f"two\nlines {number}")) if number % 50 == 0 else good)
    assert guard.failures == 20
    assert guard.why_off is not None
    assert "20 of its last 1000 calls failed, with KeyError" in guard.why_off
    assert "\n" not in guard.why_off


def test_few_failures_do_not(guard: Guard) -> None:
    for number in range(10_000):
        guard.call(raising(KeyError()) if number % 53 == 0 else good)
    assert guard.why_off is None


def test_calls_that_take_too_long_on_average_switch_it_off(guard: Guard, time: Time) -> None:
    for _ in range(300):
        guard.call(time.takes(4_900 * NS_PER_US))
    assert guard.why_off is None
    for _ in range(99):
        guard.call(time.takes(5_200 * NS_PER_US))
    assert guard.why_off is None
    guard.call(time.takes(5_200 * NS_PER_US))
    assert guard.why_off is not None
    assert "5200 us each, more than 5000 us (PLUGIN_BUDGET_US)" in guard.why_off


def test_three_very_slow_calls_within_a_minute_switch_it_off(guard: Guard, time: Time) -> None:
    for _ in range(2):
        guard.call(time.takes(51 * NS_PER_MS))
    assert guard.why_off is None
    guard.call(time.takes(51 * NS_PER_MS))
    assert guard.slow_calls == 3
    assert guard.why_off is not None
    assert "50 ms" in guard.why_off


def test_a_slow_call_now_and_then_is_let_pass(guard: Guard, time: Time) -> None:
    for _ in range(20):
        guard.call(time.takes(51 * NS_PER_MS))
        time.now += 31 * NS_PER_S
    assert (guard.why_off, guard.slow_calls) == (None, 20)


def test_a_part_of_the_time_that_is_too_large_switches_it_off(guard: Guard, time: Time) -> None:
    for _ in range(30):
        for _ in range(490):
            guard.call(time.takes(500 * NS_PER_US))
        guard.look_at_share()
    assert guard.why_off is None
    for _ in range(10):
        for _ in range(520):
            guard.call(time.takes(500 * NS_PER_US))
        guard.look_at_share()
    assert guard.why_off is not None
    assert "more than 25% (PLUGIN_BUDGET_PERCENT)" in guard.why_off


def test_the_part_of_the_time_does_not_count_while_the_past_is_read_again(guard: Guard, time: Time) -> None:
    for _ in range(30):
        for _ in range(1_900):
            guard.call(time.takes(500 * NS_PER_US))
        guard.look_at_share(counts=False)
    guard.look_at_share()
    assert guard.why_off is None


def test_an_interrupted_call_switches_it_off_at_once(guard: Guard) -> None:
    assert guard.call(raising(Interrupted("too long"))) is FAILED
    assert guard.why_off is not None
    assert "had not ended" in guard.why_off


def test_nobody_runs_between_calls(time: Time) -> None:
    watch = Stopwatch(time)
    guard = Guard("mine", "feature", "module", watch, Limits())
    seen = []
    guard.call(lambda: seen.append(watch.running))
    guard.call(raising(Interrupted()))
    assert (seen, watch.running) == ([guard], None)


@pytest.mark.parametrize("answer", [True, "1", [1.0], (), object(), 1j, b"1"])
def test_what_is_no_number_is_refused(answer: object) -> None:
    with pytest.raises(TypeError, match="expected a number or None"):
        as_number(answer)


def test_numbers_become_plain_ones() -> None:
    np = pytest.importorskip("numpy")
    for answer, plain in [(np.float64(0.5), 0.5), (np.int64(7), 7), (np.float32(0.5), 0.5), (3, 3), (None, None)]:
        assert as_number(answer) == plain
        assert type(as_number(answer)) is type(plain)
    assert as_number(1 << 70) == 2.0**70
    assert type(as_number(1 << 70)) is float
