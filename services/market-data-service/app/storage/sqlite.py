"""The store in one SQLite file: WAL, every commit on disk before it counts, one connection that writes."""

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final

import structlog
from sqlalchemy import Table, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from app.storage import retry
from app.storage.batch import Tables
from app.storage.deletion import delete_exactly
from app.storage.files import WriterLock, identity, make_private
from app.storage.migrate import check, upgrade_sqlite, upgraded
from app.storage.retry import Verdict
from app.storage.rows import Values
from app.storage.schema import metadata
from app.storage.store import StorageError, WriteError, Written, count_written

log: Final = structlog.get_logger("app.storage")

BUSY_S: Final = 0.25  # how long SQLite itself waits for a lock; the writer tries again by its own rules
ERRORS: Final = (SQLAlchemyError, sqlite3.Error, OSError, ValueError, TypeError, OverflowError)
WAL_BYTES: Final = 64 << 20  # of the log that are kept after a checkpoint

_WRITER: Final = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    f"PRAGMA journal_size_limit={WAL_BYTES}",
    "PRAGMA cache_size=-65536",
)
ROWS_AT_ONCE: Final = 100  # in one statement: Python's other threads wait for each statement to begin and to end


def _insert(table: Table, rows: int) -> str:
    row = f"({', '.join('?' * len(table.columns))})"
    return (
        f"INSERT INTO {table.name} ({', '.join(table.columns.keys())}) "  # noqa: S608 - our own names
        f"VALUES {', '.join([row] * rows)} ON CONFLICT DO NOTHING"
    )


_INSERT: Final = {
    (table.name, rows): _insert(table, rows) for table in metadata.sorted_tables for rows in (1, ROWS_AT_ONCE)
}


def writing_engine(path: Path) -> AsyncEngine:
    """An engine with one connection, whose transactions take the write lock when they begin."""
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{path}",
        poolclass=AsyncAdaptedQueuePool,
        pool_size=1,
        max_overflow=0,
        pool_reset_on_return=None,
        hide_parameters=True,
        connect_args={"timeout": BUSY_S, "isolation_level": None},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: object) -> None:  # noqa: ANN401 - SQLAlchemy's adapter of the driver's
        cursor = connection.cursor()
        for pragma in _WRITER:
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Any) -> None:  # noqa: ANN401 - as above
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def reading_engine(path: Path) -> AsyncEngine:
    """An engine that cannot change anything, beside whoever writes."""
    quoted = str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return create_async_engine(
        f"sqlite+aiosqlite:///file:{quoted}?mode=ro&uri=true",
        hide_parameters=True,
        connect_args={"timeout": 5.0},
    )


class SqliteStore:
    """See `Store`."""

    def __init__(self, path: Path) -> None:
        """Take the file for this process alone to write, and make it when there is none.

        Raises:
            StorageError: another process writes to it, or it cannot be made.
        """
        self.shown = f"sqlite+aiosqlite:///{path}"
        self._path = path
        make_private(path)
        self._lock = WriterLock(path)
        self._engine: AsyncEngine | None = None
        self._identity: tuple[int, int] | None = None
        self._done = ""  # by the last `prepare`, for people

    async def prepare(self) -> None:
        """See `Store.prepare`; brings an older schema up to date, after a copy of the file."""
        try:
            await self._open()
        except BaseException:
            await self._close()
            raise

    async def migrate(self) -> str:
        """See `Store.migrate`."""
        await self.prepare()
        return self._done

    async def _open(self) -> None:
        make_private(self._path)
        found = identity(self._path)
        self._engine = writing_engine(self._path)
        try:
            async with self._engine.connect() as connection:
                state = await connection.run_sync(check)
            if state.is_usable:
                self._identity = found
                self._done = f"{self.shown}: nothing to do, its schema is revision {state.revision!r}"
                return
            if not state.can_upgrade:
                raise StorageError(f"{self.shown}: {state.why}")
            copy = await upgrade_sqlite(self._engine, self._path, state)
            self._done = upgraded(self.shown, state, copy)
        except ERRORS as error:
            raise _explain(error) from None
        self._identity = found

    async def insert(self, tables: Tables) -> Written:
        """See `Store.insert`."""
        engine = await self._ready()
        transaction = _Transaction(tables)
        try:
            async with engine.connect() as connection:
                driver: Any = (await connection.get_raw_connection()).driver_connection
                new: dict[str, int] = await driver._execute(
                    transaction.write, driver._conn
                )  # nothing public does it at once
        except asyncio.CancelledError:
            transaction.wanted = False
            raise
        except ERRORS as error:
            raise _explain(error) from None
        if identity(self._path) != self._identity:  # committed into a file that nobody will ever find again
            await self._close()
            raise WriteError(Verdict.AWAY, f"{self._path} was removed or replaced while it was open")
        return count_written(new, tables)

    async def delete_exactly(self, table: Table, symbol: str, since_ns: int, until_ns: int, expected: int) -> int:
        """See `Store.delete_exactly`."""
        engine = await self._ready()
        try:
            async with engine.connect() as connection:
                return await delete_exactly(connection, table, symbol, since_ns, until_ns, expected)
        except ERRORS as error:
            raise _explain(error) from None

    async def dispose(self) -> None:
        """See `Store.dispose`; the last connection that closes folds the log into the file."""
        await self._close()
        self._lock.release()

    async def _ready(self) -> AsyncEngine:
        if self._engine is not None and identity(self._path) != self._identity:
            log.warning(
                "the store's file was removed or replaced while it was open",
                file=str(self._path),
                next="a new one is made where none is; what was in the old one is gone, unless you moved it",
            )
            await self._close()
        if self._engine is None:
            try:
                await self.prepare()
            except StorageError as error:
                raise WriteError(Verdict.AWAY, str(error)) from None
        assert self._engine is not None  # noqa: S101 - prepare has just made it
        return self._engine

    async def _close(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.dispose()


class _Transaction:
    """All of it in the connection's own thread: step by step it would wait for its turn on the event
    loop at every step.
    """

    def __init__(self, tables: Tables) -> None:
        self.wanted = True  # False: nobody waits for it any more, so what is not committed yet shall not be
        self._tables = tables

    def write(self, connection: sqlite3.Connection) -> dict[str, int]:
        """Return how many rows of each table are new."""
        new = dict.fromkeys(self._tables, 0)
        connection.execute("BEGIN IMMEDIATE")
        try:
            for table, statement, values in _statements(self._tables):
                new[table] += connection.executemany(statement, values).rowcount
            if self.wanted:
                connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        return new


def _statements(tables: Tables) -> Iterator[tuple[str, str, Sequence[Values]]]:
    """The table, the statement and its parameters, one tuple each time it is carried out."""
    for table, rows in tables.items():
        whole = len(rows) - len(rows) % ROWS_AT_ONCE
        if whole:
            many = [tuple(chain.from_iterable(rows[at : at + ROWS_AT_ONCE])) for at in range(0, whole, ROWS_AT_ONCE)]
            yield table, _INSERT[table, ROWS_AT_ONCE], many
        if whole < len(rows):
            yield table, _INSERT[table, 1], rows[whole:]


def _explain(error: Exception) -> WriteError:
    cause: BaseException | None = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(cause, "sqlite_errorcode", None)
    name = getattr(cause, "sqlite_errorname", type(cause).__name__)
    return WriteError(retry.of_sqlite(code), f"{name}: {' '.join(str(cause).split())[:200]}")
