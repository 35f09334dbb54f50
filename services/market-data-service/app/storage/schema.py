"""The tables, the same on SQLite and PostgreSQL; `migrations/` makes them, a test keeps the two in step.

Every key is made of what an event is, never of when it was stored, so a second delivery of the same event finds its row
already there. `digest` is a 64-bit hash of the content without `seq` and `epoch`, which belong to the way over the bus
and are not stored. Times are integer nanoseconds since 1970 UTC.

Prices and sizes are exact (see docs/adr/0004): NUMERIC on PostgreSQL, the venue's own text on SQLite, decimal text in
Python. Calculate with `number(column)`, which is a double on both; never compare the bare column with a number.
"""

from decimal import Decimal
from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Cast,
    Column,
    ColumnElement,
    Dialect,
    Float,
    MetaData,
    Numeric,
    Table,
    Text,
    cast,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator, TypeEngine


class Exact(TypeDecorator[str]):
    """A decimal number that loses no digit on its way in and out; `str` in Python."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Numeric() if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ANN401 - the driver's own type
        return Decimal(value) if value is not None and dialect.name == "postgresql" else value

    def process_result_value(self, value: Any | None, dialect: Dialect) -> str | None:  # noqa: ANN401, ARG002 - the signature is SQLAlchemy's
        return format(value, "f") if isinstance(value, Decimal) else value


def number(column: ColumnElement[Any]) -> Cast[float]:
    """An exact column as a double, to calculate with: `CAST(price AS FLOAT)` on both engines."""
    return cast(column, Float)


metadata: Final = MetaData()

_JSON: Final = JSON().with_variant(JSONB(), "postgresql")


_KEY_TEXT: Final = Text().with_variant(Text(collation="C"), "postgresql")  # in the order of its bytes, as on SQLite


def _key(name: str, kind: type[Text | BigInteger]) -> Column[Any]:
    return Column(name, _KEY_TEXT if kind is Text else BigInteger(), primary_key=True, autoincrement=False)


def _table(name: str, *columns: Column[Any]) -> Table:
    return Table(name, metadata, *columns, sqlite_with_rowid=False)


def _content_key() -> tuple[Column[Any], ...]:
    return _key("symbol", Text), _key("ts_recv", BigInteger), _key("provider", Text), _key("digest", BigInteger)


trade: Final = _table(
    "trade",
    _key("symbol", Text),
    _key("ts", BigInteger),  # ts_event, or ts_recv where the venue gives no time
    _key("trade_id", Text),
    _key("provider", Text),
    Column("ts_event", BigInteger),
    Column("ts_recv", BigInteger, nullable=False),
    Column("price", Exact, nullable=False),
    Column("size", Exact, nullable=False),
    Column("side", Text),
    Column("backfill", Boolean, nullable=False),
)

quote: Final = _table(
    "quote",
    *_content_key(),
    Column("ts_event", BigInteger),
    Column("bid", Exact, nullable=False),
    Column("bid_size", Exact, nullable=False),
    Column("ask", Exact, nullable=False),
    Column("ask_size", Exact, nullable=False),
)

book: Final = _table(
    "book",
    *_content_key(),
    Column("ts_event", BigInteger),
    Column("bids", _JSON, nullable=False),  # [["price", "size"], ...] best first
    Column("asks", _JSON, nullable=False),
)

heartbeat: Final = _table(
    "heartbeat",
    *_content_key(),
    Column("ts_event", BigInteger),
    Column("status", Text, nullable=False),
    Column("silent_for_ms", BigInteger, nullable=False),
    Column("synthetic", Boolean, nullable=False),
)

gap: Final = _table(  # every status event, whatever its kind; those of kind "gap" gave the table its name
    "gap",
    *_content_key(),
    Column("ts_event", BigInteger),
    Column("kind", Text, nullable=False),
    Column("detail", _JSON, nullable=False),
)

feature: Final = _table(
    "feature",
    _key("symbol", Text),
    _key("ts_emit", BigInteger),
    _key("digest", BigInteger),
    Column("ts", BigInteger),
    Column("provider", Text),
    Column("features", _JSON, nullable=False),
    Column("trust", _JSON, nullable=False),
)

signal: Final = _table(
    "signal",
    _key("symbol", Text),
    _key("ts", BigInteger),
    _key("id", Text),
    _key("state", Text),
    Column("provider", Text),
    Column("direction", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("valid_until", BigInteger, nullable=False),
    Column("body", _JSON, nullable=False),  # the whole message: conditions, features, trust
)

alert: Final = _table(
    "alert",
    _key("id", Text),
    _key("ts", BigInteger),
    _key("state", Text),
    Column("kind", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("symbol", Text),
    Column("provider", Text),
    Column("body", _JSON, nullable=False),  # the whole message
)

quarantine: Final = _table(
    "quarantine",
    _key("digest", BigInteger),  # of the whole payload
    Column("ts", BigInteger, nullable=False),  # when it was set aside
    Column("type", Text, nullable=False),  # trade, quote ...; of what nobody can read: its subject
    Column("reason", Text, nullable=False),
    Column("payload", Text, nullable=False),  # JSON in ASCII, cut at 64 KiB
)
