"""Prices and sizes as whole numbers of 10^-8, which is how many decimals Binance writes."""

from typing import Final

SCALE: Final = 10**8
_DIGITS: Final = 8


def parse_fixed(text: str) -> int:
    """Return decimal text such as `61837.63000000` as a number of 10^-8; further digits are cut off."""
    whole, _, fraction = text.partition(".")
    return int(whole + fraction[:_DIGITS].ljust(_DIGITS, "0"))


def format_fixed(value: int) -> str:
    """Return a number of 10^-8, 0 or more, as text with all eight decimals."""
    return f"{value // SCALE}.{value % SCALE:08d}"


def format_decimals(value: int, decimals: int) -> str:
    """Return a number of 10^-8, 0 or more, as text with this many decimals; further digits are cut off."""
    whole, _, fraction = format_fixed(value).partition(".")
    return f"{whole}.{fraction[:decimals]}" if decimals else whole


def format_trimmed(value: int) -> str:
    """Return a number of 10^-8, 0 or more, as text without needless zeros: `0.5`, `65140`."""
    return format_fixed(value).rstrip("0").rstrip(".")


def decimals_of(text: str) -> int:
    """Return how many decimals the text really uses: `0.01000000` uses two."""
    return len(text.partition(".")[2].rstrip("0"))
