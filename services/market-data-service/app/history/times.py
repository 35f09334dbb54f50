"""Times as people write them on a command line, and as they read them. Everything is UTC unless it says otherwise."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from md_contract.units import NS_PER_S, NS_PER_US

HOUR_NS: Final = 3_600 * NS_PER_S
LATEST_NS: Final = (1 << 63) - 1  # what a store can be asked for
EXPECTED: Final = "expected a time like 2026-01-31, 2026-01-31T13:45:00, 2026-01-31T13:45:00+02:00, 90m, 2h, 3d or now"

_AGO: Final = re.compile(r"(\d{1,6})([smhd])", re.ASCII)
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class BadTimeError(ValueError):
    """A text that is no time."""


def parse_time(text: str, now_ns: int) -> int:
    """Nanoseconds since 1970 UTC.

    Args:
        text: an ISO 8601 date or time (UTC without an offset), a time ago (`90m`, `2h`, `3d`), or `now`.
        now_ns: the present, for the last two.

    Raises:
        BadTimeError: it is none of these, or lies before 1970 or after 2262; the text says what is expected.
    """
    text = text.strip()
    if text == "now":
        return now_ns
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return max(0, now_ns - timedelta(**{_UNITS[ago[2]]: int(ago[1])}) // timedelta(microseconds=1) * NS_PER_US)
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        since_epoch = moment - _EPOCH
    except (ValueError, OverflowError):
        raise BadTimeError(f"{EXPECTED}, found {text[:40]!r}") from None
    found = since_epoch // timedelta(microseconds=1) * NS_PER_US
    if not 0 <= found <= LATEST_NS:
        raise BadTimeError(f"expected a time between 1970 and 2262, found {text[:40]!r}")
    return found


def show_time(ns: int) -> str:
    """`2026-01-31T13:45:00.123456789Z`, without the zeros at its end."""
    seconds, rest = divmod(ns, NS_PER_S)
    whole = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{rest:09d}".rstrip("0").rstrip(".") + "Z"


def floor_hour(ns: int) -> int:
    """The beginning of the hour that `ns` lies in."""
    return ns - ns % HOUR_NS
