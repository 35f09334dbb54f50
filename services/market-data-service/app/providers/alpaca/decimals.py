"""JSON numbers to decimal text.

A float that has been decoded has lost its digits, so the decoder is told to hand every number with a point or an
exponent to `Numbers`, as text. The digits stay as the venue wrote them; only an exponent is written out.
"""

import re
from decimal import Decimal
from typing import Any, Final, NamedTuple

from app.providers.checks import BadFieldError
from app.providers.decimals import LIMIT, Decimals

MAX_REMEMBERED: Final = 65_536
MAX_EXPONENT: Final = 18  # beyond it no number of a market lies

_SCIENTIFIC: Final = re.compile(r"([0-9.]{1,34})[eE]([+-]?[0-9]{1,3})", re.ASCII)


class Number(NamedTuple):
    """A number of a message: exact as text, and its value, which is NaN for one that no price or size can be."""

    text: str
    value: float


class Numbers(dict[str, Number]):
    """`numbers[text]` is the `Number` of the text of a JSON number; what was read is remembered."""

    def __init__(self) -> None:
        super().__init__()
        self._decimals = Decimals()

    def __missing__(self, text: str) -> Number:
        plain = _written_out(text) if "e" in text or "E" in text else text
        number = Number(plain, self._decimals[plain])
        if len(self) >= MAX_REMEMBERED:
            self.clear()
        self[text] = number
        return number

    def read(self, field: Any, reason: str) -> Number:  # noqa: ANN401 - whatever stood there
        """The number of a decoded field; raises `BadFieldError` for `reason` when it is none, or below zero."""
        if type(field) is not Number:
            if type(field) is not int or not 0 <= field < LIMIT:
                raise BadFieldError(reason)
            return self[str(field)]
        if not field.value >= 0.0:
            raise BadFieldError(reason)
        return field

    def price(self, field: Any) -> Number:  # noqa: ANN401 - whatever stood there
        """As `read`, and it must be above zero."""
        number = self.read(field, "price")
        if number.value == 0.0:
            raise BadFieldError("price")
        return number

    def size(self, field: Any) -> Number:  # noqa: ANN401 - whatever stood there
        return self.read(field, "size")


def _written_out(text: str) -> str:
    """The same number without an exponent; one that is out of all bounds stays as it is, and is then no plain text."""
    match = _SCIENTIFIC.fullmatch(text)
    if match is None or abs(int(match[2])) > MAX_EXPONENT:
        return text
    return format(Decimal(text), "f")
