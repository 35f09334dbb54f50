"""Times against the standard library's, with the digits it cannot hold."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.providers.alpaca.times import MAX_REMEMBERED, Times
from app.providers.checks import BadFieldError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECONDS = st.integers(0, 7_258_118_399).map(lambda seconds: EPOCH + timedelta(seconds=seconds))  # to the end of 2199
FRACTIONS = st.text("0123456789", max_size=9)


@given(SECONDS, FRACTIONS)
@example(datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC), "96132210")
def test_every_digit_counts(moment: datetime, fraction: str) -> None:
    text = moment.isoformat()[:19] + ("." + fraction if fraction else "") + "Z"
    seconds = (moment - EPOCH) // timedelta(seconds=1)
    assert Times().ns(text) == seconds * 10**9 + int((fraction + "0" * 9)[:9])


@given(SECONDS, FRACTIONS, st.integers(-23 * 60 - 59, 23 * 60 + 59))
def test_a_zone_other_than_utc_is_understood(moment: datetime, fraction: str, offset_min: int) -> None:
    hours, minutes = divmod(abs(offset_min), 60)
    text = moment.isoformat()[:19] + ("." + fraction if fraction else "")
    zoned = f"{text}{'-' if offset_min < 0 else '+'}{hours:02}:{minutes:02}"
    assert Times().ns(zoned) == Times().ns(f"{text}Z") - offset_min * 60 * 10**9


@given(st.one_of(st.text(max_size=40), st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}.*Z")))
def test_any_other_text_is_refused_and_nothing_is_misread(text: str) -> None:
    try:
        ns = Times().ns(text)
    except BadFieldError:
        return
    found = EPOCH + timedelta(seconds=ns // 10**9)
    if text.endswith("Z") and text[17:19] != "60":
        assert found.isoformat()[:19] == text[:19].upper()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-20",
        "2026-11-20T15:51:44",
        "2026-11-20 15:51:44Z",
        "2026-13-20T15:51:44Z",
        "2026-02-29T15:51:44Z",
        "2026-11-20T24:00:00Z",
        "2026-11-20T15:60:44Z",
        "2026-11-20T15:51:61Z",
        "2026-11-20T15:51:44.Z",
        "2026-11-20T15:51:44.1234567890Z",
        "2026-11-20T15:51:44.12 Z",
        "2026-11-20T15:51:44.٣Z",
        "２026-11-20T15:51:44Z",
        "2026-11-20T15:51:44+24:00",
        "2026-11-20T15:51:44+01:60",
        "2026-11-20T15:51:44.1+1:00",
        "1763653904",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(BadFieldError, match="time"):
        Times().ns(text)


@given(SECONDS)
def test_the_trading_day_is_new_yorks_while_shares_are_traded(moment: datetime) -> None:
    local = moment.astimezone(ZoneInfo("America/New_York"))
    if 4 <= local.hour < 20:
        assert Times()[moment.isoformat()[:19]].trading_day == local.date().isoformat()


@pytest.mark.parametrize(
    ("text", "day"), [("2024-03-01T00:30:00", "2024-02-29"), ("2026-01-01T04:59:59", "2025-12-31")]
)
def test_late_trades_belong_to_the_day_before(text: str, day: str) -> None:
    assert Times()[text].trading_day == day == (date.fromisoformat(text[:10]) - timedelta(1)).isoformat()


def test_the_memory_is_bounded() -> None:
    times = Times()
    for n in range(MAX_REMEMBERED + 10):
        times.ns((EPOCH + timedelta(seconds=n)).isoformat()[:19] + "Z")
    assert len(times) <= MAX_REMEMBERED
