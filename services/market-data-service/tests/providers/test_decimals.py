"""Decimal text: exactly the plain ones pass, whatever was asked before."""

import math
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.providers import decimals
from app.providers.decimals import Decimals


@pytest.mark.parametrize("text", ["1", "0", "0.00000000", "98765.43000000", "00.5", "999999999999999.99999999"])
def test_plain_decimal_text_has_its_value(text: str) -> None:
    assert Decimals()[text] == float(text)


SIGNS_AND_NAMES = ["", "NaN", "nan", "inf", "-inf", "Infinity", "-1", "-0", "+1", "1e400", "1e5", "1E-5", "0x10"]
ODD_TEXT = [" 1", "1 ", "1\n", "1_000", "1,5", ".5", "5.", ".", "1.2.3", "٣", "１", "²", "\x00"]
TOO_LONG = ["1000000000000000", "9" * 400, "0." + "1" * 19]


@pytest.mark.parametrize("text", [*SIGNS_AND_NAMES, *ODD_TEXT, *TOO_LONG])
def test_anything_else_fails_every_comparison(text: str) -> None:
    number = Decimals()[text]
    assert not number > 0.0
    assert not number >= 0.0


@given(st.lists(st.text("0123456789.-+eE_ naif٣", max_size=8), max_size=50))
def test_the_answer_does_not_depend_on_what_was_asked_before(texts: list[str]) -> None:
    numbers = Decimals()
    for text in texts + texts:
        plain = re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,18})?", text)
        assert numbers[text] == float(Decimal(text)) if plain else math.isnan(numbers[text])


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decimals, "MAX_REMEMBERED", 100)
    numbers = Decimals()
    for n in range(1_000):
        assert numbers[str(n)] == n
        assert numbers["x" + str(n)] != numbers["x" + str(n)]
        assert len(numbers) <= 100
