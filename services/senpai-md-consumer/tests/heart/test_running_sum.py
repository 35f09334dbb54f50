"""Running sums: the error they admit is never less than the one they have."""

from fractions import Fraction
from math import fsum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from senpai.md_consumer.features.running_sum import MOST_ERROR, CompensatedSum, RunningSum, rounded_sum

NUMBERS = st.one_of(st.floats(1e-12, 1e12), st.sampled_from([1e-8, 0.1, 1e9, 1e15]))


@given(st.lists(st.tuples(st.lists(NUMBERS, min_size=1, max_size=5), st.booleans()), max_size=40))
def test_the_error_bound_holds_whatever_comes_and_goes(steps: list[tuple[list[float], bool]]) -> None:
    total, exact, parts = RunningSum(), Fraction(0), list[list[float]]()
    for numbers, leave in steps:
        total.add(*rounded_sum(numbers))
        exact += sum(map(Fraction, numbers))
        parts.append(numbers)
        if leave:
            gone = parts.pop(0)
            total.remove(*rounded_sum(gone))
            exact -= sum(map(Fraction, gone))
        assert abs(Fraction(total.total) - exact) <= Fraction(total.error)


def test_a_sum_is_not_sound_after_a_giant_has_left() -> None:
    total = RunningSum()
    total.add(1e-8)
    assert total.sound
    total.add(1e9)
    assert total.sound
    total.remove(1e9)
    assert not total.sound
    total.reset()
    assert total.sound
    assert total.total == 0


def test_an_ordinary_sum_stays_sound_for_thousands_of_steps() -> None:
    total = RunningSum()
    for _ in range(100):
        total.add(0.1)
    for _ in range(10_000):
        total.add(0.1)
        total.remove(0.1)
    assert total.sound
    assert 0 < total.error < 1e-11 * total.total


def test_a_sum_of_very_many_is_sound_at_once() -> None:
    total = RunningSum()
    total.add(*rounded_sum([0.1] * 200_000))
    assert total.sound
    assert total.total == 20_000


SIGNED = st.one_of(st.floats(-1e9, 1e9), st.sampled_from([0.1, -0.1, 0.3, -0.3, 1e-8, -1e-8, 1e9, -1e9]))


@given(st.lists(st.tuples(st.lists(SIGNED, max_size=5), st.booleans()), max_size=40))
def test_a_compensated_sum_that_is_sound_is_right_though_numbers_cancel(
    steps: list[tuple[list[float], bool]],
) -> None:
    total, exact, parts = CompensatedSum(), Fraction(0), list[list[float]]()
    for numbers, leave in steps:
        total.add(numbers)
        exact += sum(map(Fraction, numbers))
        parts.append(numbers)
        if leave:
            gone = parts.pop(0)
            total.remove(gone)
            exact -= sum(map(Fraction, gone))
        if total.is_sound(MOST_ERROR):
            assert abs(Fraction(total.total) - exact) <= abs(exact) * Fraction(1, 10**10)


def test_a_compensated_sum_forgets_a_giant_of_its_own_step() -> None:
    total = CompensatedSum()
    total.add([1e-8])
    total.add([1e9])
    total.add([0.1])
    total.remove([1e9])
    assert total.total == pytest.approx(0.1 + 1e-8, rel=1e-15, abs=0)
    assert not total.is_sound(MOST_ERROR)  # it cannot know that the giant was not rounded
    total.reset()
    assert (total.is_sound(MOST_ERROR), total.total) == (True, 0)


def test_a_compensated_sum_stays_sound_for_thousands_of_steps() -> None:
    total = CompensatedSum()
    total.add([0.1] * 100)
    for _ in range(10_000):
        total.add([0.1, -0.1])
        total.remove([-0.1, 0.1])
        total.add([0.1])
        total.remove([0.1])
    assert total.is_sound(MOST_ERROR)
    assert not total.is_sound(1e-17)
    assert total.total == pytest.approx(10, rel=1e-15, abs=0)


def test_every_rounding_is_admitted() -> None:
    total = RunningSum()
    assert total.error == 0
    total.add(1.0)
    assert total.error == (1 + 1) * 2.0**-53
    total.add(-3.0, 5)
    assert total.error == (2 + 5 * 3 + 2) * 2.0**-53
    total.remove(1.0)
    assert total.error == (19 + 1 + 3) * 2.0**-53
    total.remove(-3.0, 7)
    assert total.error == (23 + 7 * 3 + 0) * 2.0**-53
    total.reset()
    assert total.error == 0


def test_a_quick_sum_is_rounded_at_every_step_and_one_of_a_thousand_once() -> None:
    assert rounded_sum([]) == (0, 0)
    assert rounded_sum([3.0]) == (3, 1)
    assert rounded_sum([0.1] * 1_023) == (sum([0.1] * 1_023), 1_023)
    assert rounded_sum([0.1] * 1_024) == (fsum([0.1] * 1_024), 1)


def test_a_compensated_sum_admits_the_rounding_of_every_part() -> None:
    total = CompensatedSum()
    total.add([3.0])
    assert (total.is_sound(2.0**-53), total.is_sound(0.9 * 2.0**-53)) == (True, False)
    total.remove([1.0])
    assert (total.is_sound(2.001 * 2.0**-53), total.is_sound(1.999 * 2.0**-53)) == (True, False)
    total.reset()
    total.add([1e9])
    total.add([0.1])
    total.remove([1e9])
    error = (2e9 + 0.1) * 2.0**-53 / 0.1
    assert (total.is_sound(error * (1 + 1e-9)), total.is_sound(error * (1 - 1e-9))) == (True, False)
