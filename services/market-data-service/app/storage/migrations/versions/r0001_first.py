"""The first tables: what the exchange said, what was made of it, and what could not be stored."""

from typing import Any, Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

revision: Final = "0001"
down_revision: Final = None

_INTEGER: Final[TypeEngine[Any]] = sa.BigInteger()
_EXACT: Final[TypeEngine[Any]] = sa.Text().with_variant(sa.Numeric(), "postgresql")
_JSON: Final[TypeEngine[Any]] = sa.JSON().with_variant(JSONB(), "postgresql")
_KEY_TEXT: Final[TypeEngine[Any]] = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_CONTENT: Final = {"symbol": _KEY_TEXT, "ts_recv": _INTEGER, "provider": _KEY_TEXT, "digest": _INTEGER}


def upgrade() -> None:
    _create(
        "trade",
        {"symbol": _KEY_TEXT, "ts": _INTEGER, "trade_id": _KEY_TEXT, "provider": _KEY_TEXT},
        _optional("ts_event", _INTEGER),
        _column("ts_recv", _INTEGER),
        _column("price", _EXACT),
        _column("size", _EXACT),
        _optional("side", sa.Text()),
        _column("backfill", sa.Boolean()),
    )
    _create(
        "quote",
        _CONTENT,
        _optional("ts_event", _INTEGER),
        *(_column(name, _EXACT) for name in ("bid", "bid_size", "ask", "ask_size")),
    )
    _create("book", _CONTENT, _optional("ts_event", _INTEGER), _column("bids", _JSON), _column("asks", _JSON))
    _create(
        "heartbeat",
        _CONTENT,
        _optional("ts_event", _INTEGER),
        _column("status", sa.Text()),
        _column("silent_for_ms", _INTEGER),
        _column("synthetic", sa.Boolean()),
    )
    _create("gap", _CONTENT, _optional("ts_event", _INTEGER), _column("kind", sa.Text()), _column("detail", _JSON))
    _create(
        "feature",
        {"symbol": _KEY_TEXT, "ts_emit": _INTEGER, "digest": _INTEGER},
        _optional("ts", _INTEGER),
        _optional("provider", sa.Text()),
        _column("features", _JSON),
        _column("trust", _JSON),
    )
    _create(
        "signal",
        {"symbol": _KEY_TEXT, "ts": _INTEGER, "id": _KEY_TEXT, "state": _KEY_TEXT},
        _optional("provider", sa.Text()),
        _column("direction", sa.Text()),
        _column("rule", sa.Text()),
        _column("valid_until", _INTEGER),
        _column("body", _JSON),
    )
    _create(
        "alert",
        {"id": _KEY_TEXT, "ts": _INTEGER, "state": _KEY_TEXT},
        _column("kind", sa.Text()),
        _column("severity", sa.Text()),
        _optional("symbol", sa.Text()),
        _optional("provider", sa.Text()),
        _column("body", _JSON),
    )
    _create(
        "quarantine",
        {"digest": _INTEGER},
        _column("ts", _INTEGER),
        *(_column(name, sa.Text()) for name in ("type", "reason", "payload")),
    )


def _create(name: str, key: dict[str, TypeEngine[Any]], *columns: sa.Column[Any]) -> None:
    keys = [sa.Column(each, kind, primary_key=True, autoincrement=False) for each, kind in key.items()]
    op.create_table(name, *keys, *columns, sqlite_with_rowid=False)


def _column(name: str, kind: TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _optional(name: str, kind: TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind)
