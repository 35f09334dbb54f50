"""The market's sessions against its published calendar, and New York's clock against the time zone database."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.liveness.calendar import Session, always_open, expects_data, us_equity_session

NEW_YORK = ZoneInfo("America/New_York")
SECOND_NS = 1_000_000_000

# Weekdays without trading and days that end at 13:00, as exchange_calendars 4.13.2 lists them for XNYS.
PUBLISHED = {
    2007: ("01-01 01-02 01-15 02-19 04-06 05-28 07-04 09-03 11-22 12-25", "07-03 11-23 12-24"),
    2012: ("01-02 01-16 02-20 04-06 05-28 07-04 09-03 10-29 10-30 11-22 12-25", "07-03 11-23 12-24"),
    2018: ("01-01 01-15 02-19 03-30 05-28 07-04 09-03 11-22 12-05 12-25", "07-03 11-23 12-24"),
    2020: ("01-01 01-20 02-17 04-10 05-25 07-03 09-07 11-26 12-25", "11-27 12-24"),
    2021: ("01-01 01-18 02-15 04-02 05-31 07-05 09-06 11-25 12-24", "11-26"),
    2022: ("01-17 02-21 04-15 05-30 06-20 07-04 09-05 11-24 12-26", "11-25"),
    2023: ("01-02 01-16 02-20 04-07 05-29 06-19 07-04 09-04 11-23 12-25", "07-03 11-24"),
    2024: ("01-01 01-15 02-19 03-29 05-27 06-19 07-04 09-02 11-28 12-25", "07-03 11-29 12-24"),
    2025: ("01-01 01-09 01-20 02-17 04-18 05-26 06-19 07-04 09-01 11-27 12-25", "07-03 11-28 12-24"),
    2026: ("01-01 01-19 02-16 04-03 05-25 06-19 07-03 09-07 11-26 12-25", "11-27 12-24"),
    2027: ("01-01 01-18 02-15 03-26 05-31 06-18 07-05 09-06 11-25 12-24", "11-26"),
    2028: ("01-17 02-21 04-14 05-29 06-19 07-04 09-04 11-23 12-25", "07-03 11-24"),
    2029: ("01-01 01-15 02-19 03-30 05-28 06-19 07-04 09-03 11-22 12-25", "07-03 11-23 12-24"),
    2030: ("01-01 01-21 02-18 04-19 05-27 06-19 07-04 09-02 11-28 12-25", "07-03 11-29 12-24"),
}
WHOLE_DAY = [("04:00", "pre"), ("09:30", "regular"), ("16:00", "post"), ("20:00", "closed")]
HALF_DAY = [("04:00", "pre"), ("09:30", "regular"), ("13:00", "post"), ("17:00", "closed")]


def ns(moment: datetime) -> int:
    return int(moment.timestamp()) * SECOND_NS


def at(day: date, clock: str) -> int:
    return ns(datetime.combine(day, time.fromisoformat(clock), NEW_YORK))


def changes(day: date) -> list[tuple[str, str]]:
    """The sessions of a day with the minute each begins, found by asking for every half hour."""
    found = [("00:00", str(us_equity_session(at(day, "00:00"))))]
    for minute in range(30, 24 * 60, 30):
        clock = f"{minute // 60:02}:{minute % 60:02}"
        session = str(us_equity_session(at(day, clock)))
        assert us_equity_session(at(day, clock) - 1) == found[-1][1], "a session ends at the boundary, not before"
        if session != found[-1][1]:
            found.append((clock, session))
    return found


@pytest.mark.parametrize("year", PUBLISHED)
def test_every_day_of_a_year_has_the_published_sessions(year: int) -> None:
    holidays, half_days = (set(days.split()) for days in PUBLISHED[year])
    for day in (date(year, 1, 1) + timedelta(n) for n in range(366)):
        if day.year != year:
            continue
        expected = WHOLE_DAY
        if day.weekday() >= 5 or f"{day:%m-%d}" in holidays:
            expected = []
        elif f"{day:%m-%d}" in half_days:
            expected = HALF_DAY
        assert changes(day) == [("00:00", "closed"), *expected], day


@given(st.dates(date(2007, 1, 1), date(2099, 12, 31)), st.times())
def test_the_clock_is_new_yorks(day: date, clock: time) -> None:
    moment = datetime.combine(day, clock, UTC)
    local = moment.astimezone(NEW_YORK)
    session = us_equity_session(ns(moment))
    if session is not Session.CLOSED:
        assert local.weekday() < 5
        assert time(4) <= local.time() < time(20)
    if session is Session.REGULAR:
        assert time(9, 30) <= local.time() < time(16)


@pytest.mark.parametrize(
    ("utc", "session"),
    [
        ("2026-03-06T14:29:59", "pre"),  # a Friday in winter time
        ("2026-03-06T14:30:00", "regular"),
        ("2026-03-09T13:30:00", "regular"),  # the Monday after the clocks went forward
        ("2026-03-09T13:29:59", "pre"),
        ("2026-10-30T19:59:59", "regular"),
        ("2026-10-30T20:00:00", "post"),
        ("2026-11-02T20:59:59", "regular"),  # the Monday after they went back
        ("2026-11-21T00:59:59", "post"),  # Saturday in London, Friday in New York
        ("2026-11-22T15:00:00", "closed"),
    ],
)
def test_sessions_move_with_daylight_saving(utc: str, session: str) -> None:
    assert us_equity_session(ns(datetime.fromisoformat(utc).replace(tzinfo=UTC))) == session


def test_silence_is_a_fault_in_the_regular_session_only() -> None:
    day = date(2026, 11, 20)
    heard = {
        clock: expects_data("us_equity", at(day, clock)) for clock in ["03:00", "08:00", "12:00", "17:00", "21:00"]
    }
    assert heard == {"03:00": False, "08:00": False, "12:00": True, "17:00": False, "21:00": False}


@given(st.integers(0, 2**62))
def test_crypto_and_unknown_markets_never_close(wall_ns: int) -> None:
    assert always_open(wall_ns) is Session.REGULAR
    assert expects_data("crypto", wall_ns)
    assert expects_data("anything else", wall_ns)
