"""Rows of many trades or quotes at once: those that `rows.make_row` makes one by one, at a fraction of its cost. Pure.

The checks are the same, made of whole columns. Where one fails, somewhere in there is a row that cannot be stored or
has to be looked at more closely, and nobody but `make_row` says which.
"""

from collections.abc import Callable, Sequence, Set
from hashlib import blake2b
from struct import unpack
from typing import Any, Final

import msgspec

from app.storage.rows import LEAST, LIMIT, MAX_DIGITS, MAX_TEXT_BYTES, MOST, PoisonError, Storable, Values, texts
from md_contract.events import Quote, Trade

_numbers: Final = msgspec.json.Decoder(list[float])
_encode_lines: Final = msgspec.json.Encoder().encode_lines
_NOT_PLAIN: Final = ("e", "E", " ", "\t", "\r", "\n", "-0")  # what a number in JSON may have and a plain one not
_UNFIT: Final = (PoisonError, TypeError, UnicodeError, msgspec.DecodeError)


class _UnfitError(Exception):
    """Some value of a column is not what nearly all are."""


def make_rows(kind: type[Storable], messages: Sequence[Any]) -> list[Values] | None:
    """The rows of messages that are all of one kind; None when they have to be made one by one."""
    maker = _MAKERS.get(kind)
    if maker is None:
        return None
    try:
        return maker(messages)
    except (_UnfitError, *_UNFIT):
        return None


def _trades(events: Sequence[Trade]) -> list[Values]:
    rows: list[Values] = [
        (
            e.symbol, e.ts_recv if (ts_event := e.ts_event) is None else ts_event, e.trade_id, e.provider,
            ts_event, e.ts_recv, e.price, e.size, e.side, +e.backfill,
        )
        for e in events
    ]  # fmt: skip
    symbols, times, ids, providers, _, received, prices, sizes, sides, _ = zip(*rows, strict=True)
    _check_names({*symbols, *providers})
    _check_names({*sides} - {None})
    _check_texts(ids)
    if not all(ids):
        raise _UnfitError
    _check_times(times)
    _check_times(received)
    _check_numbers(prices, from_zero=False)
    _check_numbers(sizes, from_zero=True)
    if {e.backfill.__class__ for e in events} != {bool}:
        raise _UnfitError
    return rows


def _quotes(events: Sequence[Quote]) -> list[Values]:
    contents = [(e.ts_event, e.bid, e.bid_size, e.ask, e.ask_size) for e in events]
    times, *numbers = zip(*contents, strict=True)
    origins = [(e.symbol, e.ts_recv, e.provider) for e in events]
    symbols, received, providers = zip(*origins, strict=True)
    _check_names({*symbols, *providers})
    _check_times(received)
    _check_times([ts for ts in times if ts is not None])
    for column in numbers:
        _check_numbers(column, from_zero=True)
    digests = [blake2b(line, digest_size=8).digest() for line in _encode_lines(contents).splitlines()]
    marks = unpack(f">{len(digests)}q", b"".join(digests))
    return [(*origin, mark, *content) for origin, mark, content in zip(origins, marks, contents, strict=True)]


_MAKERS: Final[dict[type[Storable], Callable[[Any], list[Values]]]] = {Trade: _trades, Quote: _quotes}


def _check_names(names: Set[str]) -> None:
    """Texts that come again and again, each of them once."""
    for name in names:
        texts[name]


def _check_texts(column: Sequence[str]) -> None:
    together = "".join(column)
    if not (together.isascii() and together.isprintable()) or max(map(len, column)) > MAX_TEXT_BYTES:
        raise _UnfitError


def _check_times(column: Sequence[int]) -> None:
    if column and (set(map(type, column)) != {int} or min(column) < LEAST or max(column) > MOST):
        raise _UnfitError


def _check_numbers(column: Sequence[str], *, from_zero: bool) -> None:
    """Plain numbers of a market, written as JSON would: one list of them is read by a reader of JSON."""
    together = ",".join(column)
    values = _numbers.decode(f"[{together}]")
    if len(values) != len(column) or max(map(len, column)) > MAX_DIGITS:
        raise _UnfitError
    least = min(values)
    if least < 0.0 or (not least and not from_zero) or max(values) >= LIMIT:
        raise _UnfitError
    if any(map(together.__contains__, _NOT_PLAIN)):
        raise _UnfitError
