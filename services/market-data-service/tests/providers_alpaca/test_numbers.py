"""JSON numbers keep every digit, and none travels with an exponent."""

import json
import re
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.providers.alpaca.decimals import MAX_REMEMBERED, Number, Numbers
from app.providers.checks import BadFieldError

PLAIN = re.compile(r"[0-9]{1,15}(\.[0-9]{1,18})?", re.ASCII)
DIGITS = st.text("0123456789", min_size=1, max_size=20)
JSON_NUMBERS = st.builds(
    lambda sign, whole, fraction, exponent: sign + (whole.lstrip("0") or "0") + fraction + exponent,
    st.sampled_from(["", "", "", "-"]),
    DIGITS,
    st.one_of(st.just(""), DIGITS.map(lambda digits: f".{digits}")),
    st.one_of(st.just(""), st.builds("{}{}{}".format, st.sampled_from("eE"), st.sampled_from(["", "+", "-"]), DIGITS)),
)


def read(text: str) -> Any:
    """The field as the decoder of a frame leaves it."""
    numbers = Numbers()
    decoder = msgspec.json.Decoder(list[Any], float_hook=numbers.__getitem__)
    return numbers.size(decoder.decode(f"[{text}]")[0])


@given(JSON_NUMBERS)
@example("1e-7")
@example("-0.0")
@example("1E400")
@example("1e-999999999")
@example("0.1000")
@example("999999999999999.999999999999999999")
@example("1e15")
@example("99999999999999999999")
def test_any_json_number_is_the_same_decimal_or_refused(text: str) -> None:
    try:
        number = read(text)
    except BadFieldError:
        assert text.startswith("-") or is_out_of_bounds(text)
        return
    assert Decimal(number.text) == Decimal(text)
    assert PLAIN.fullmatch(number.text)
    assert number.value == float(number.text)


def is_out_of_bounds(text: str) -> bool:
    """Too large, or finer than eighteen decimal places."""
    mantissa, _, exponent = text.lower().partition("e")
    if len(exponent.lstrip("+-")) > 2 or len(mantissa) > 34:
        return True
    value = Decimal(text)
    return value >= 10**15 or -int(value.as_tuple().exponent) > 18 or abs(int(exponent or 0)) > 18


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1e-7", "0.0000001"), ("100", "100"), ("100.10", "100.10"), ("1.5E3", "1500"), ("0", "0"), ("29.205707815",) * 2],
)
def test_digits_stay_as_the_venue_wrote_them(text: str, expected: str) -> None:
    assert read(text).text == expected


@given(st.one_of(st.none(), st.booleans(), st.text(), st.lists(st.integers()), st.dictionaries(st.text(), st.none())))
def test_what_is_no_number_is_refused(field: Any) -> None:
    with pytest.raises(BadFieldError):
        read(json.dumps(field))


def test_a_price_is_above_zero_and_a_size_may_be_zero() -> None:
    numbers = Numbers()
    assert numbers.size(0) == Number("0", 0.0)
    for zero in (0, numbers["0.0"], numbers["0e3"]):
        with pytest.raises(BadFieldError, match="price"):
            numbers.price(zero)


def test_the_memory_is_bounded() -> None:
    numbers = Numbers()
    for number in range(MAX_REMEMBERED + 10):
        numbers.size(number)
    assert len(numbers) <= MAX_REMEMBERED
