from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.history.times import BadTimeError, floor_hour, parse_time, show_time

NOW = 1_763_800_000_000_000_000


def ns(moment: datetime) -> int:
    return round(moment.timestamp()) * 10**9


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31", ns(datetime(2026, 1, 31, tzinfo=UTC))),
        ("2026-01-31T13:45:00", ns(datetime(2026, 1, 31, 13, 45, tzinfo=UTC))),
        ("2026-01-31T13:45:00Z", ns(datetime(2026, 1, 31, 13, 45, tzinfo=UTC))),
        ("2026-01-31T13:45:00+02:00", ns(datetime(2026, 1, 31, 11, 45, tzinfo=UTC))),
        (" now ", NOW),
        ("0s", NOW),
        ("90m", NOW - 5_400 * 10**9),
        ("2h", NOW - 7_200 * 10**9),
        ("3d", NOW - 3 * 86_400 * 10**9),
    ],
)
def test_what_people_write(text: str, expected: int) -> None:
    assert parse_time(text, NOW) == expected


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01", "-1h", "1.5h", "12", "1700000000", "9999999d", "٣d", "1h2m"]
)
def test_what_is_no_time_is_told(text: str) -> None:
    with pytest.raises(BadTimeError, match="expected a time like 2026-01-31"):
        parse_time(text, NOW)


@pytest.mark.parametrize("text", ["1969-12-31T23:59:59", "0001-01-01", "1500-01-01", "2262-04-12", "9999-12-31"])
def test_a_time_that_no_store_knows_is_told(text: str) -> None:
    with pytest.raises(BadTimeError, match="between 1970 and 2262"):
        parse_time(text, NOW)


def test_longer_ago_than_1970_is_1970() -> None:
    assert parse_time("999999d", NOW) == 0


@given(st.integers(0, 4_000_000_000_000_000_000))
def test_a_shown_time_reads_back_to_the_microsecond(time_ns: int) -> None:
    shown = show_time(time_ns)
    assert datetime.fromisoformat(shown) - datetime(1970, 1, 1, tzinfo=UTC) == timedelta(microseconds=time_ns // 1_000)
    assert shown.endswith("Z")
    assert "." not in shown or len(shown.split(".")[1]) <= 10
    assert 0 <= time_ns - floor_hour(time_ns) < 3_600 * 10**9
    assert floor_hour(time_ns) % (3_600 * 10**9) == 0
