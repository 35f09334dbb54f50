"""Messages of the contract to rows of the tables. Pure.

Everything is checked here, once, before a database sees it: SQLite would turn NaN into NULL and take a NUL, PostgreSQL
does the reverse, and either would make a whole batch fail for one bad row. Prices and sizes of no market are refused as
well, whoever sent them: all that reads a table would have to look out for them. What is not stored raises `PoisonError`
and goes to the table `quarantine` instead.
"""

import json
import math
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from hashlib import blake2b
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from md_contract.codec import Message
from md_contract.events import BookL2, Heartbeat, Level, Quote, Status, Trade
from md_contract.signals import Alert, FeatureVector, Signal

MAX_TEXT_BYTES: Final = 256  # of one text; four of them still fit into an index entry of PostgreSQL
MAX_DIGITS: Final = 40  # before and after the point
LIMIT: Final = 1e15  # of prices and sizes, exclusive; as everywhere
MAX_JSON_BYTES: Final = 1 << 20
MAX_PAYLOAD: Final = 1 << 16  # characters of a quarantined message that are kept
MAX_REMEMBERED: Final = 65_536  # texts, about 12 MB; then the memory starts over

Values: TypeAlias = tuple[Any, ...]

LEAST: Final = -(1 << 63)  # of a whole number
MOST: Final = (1 << 63) - 1
_PLAIN: Final = re.compile(rf"-?(?:0|[1-9][0-9]{{0,{MAX_DIGITS - 1}}})(?:\.[0-9]{{1,{MAX_DIGITS}}})?", re.ASCII)
_ANY: Final = re.compile(
    r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII
)  # no 1_000, no other digits
_ZERO: Final = "-0."  # what a negative zero is made of
_NUL_ESCAPE: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class PoisonError(ValueError):
    """A message that is not stored as what it is; the text says why and never repeats the value."""


class Unreadable(msgspec.Struct):
    """What came in place of a message, and that nobody can read; all of it ASCII. Its row is one of `quarantine`."""

    subject: str
    reason: str
    payload: str
    ts: int  # ns, when it came

    @property
    def symbol(self) -> None:
        """Nobody knows."""


Storable: TypeAlias = Message | Unreadable


class Row(NamedTuple):
    """One row: the table's name, and the values in the order of its columns."""

    table: str
    values: Values


class _Texts(dict[str, str]):
    """`texts[name]` is `name` if it can be stored; symbols and providers come again and again."""

    def __missing__(self, value: object) -> str:
        text = _text(value)
        if len(self) >= MAX_REMEMBERED:
            self.clear()
        self[text] = text
        return text


class _Exacts(dict[str, str]):
    """`exacts[text]` is the same number in plain notation, digit for digit, so both engines give the text back.

    The number is one of a market: below LIMIT, and above zero, or zero where that has a meaning.
    """

    def __init__(self, *, from_zero: bool) -> None:
        super().__init__()
        self._from_zero = from_zero

    def __missing__(self, value: object) -> str:
        if type(value) is not str:
            raise PoisonError(f"expected a decimal text, found {type(value).__name__}")
        exact = value if _PLAIN.fullmatch(value) else _plain(value)
        self._check(float(exact))
        if exact[0] == "-" and not exact.strip(_ZERO):  # PostgreSQL has no negative zero
            exact = exact[1:]
        if len(self) >= MAX_REMEMBERED:
            self.clear()
        self[value] = exact
        return exact

    def _check(self, number: float) -> None:
        if number < 0.0:
            raise PoisonError("a price or size is below zero")
        if number == 0.0 and not self._from_zero:
            raise PoisonError("a price is zero")
        if number >= LIMIT:
            raise PoisonError("a price or size is 10^15 or more")


texts: Final = _Texts()
_prices: Final = _Exacts(from_zero=False)
_sizes: Final = _Exacts(from_zero=True)  # and the prices of a quote, where 0 is a side that is missing


def _plain(text: str) -> str:
    """Another way to write a number, such as `1e-7` or `007`, in plain notation."""
    try:
        number = Decimal(text) if len(text) <= 2 * MAX_DIGITS and _ANY.fullmatch(text) else Decimal("NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    if number.is_finite() and abs(number.adjusted()) <= MAX_DIGITS:
        plain = format(number, "f")
        if _PLAIN.fullmatch(plain):
            return plain
    raise PoisonError("a price or size is no number, or an absurd one")


def _text(value: object) -> str:
    if type(value) is not str:
        raise PoisonError(f"expected text, found {type(value).__name__}")
    if value.isalnum() and value.isascii() and len(value) <= MAX_TEXT_BYTES:  # the usual case, at once
        return value
    if not (value.isascii() and value.isprintable()):
        if "\0" in value:
            raise PoisonError("a text holds a NUL character")
        try:
            length = len(value.encode())
        except UnicodeEncodeError:
            raise PoisonError("a text holds half a character (a lone surrogate)") from None
    else:
        length = len(value)
    if length > MAX_TEXT_BYTES:
        raise PoisonError(f"a text is longer than {MAX_TEXT_BYTES} bytes")
    return value


def _integer(value: object) -> int:
    if type(value) is int and LEAST <= value <= MOST:
        return value
    if type(value) is int:
        raise PoisonError("a whole number does not fit into 64 bits")
    raise PoisonError(f"expected a whole number, found {type(value).__name__}")


def _time(value: object) -> int | None:
    return None if value is None else _integer(value)


def _truth(value: object) -> int:
    """1 or 0, as SQLite keeps it: Python's driver takes a sixth longer for a row that holds a bool."""
    if type(value) is not bool:
        raise PoisonError(f"expected true or false, found {type(value).__name__}")
    return int(value)


def _name(value: object) -> str | None:
    return None if value is None else _text(value)


def _json(value: object) -> bytes:
    _finite(value)
    try:
        encoded = msgspec.json.encode(value)
    except UnicodeEncodeError:
        raise PoisonError("a text holds half a character (a lone surrogate)") from None
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise PoisonError(f"it cannot be written as JSON: {type(error).__name__}") from None
    if len(encoded) > MAX_JSON_BYTES:
        raise PoisonError(f"a field is longer than {MAX_JSON_BYTES} bytes")
    if b"\\u0000" in encoded and _NUL_ESCAPE.search(encoded):
        raise PoisonError("a text holds a NUL character")
    return encoded


def _finite(value: object, depth: int = 0) -> None:
    """JSON has no NaN; its writer would turn one into null without a word."""
    if depth > 100:
        raise PoisonError("a field is nested deeper than 100 levels")
    if type(value) is float:
        if not math.isfinite(value):
            raise PoisonError("a number is not finite")
    elif type(value) is dict:
        for each in value.values():
            _finite(each, depth + 1)
    elif type(value) in (list, tuple):
        for each in value:  # type: ignore[attr-defined]  # narrowed by the line above, for which mypy has no rule
            _finite(each, depth + 1)


def digest(*parts: bytes) -> int:
    """A 64-bit hash as the signed number that both engines can hold."""
    return int.from_bytes(blake2b(b"\x1f".join(parts), digest_size=8).digest(), "big", signed=True)


def _trade(event: Trade) -> Values:
    ts_event, ts_recv = event.ts_event, _integer(event.ts_recv)
    price, size, side = _prices[event.price], _sizes[event.size], _name(event.side)
    return (
        texts[event.symbol],
        ts_recv if ts_event is None else _integer(ts_event),
        _text(event.trade_id) or _made_id(ts_recv, price, size, side),
        texts[event.provider],
        ts_event,
        ts_recv,
        price,
        size,
        side,
        _truth(event.backfill),
    )


def _made_id(*content: int | str | None) -> str:
    """The id of a trade whose producer gives none: `~` and 16 hex digits of its content.

    Without one, all trades of a symbol at the same moment would have the same key, and all but one be duplicates.
    """
    return f"~{digest(msgspec.json.encode(content)) & ((1 << 64) - 1):016x}"


def _quote(event: Quote) -> Values:
    content = (
        _time(event.ts_event), _sizes[event.bid], _sizes[event.bid_size], _sizes[event.ask], _sizes[event.ask_size],
    )  # fmt: skip
    mark = digest(msgspec.json.encode(content))
    return (texts[event.symbol], _integer(event.ts_recv), texts[event.provider], mark, *content)


def _book(event: BookL2) -> Values:
    ts_event = _time(event.ts_event)
    bids, asks = _levels(event.bids), _levels(event.asks)
    mark = digest(b"%d" % ts_event if ts_event is not None else b"", bids, asks)
    return (
        texts[event.symbol], _integer(event.ts_recv), texts[event.provider], mark,
        ts_event, bids.decode(), asks.decode(),
    )  # fmt: skip


def _levels(levels: list[Level]) -> bytes:
    try:
        encoded = msgspec.json.encode([(_prices[price], _sizes[size]) for price, size in levels])
    except (TypeError, ValueError) as error:
        raise error if isinstance(error, PoisonError) else PoisonError("a level is no price and size") from None
    if len(encoded) > MAX_JSON_BYTES:
        raise PoisonError(f"a field is longer than {MAX_JSON_BYTES} bytes")
    return encoded


def _heartbeat(event: Heartbeat) -> Values:
    content = _time(event.ts_event), _text(event.status), _integer(event.silent_for_ms)
    synthetic = _truth(event.synthetic)
    mark = digest(msgspec.json.encode((*content, event.synthetic)))
    return (texts[event.symbol], _integer(event.ts_recv), texts[event.provider], mark, *content, synthetic)


def _status(event: Status) -> Values:
    ts_event, kind, detail = _time(event.ts_event), _text(event.kind), _json(event.detail)
    mark = digest(msgspec.json.encode((ts_event, kind)), detail)
    return (
        texts[event.symbol], _integer(event.ts_recv), texts[event.provider], mark, ts_event, kind, detail.decode(),
    )  # fmt: skip


def _features(message: FeatureVector) -> Values:
    ts, provider = _time(message.ts), _name(message.provider)
    features, trust = _json(message.features), _json(msgspec.to_builtins(message.trust))
    mark = digest(msgspec.json.encode((ts, provider)), features, trust)
    return (
        texts[message.symbol], _integer(message.ts_emit), mark, ts, provider, features.decode(), trust.decode(),
    )  # fmt: skip


def _signal(message: Signal) -> Values:
    return (
        texts[message.symbol], _integer(message.ts), _text(message.id), _text(message.state), _name(message.provider),
        _text(message.direction), _text(message.rule), _integer(message.valid_until), _body(message),
    )  # fmt: skip


def _alert(message: Alert) -> Values:
    return (
        _text(message.id), _integer(message.ts), _text(message.state), _text(message.kind), _text(message.severity),
        _name(message.symbol), _name(message.provider), _body(message),
    )  # fmt: skip


def _set_aside(message: Unreadable) -> Values:
    subject, payload = _ascii_line(message.subject), message.payload[:MAX_PAYLOAD]
    mark = digest(subject.encode(), payload.encode())
    return (mark, _integer(message.ts), subject, _ascii_line(message.reason), payload)


def _body(message: Signal | Alert) -> str:
    return _json(msgspec.to_builtins(message)).decode()


_MAKERS: Final[dict[type[Storable], tuple[str, str, Callable[[Any], Values]]]] = {
    Trade: ("trade", "trade", _trade),
    Quote: ("quote", "quote", _quote),
    BookL2: ("book_l2", "book", _book),
    Heartbeat: ("heartbeat", "heartbeat", _heartbeat),
    Status: ("status", "gap", _status),
    FeatureVector: ("features", "feature", _features),
    Signal: ("signal", "signal", _signal),
    Alert: ("alert", "alert", _alert),
    Unreadable: ("unreadable", "quarantine", _set_aside),
}

NAMES: Final = {kind: name for kind, (name, _, _) in _MAKERS.items()}  # of all kinds of messages
TABLES: Final = {kind: table for kind, (_, table, _) in _MAKERS.items()}


def make_row(message: Storable) -> Row:
    """The row of one message.

    Raises:
        PoisonError: it cannot be stored.
    """
    _, table, make = _MAKERS[message.__class__]
    try:
        return Row(table, make(message))
    except TypeError:  # something that cannot even be looked up, in place of a text
        raise PoisonError("a field holds something of another type") from None


def quarantine_row(message: Storable, reason: str, now_ns: int) -> Row:
    """The row that keeps a message which cannot be stored, for people to look at."""
    payload = _ascii(message)
    mark = digest(payload.encode())
    name = NAMES[message.__class__]
    return Row("quarantine", (mark, now_ns, name, _ascii_line(reason), payload[:MAX_PAYLOAD]))


def _ascii(message: Storable) -> str:
    """A message as JSON in ASCII whatever it holds: NUL and half characters escaped, NaN as NaN."""
    fields = {name: getattr(message, name) for name in message.__struct_fields__ if name not in ("seq", "epoch")}
    try:
        return json.dumps(fields, default=_plain_object, skipkeys=True)
    except (TypeError, ValueError):
        return ascii(fields)[:MAX_PAYLOAD]
    except RecursionError:  # too deep for `ascii` as well
        return json.dumps(fields | {name: str(type(value)) for name, value in fields.items() if _nests(value)})


def _nests(value: object) -> bool:
    return not isinstance(value, str | int | float | None)


def _plain_object(value: object) -> object:
    names = getattr(value, "__struct_fields__", None)
    return ascii(value) if names is None else {name: getattr(value, name) for name in names}


def _ascii_line(text: str) -> str:
    return " ".join(text.encode("ascii", "backslashreplace").decode().replace("\0", "\\0").split())[:500]
