"""What a row of the store looks like in Parquet.

A price or size is a double, which every tool can calculate with at once. A decimal number of up to 15 digits is
recovered from its double without fail; of one that is not, the exact text stands in a column of its own
(`price_exact` ...), which is null everywhere else and costs nothing. Times are integer nanoseconds since 1970 UTC.
"""

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

import pyarrow as pa
from sqlalchemy import Column, Table

from app.storage import schema

DIGITS_ALWAYS_EXACT: Final = 15  # of a decimal number in a double

_LEVELS: Final = pa.list_(pa.struct([("price", pa.float64()), ("size", pa.float64())]))
_TEXT: Final = pa.string()
_NUMBER: Final = pa.float64()
_INT: Final = pa.int64()


def exact(text: str | None) -> str | None:
    """The number's text when its double does not give it back, else None."""
    if text is None or len(text) <= DIGITS_ALWAYS_EXACT:
        return None
    return None if Decimal(repr(float(text))) == Decimal(text) else text


def _levels(levels: Sequence[Sequence[str]]) -> list[dict[str, float]]:
    return [{"price": float(price), "size": float(size)} for price, size in levels]


def _exact_levels(levels: Sequence[Sequence[str]]) -> str | None:
    """The side as JSON when any of its numbers needs it."""
    return json.dumps(levels) if any(exact(number) is not None for level in levels for number in level) else None


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


class _Field(NamedTuple):
    name: str
    type: pa.DataType
    value: Callable[[Any], Any] | None  # of the stored value; None: as it is


def _fields(column: Column[Any]) -> list[_Field]:
    """The Parquet columns of one column of the store."""
    name = column.name
    if isinstance(column.type, schema.Exact):
        return [_Field(name, _NUMBER, float), _Field(f"{name}_exact", _TEXT, exact)]
    if name in ("bids", "asks"):
        return [_Field(name, _LEVELS, _levels), _Field(f"{name}_exact", _TEXT, _exact_levels)]
    kind = column.type.python_type
    if kind is int:
        return [_Field(name, _INT, None)]
    if kind is bool:
        return [_Field(name, pa.bool_(), None)]
    return [_Field(name, _TEXT, None if kind is str else _json)]


class Columns:
    """Turns rows of one table into Arrow."""

    def __init__(self, table: Table) -> None:
        self._sources = [(index, field) for index, column in enumerate(table.c) for field in _fields(column)]
        self.schema = pa.schema([(field.name, field.type) for _, field in self._sources])

    def batch(self, rows: Sequence[Sequence[Any]]) -> pa.RecordBatch:
        """The rows, which have every column of the table in its order."""
        columns = list(zip(*rows, strict=True)) if rows else [()] * (1 + self._sources[-1][0])
        arrays = [
            pa.array(columns[index] if field.value is None else list(map(field.value, columns[index])), field.type)
            for index, field in self._sources
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)
