"""RFC 3339 text to nanoseconds, exact to the last of nine digits."""

import re
from typing import Final, NamedTuple

from app.providers.checks import BadFieldError
from md_contract.units import NS_PER_S

MAX_REMEMBERED: Final = 4_096

_SECOND: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})", re.ASCII)
_REST: Final = re.compile(r"(?:\.([0-9]{1,9}))?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))", re.ASCII)
_SCALES: Final[tuple[int, ...]] = tuple(10 ** (9 - digits) for digits in range(10))
_EPOCH: Final = 719_468  # days from 0000-03-01 to 1970-01-01
_LONG_MONTHS: Final = frozenset({1, 3, 5, 7, 8, 10, 12})
_EST_HOURS: Final = 5  # New York's standard time is that much behind UTC


class Second(NamedTuple):
    """A second of UTC."""

    ns: int
    trading_day: str  # in New York's standard time; the same as on its clock whenever shares are traded


class Times(dict[str, Second]):
    """`times[text]` is the second of the first 19 characters of a time; what was read is remembered.

    Raises:
        BadFieldError: the text is no time.
    """

    def __missing__(self, text: str) -> Second:
        match = _SECOND.fullmatch(text)
        if match is None:
            raise BadFieldError("time")
        year, month, day, hour, minute, second = map(int, match.groups())
        if not (1 <= month <= 12 and 1 <= day <= _days(year, month) and hour < 24 and minute < 60 and second <= 60):
            raise BadFieldError("time")
        seconds = ((_day_number(year, month, day) * 24 + hour) * 60 + minute) * 60 + second
        date = (year, month, day) if hour >= _EST_HOURS else _day_before(year, month, day)
        if len(self) >= MAX_REMEMBERED:
            self.clear()
        self[text] = found = Second(seconds * NS_PER_S, "{:04}-{:02}-{:02}".format(*date))
        return found

    def ns(self, text: str) -> int:
        """The time in ns UTC."""
        digits = text[20:-1]
        if text[-1:] == "Z" and digits.isdecimal() and digits.isascii() and text[19] == "." and len(digits) < 10:
            return self[text[:19]].ns + int(digits) * _SCALES[len(digits)]
        rest = _REST.fullmatch(text, 19) if len(text) > 19 else None
        if rest is None:
            raise BadFieldError("time")
        fraction, sign, hours, minutes = rest.groups(default="")
        offset_s = int(hours or 0) * 3_600 + int(minutes or 0) * 60
        if offset_s >= 86_400 or int(minutes or 0) >= 60:
            raise BadFieldError("time")
        second = self[text[:19]].ns + (offset_s if sign == "-" else -offset_s) * NS_PER_S
        return second + int(fraction.ljust(9, "0"))


def _days(year: int, month: int) -> int:
    """How many days a month has."""
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 31 if month in _LONG_MONTHS else 30


def _day_number(year: int, month: int, day: int) -> int:
    """The days from 1970-01-01 to a date of the Gregorian calendar."""
    shifted = year - (month <= 2)  # years that begin in March end with the leap day
    before_year = 365 * shifted + shifted // 4 - shifted // 100 + shifted // 400
    return before_year + (153 * ((month + 9) % 12) + 2) // 5 + day - 1 - _EPOCH


def _day_before(year: int, month: int, day: int) -> tuple[int, int, int]:
    if day > 1:
        return year, month, day - 1
    year, month = (year, month - 1) if month > 1 else (year - 1, 12)
    return year, month, _days(year, month)
