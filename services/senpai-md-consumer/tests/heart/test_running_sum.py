"""Running sums: the error they admit is never less than the one they have."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from senpai.md_consumer.features.running_sum import RunningSum, rounded_sum

NUMBERS = st.one_of(st.floats(1e-12, 1e12), st.sampled_from([1e-8, 0.1, 1e9, 1e15]))


@given(st.lists(st.tuples(st.lists(NUMBERS, min_size=1, max_size=5), st.booleans()), max_size=40))
def test_the_error_bound_holds_whatever_comes_and_goes(steps: list[tuple[list[float], bool]]) -> None:
    total, exact, parts = RunningSum(), Fraction(0), list[list[float]]()
    for numbers, leave in steps:
        total.add(*rounded_sum(numbers, 0, len(numbers)))
        exact += sum(map(Fraction, numbers))
        parts.append(numbers)
        if leave:
            gone = parts.pop(0)
            total.remove(*rounded_sum(gone, 0, len(gone)))
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
    total.add(*rounded_sum([0.1] * 200_000, 0, 200_000))
    assert total.sound
    assert total.total == 20_000
