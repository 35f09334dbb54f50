"""When a market is open, so that nobody takes a closed market for an outage.

The sessions of the US equity market follow from a few rules: New York's clock, ten holidays a year, three kinds of
early close, and the rare day on which the exchanges closed for another reason. Whoever knows those has the sessions of
any year since 2007 without a table of dates. Times are wall-clock ns UTC.

Not known here: halts of single shares, and days of mourning or storms that nobody had announced when this was written.
"""

from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from md_contract.units import NS_PER_S


class Session(StrEnum):
    """What is going on at a market."""

    CLOSED = "closed"
    PRE = "pre"
    REGULAR = "regular"
    POST = "post"


class Day(Struct, frozen=True):
    """When the sessions of one day begin and end, in seconds after midnight in New York."""

    pre: int = 4 * 3_600
    regular: int = 9 * 3_600 + 1_800
    post: int = 16 * 3_600
    end: int = 20 * 3_600

    def session(self, second: int) -> Session:
        if second < self.pre or second >= self.end:
            return Session.CLOSED
        if second < self.regular:
            return Session.PRE
        return Session.REGULAR if second < self.post else Session.POST


WHOLE_DAY: Final = Day()
HALF_DAY: Final = Day(post=13 * 3_600, end=17 * 3_600)

# Days on which the exchanges stayed closed although no rule says so.
CLOSED_ONCE: Final = frozenset({(2007, 1, 2), (2012, 10, 29), (2012, 10, 30), (2018, 12, 5), (2025, 1, 9)})

_DAY_S: Final = 86_400
_EPOCH: Final = 719_468  # days from 0000-03-01 to 1970-01-01
_EST_S: Final = -5 * 3_600
_EDT_S: Final = -4 * 3_600
_MONDAY, _THURSDAY, _SATURDAY, _SUNDAY = 0, 3, 5, 6


def us_equity_session(wall_ns: int) -> Session:
    """The session of the US equity market at this time, which lies in 2007 or later."""
    day, second = _new_york(wall_ns // NS_PER_S)
    hours = _hours(day)
    return Session.CLOSED if hours is None else hours.session(second)


def always_open(wall_ns: int) -> Session:  # noqa: ARG001 - a market that never closes asks for no time
    """The session of a market that never closes, such as that of crypto-currencies."""
    return Session.REGULAR


SESSIONS: Final = MappingProxyType[str, Callable[[int], Session]](
    {"us_equity": us_equity_session, "crypto": always_open}
)


def expects_data(market: str, wall_ns: int) -> bool:
    """True while silence on a feed of this market is a fault: in the regular session.

    Before and after it a venue may well have nothing to say for minutes. A market without a line in `SESSIONS` is taken
    for one that never closes.
    """
    return SESSIONS.get(market, always_open)(wall_ns) is Session.REGULAR


def _new_york(utc_s: int) -> tuple[int, int]:
    """The day in New York, counted from 1970-01-01, and the seconds since its midnight."""
    year = _civil(utc_s // _DAY_S)[0]
    begins, ends = _daylight_saving(year)
    return divmod(utc_s + (_EDT_S if begins <= utc_s < ends else _EST_S), _DAY_S)


@lru_cache(maxsize=4)
def _daylight_saving(year: int) -> tuple[int, int]:
    """From the second Sunday of March to the first of November, at 02:00 by the clock in force; UTC seconds."""
    begins, ends = _nth(2, _SUNDAY, year, 3), _nth(1, _SUNDAY, year, 11)
    return begins * _DAY_S + 7_200 - _EST_S, ends * _DAY_S + 7_200 - _EDT_S


def _hours(day: int) -> Day | None:
    """The hours of a day, None when the market does not open."""
    if _weekday(day) >= _SATURDAY:
        return None
    year, month, of_month = _civil(day)
    if day in _holidays(year) or (year, month, of_month) in CLOSED_ONCE:
        return None
    return HALF_DAY if day in _half_days(year) else WHOLE_DAY


@lru_cache(maxsize=4)
def _holidays(year: int) -> frozenset[int]:
    new_year = _day(year, 1, 1)
    days = {
        # On a Saturday it is not made up for: the Friday is the last day of the old year's books.
        new_year + 1 if _weekday(new_year) == _SUNDAY else new_year,
        _nth(3, _MONDAY, year, 1),  # Martin Luther King's birthday
        _nth(3, _MONDAY, year, 2),  # Washington's birthday
        _easter(year) - 2,
        _nth(1, _MONDAY, year, 6) - 7,  # Memorial Day: the last Monday of May
        _observed(_day(year, 7, 4)),
        _nth(1, _MONDAY, year, 9),  # Labor Day
        _nth(4, _THURSDAY, year, 11),  # Thanksgiving
        _observed(_day(year, 12, 25)),
    }
    if year >= 2022:
        days.add(_observed(_day(year, 6, 19)))  # Juneteenth
    return frozenset(days)


@lru_cache(maxsize=4)
def _half_days(year: int) -> frozenset[int]:
    """The eves of Independence Day and Christmas and the day after Thanksgiving, unless they are holidays."""
    return frozenset({_day(year, 7, 3), _nth(4, _THURSDAY, year, 11) + 1, _day(year, 12, 24)})


def _observed(day: int) -> int:
    """A holiday on a Saturday is kept on the Friday, one on a Sunday on the Monday."""
    return day + {_SATURDAY: -1, _SUNDAY: 1}.get(_weekday(day), 0)


def _nth(n: int, weekday: int, year: int, month: int) -> int:
    """The n-th Monday, Tuesday, ... of a month."""
    first = _day(year, month, 1)
    return first + (weekday - _weekday(first)) % 7 + 7 * (n - 1)


def _weekday(day: int) -> int:
    """0 is Monday; 1970-01-01 was a Thursday."""
    return (day + _THURSDAY) % 7


def _day(year: int, month: int, of_month: int) -> int:
    """The days from 1970-01-01 to a date of the Gregorian calendar."""
    shifted = year - (month <= 2)  # years that begin in March end with the leap day
    before_year = 365 * shifted + shifted // 4 - shifted // 100 + shifted // 400
    before_month = (153 * ((month + 9) % 12) + 2) // 5
    return before_year + before_month + of_month - 1 - _EPOCH


def _civil(day: int) -> tuple[int, int, int]:
    """Year, month and day of the month: the reverse of `_day`."""
    shifted = (day + _EPOCH) * 400 // 146_097
    while _day(shifted + 1, 3, 1) <= day:
        shifted += 1
    while _day(shifted, 3, 1) > day:
        shifted -= 1
    since_march = day - _day(shifted, 3, 1)
    month = (5 * since_march + 2) // 153
    of_month = since_march - (153 * month + 2) // 5 + 1
    return shifted + (month >= 10), (month + 2) % 12 + 1, of_month


def _easter(year: int) -> int:
    """Easter Sunday, by the Gregorian rule of the anonymous correspondent of 1876."""
    a, (b, c) = year % 19, divmod(year, 100)
    h = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    weekday = (32 + 2 * (b % 4) + 2 * (c // 4) - h - c % 4) % 7
    month, of_month = divmod(h + weekday - 7 * ((a + 11 * h + 22 * weekday) // 451) + 114, 31)
    return _day(year, month, of_month + 1)
