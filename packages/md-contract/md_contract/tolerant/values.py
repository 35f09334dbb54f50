"""One value each: decimals, whole numbers, text and times, from whatever form has only one meaning."""

import re
from calendar import monthrange, timegm
from collections.abc import Callable
from decimal import Decimal
from typing import Final

from md_contract.codec import UnreadableError
from md_contract.tolerant.fields import Fields, Number, Value
from md_contract.units import NS_PER_MS, NS_PER_S, NS_PER_US

EARLIEST_NS: Final = 1_230_768_000 * NS_PER_S  # 2009: before the oldest of these markets
AHEAD_NS: Final = 86_400 * NS_PER_S  # how far ahead of its reception a time may be
LARGEST: Final = 2**63 - 1
TIME_UNITS: Final = (1, NS_PER_US, NS_PER_MS, NS_PER_S)

_DECIMAL: Final = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,30})?")  # below 10^15, as everywhere
_SCIENTIFIC: Final = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,30})?[eE][+-]?[0-9]{1,2}")
_WHOLE: Final = re.compile(r"([0-9]{1,19})(?:\.0{1,9})?")
_ID: Final = re.compile(r"-?[0-9]{1,40}")
_TIME: Final = re.compile(r"([0-9]{1,19})(?:\.([0-9]{1,30}))?(?:[eE]\+?([0-9]{1,2}))?")
_ISO: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]{1,30}))?"
    r"(?:([Zz])|([+-])([0-9]{2}):?([0-9]{2})?)?"
)


def wrong(what: str, expected: str, found: Value) -> UnreadableError:
    """The error for a field that holds what it must not."""
    shown = repr(found[:40]) if isinstance(found, str) else f"a {type(found).__name__}"
    return UnreadableError("wrong_shape", f"{what!r}: expected {expected}, found {shown}")


def decimal(fields: Fields, name: str) -> Callable[[Value], str]:
    """A reader of prices and sizes: decimal text, not below zero, with the digits that were sent."""

    def read(value: Value) -> str:
        if not isinstance(value, str):
            raise wrong(name, "a decimal", value)
        text = str(value)
        if _SCIENTIFIC.fullmatch(text):
            fields.tolerate("exponent")
            text = format(Decimal(text), "f")
        if not _DECIMAL.fullmatch(text):
            raise wrong(name, "a plain decimal, not below zero and below 10^15", value)
        if isinstance(value, Number):
            fields.tolerate("number_for_text")
        return text

    return read


def whole(fields: Fields, name: str) -> Callable[[Value], int]:
    """A reader of whole numbers from 0 on."""

    def read(value: Value) -> int:
        match = _WHOLE.fullmatch(value) if isinstance(value, str) else None
        if match is None or int(match[1]) > LARGEST:
            raise wrong(name, "a whole number of 64 bits, not below zero", value)
        if not isinstance(value, Number):
            fields.tolerate("text_for_number")
        return int(match[1])

    return read


def text(name: str) -> Callable[[Value], str]:
    """A reader of text that is not empty."""

    def read(value: Value) -> str:
        if not isinstance(value, str) or isinstance(value, Number) or not value:
            raise wrong(name, "text", value)
        return value

    return read


def identifier(fields: Fields, name: str) -> Callable[[Value], str]:
    """A reader of ids: text, or a number without point or exponent, which would hide digits."""

    def read(value: Value) -> str:
        if isinstance(value, Number):
            if not _ID.fullmatch(value):
                raise wrong(name, "an id", value)
            fields.tolerate("number_for_text")
            return str(value)
        return text(name)(value)

    return read


def flag(name: str) -> Callable[[Value], bool]:
    """A reader of true and false, which are nothing else."""

    def read(value: Value) -> bool:
        if not isinstance(value, bool):
            raise wrong(name, "true or false", value)
        return value

    return read


def time_ns(fields: Fields, name: str, latest_ns: int) -> Callable[[Value], int]:
    """A reader of times from 2009 until `latest_ns`, in ns. What is finer than that is cut off."""

    def read(value: Value) -> int:
        if not isinstance(value, str):
            raise wrong(name, "a time", value)
        match = _TIME.fullmatch(value)
        if match is None:
            ns = _iso_ns(name, value)
            fields.tolerate("time_text")
            if not EARLIEST_NS <= ns <= latest_ns:
                raise _no_time(name, value)
            return ns
        ns = _of_one_unit(fields, name, match, latest_ns)
        if not isinstance(value, Number):
            fields.tolerate("text_for_number")
        return ns

    return read


def _of_one_unit(fields: Fields, name: str, match: re.Match[str], latest_ns: int) -> int:
    """The time that a number is, in the unit that makes it one. There is at most one: LARGEST is 2262."""
    digits, fraction, exponent = match.groups(default="")
    value = int(digits + fraction + "0" * int(exponent or 0))
    divisor = int("1" + "0" * len(fraction))
    for unit in TIME_UNITS:
        ns = value * unit // divisor
        if EARLIEST_NS <= ns <= latest_ns:
            if fraction or exponent:
                fields.tolerate("time_float")
            if unit > 1:
                fields.tolerate("time_unit")
            return ns
    raise _no_time(name, match[0])


def _iso_ns(name: str, value: str) -> int:
    match = _ISO.fullmatch(value)
    if match is None:
        raise _no_time(name, value)
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    fraction, zulu, sign, hours, minutes = match.groups(default="")[6:]
    if not (
        year and 1 <= month <= 12 and 1 <= day <= monthrange(year, month)[1] and hour < 24 and minute < 60 > second
    ):
        raise _no_time(name, value)
    if not zulu and not sign:
        raise UnreadableError("ambiguous", f"{name!r} is a local time of nobody knows where: {value[:40]!r}")
    if int(hours or 0) > 23 or int(minutes or 0) > 59:
        raise _no_time(name, value)
    offset_s = (int(hours or 0) * 60 + int(minutes or 0)) * (-60 if sign == "-" else 60)
    seconds = timegm((year, month, day, hour, minute, second)) - offset_s
    return seconds * NS_PER_S + int(fraction[:9].ljust(9, "0"))


def _no_time(name: str, value: str) -> UnreadableError:
    why = f"{name!r}: expected a time from 2009 until a day ahead, in s, ms, us, ns or ISO 8601, found {value[:40]!r}"
    return UnreadableError("bad_time", why)
