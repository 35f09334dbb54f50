"""Decimal text to numbers, checked once per text.

Prices and sizes travel as the venue's own text; the number is only needed to check it and to order book levels. The
same texts come again and again, so what has been checked is remembered: the usual case is one dict lookup.
"""

import re
from typing import Final

LIMIT: Final = 1e15  # exclusive
MAX_REMEMBERED: Final = 65_536  # about 12 MB; then the memory starts over
NOT_A_NUMBER: Final = float("nan")

_PLAIN: Final = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,18})?", re.ASCII)


class Decimals(dict[str, float]):
    """`decimals[text]` is the number of a plain decimal text in [0, 1e15), and NaN for any other text.

    NaN fails every comparison, so `decimals[price] > 0.0` is the whole check of a price and `decimals[size] >= 0.0`
    that of a size. Signs, exponents, spaces, "NaN" and "inf" are not plain decimal text.
    """

    def __missing__(self, text: str) -> float:
        if not _PLAIN.fullmatch(text):
            return NOT_A_NUMBER
        value = float(text)
        if len(self) >= MAX_REMEMBERED:
            self.clear()
        self[text] = value
        return value
