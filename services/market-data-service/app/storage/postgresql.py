"""The store in a PostgreSQL server.

A batch is first tried as COPY, the fastest way in, which fails as a whole when one of its rows is there already. That
happens after a re-delivery only, so then the batch goes in a second time as INSERT ... ON CONFLICT DO NOTHING.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
from sqlalchemy import Table, make_url
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.storage import retry
from app.storage.address import NUMBERS, Address
from app.storage.batch import Tables
from app.storage.copycsv import OPTIONS, copy_csv
from app.storage.deletion import delete_exactly
from app.storage.migrate import check, upgrade, upgraded
from app.storage.retry import Verdict
from app.storage.schema import metadata
from app.storage.store import StorageError, WriteError, Written, count_written

CONNECT_S: Final = 5.0
WRITE_S: Final = 10.0  # a transaction that takes longer is given up, and its connection with it
CONFLICTS_AHEAD: Final = 20  # batches that are not tried as COPY after one that failed: re-deliveries come together

ERRORS: Final = (
    SQLAlchemyError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    ValueError,
    TypeError,
    OverflowError,
)
_FOR_GOOD: Final = ("28", "3D")  # who we are, and the database: waiting does not help at the start
_ARRAYS: Final = {"BIGINT": "bigint", "BOOLEAN": "integer"}  # the rest travels as text and is cast there


def _insert(table: Table) -> str:
    """INSERT of one array a column, so that a batch is one statement of a fixed text."""
    kinds = [column.type.compile(postgresql.dialect()) for column in table.columns]  # type: ignore[no-untyped-call]  # SQLAlchemy's own gap
    names = table.columns.keys()
    arrays = ", ".join(f"${i}::{_ARRAYS.get(kind, 'text')}[]" for i, kind in enumerate(kinds, 1))
    values = ", ".join(f"a{i}::{kind}" for i, kind in enumerate(kinds, 1))
    aliases = ", ".join(f"a{i}" for i in range(1, len(kinds) + 1))
    return (
        f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {values} "  # noqa: S608 - our own names
        f"FROM unnest({arrays}) AS rows({aliases}) ON CONFLICT DO NOTHING"
    )


_COLUMNS: Final = {table.name: table.columns.keys() for table in metadata.sorted_tables}
_INSERT: Final = {table.name: _insert(table) for table in metadata.sorted_tables}


def make_engine(address: Address, settings: Mapping[str, str], pool_size: int) -> AsyncEngine:
    """An engine on the server; `settings` are those of PostgreSQL for every connection."""
    url = make_url(address.url)
    numbers = {name: kind(str(url.query[name])) for name, kind in NUMBERS.items() if name in url.query}
    return create_async_engine(
        url.difference_update_query(numbers),
        pool_size=pool_size,
        max_overflow=0,
        hide_parameters=True,
        connect_args={
            "timeout": CONNECT_S,
            **numbers,
            "server_settings": {"application_name": "market-data-service", **settings},
        },
    )


class PostgresqlStore:
    """See `Store`."""

    def __init__(self, address: Address) -> None:
        self.shown = address.shown
        self._engine = make_engine(address, {"timezone": "UTC"}, pool_size=1)
        self._is_prepared = False
        self._conflicts_ahead = 0

    async def prepare(self) -> None:
        """See `Store.prepare`. The schema of a server is never changed here: `python -m app migrate` does that."""
        try:
            async with asyncio.timeout(CONNECT_S + WRITE_S), self._engine.connect() as connection:
                state = await connection.run_sync(check)
        except ERRORS as error:
            failure = _explain(error)
            if isinstance(error, asyncpg.ClientConfigurationError) or (_sqlstate(error) or "").startswith(_FOR_GOOD):
                raise StorageError(f"{self.shown}: {failure.why}") from None
            raise failure from None
        if not state.is_usable:
            raise StorageError(f"{self.shown}: {state.why}")
        self._is_prepared = True

    async def migrate(self) -> str:
        """See `Store.migrate`."""
        try:
            async with self._engine.begin() as connection:
                state = await connection.run_sync(check)
                if state.can_upgrade:
                    await connection.run_sync(upgrade)
        except ERRORS as error:
            raise _explain(error) from None
        if state.is_usable:
            return f"{self.shown}: nothing to do, its schema is revision {state.revision!r}"
        if not state.can_upgrade:
            raise StorageError(f"{self.shown}: {state.why}")
        return upgraded(self.shown, state)

    async def insert(self, tables: Tables) -> Written:
        """See `Store.insert`."""
        if not self._is_prepared:
            try:
                await self.prepare()
            except StorageError as error:
                raise WriteError(Verdict.AWAY, str(error)) from None
        if self._conflicts_ahead:
            self._conflicts_ahead -= 1
        else:
            try:
                return await self._copy(tables)
            except asyncpg.UniqueViolationError:
                self._conflicts_ahead = CONFLICTS_AHEAD
        return await self._insert(tables)

    async def _copy(self, tables: Tables) -> Written:
        new: dict[str, int] = {}
        async with self._transaction(len(tables)) as driver:
            for table, values in tables.items():
                source = memoryview(copy_csv(values))  # the driver takes bytes for the name of a file
                await driver.copy_to_table(table, source=source, columns=_COLUMNS[table], **OPTIONS)
                new[table] = len(values)
        return count_written(new, tables)

    async def _insert(self, tables: Tables) -> Written:
        new: dict[str, int] = {}
        async with self._transaction(len(tables)) as driver:
            for table, values in tables.items():
                done = await driver.execute(_INSERT[table], *map(list, zip(*values, strict=True)))
                new[table] = int(done.rsplit(" ", 1)[1])
        return count_written(new, tables)

    @asynccontextmanager
    async def _transaction(self, statements: int) -> AsyncIterator[Any]:
        """A transaction on the driver's own connection, which is thrown away when it does not answer.

        A single statement is a transaction by itself, and spares the server's answers to BEGIN and COMMIT.
        """
        try:
            async with asyncio.timeout(CONNECT_S + WRITE_S), self._engine.connect() as connection:
                driver: Any = (await connection.get_raw_connection()).driver_connection
                try:
                    if statements > 1:
                        await driver.execute("BEGIN")
                    yield driver
                    if statements > 1:
                        await driver.execute("COMMIT")
                except asyncio.CancelledError:  # also when it took too long: a ROLLBACK would wait as long
                    driver.terminate()
                    raise
                except Exception:
                    if statements > 1 and not driver.is_closed():
                        await driver.execute("ROLLBACK")
                    raise
                finally:
                    if driver.is_closed():
                        await connection.invalidate()
        except asyncpg.UniqueViolationError:
            raise
        except ERRORS as error:
            failure = _explain(error)
            if failure.verdict is Verdict.AWAY:
                self._is_prepared = False  # whoever comes back may be another one
            raise failure from None

    async def delete_exactly(self, table: Table, symbol: str, since_ns: int, until_ns: int, expected: int) -> int:
        """See `Store.delete_exactly`."""
        try:
            async with self._engine.connect() as connection:
                return await delete_exactly(connection, table, symbol, since_ns, until_ns, expected)
        except ERRORS as error:
            raise _explain(error) from None

    async def dispose(self) -> None:
        """See `Store.dispose`."""
        await self._engine.dispose()


def _sqlstate(error: BaseException | None) -> str | None:
    if isinstance(error, DBAPIError):
        error = error.orig
    while error is not None:
        if (found := getattr(error, "sqlstate", None)) is not None:
            return str(found)
        error = error.__cause__
    return None


def _explain(error: Exception) -> WriteError:
    cause: BaseException = (error.orig if isinstance(error, DBAPIError) else None) or error
    why = f"{type(cause).__name__}: {' '.join(str(cause).split())[:200]}".removesuffix(": ")
    sqlstate = _sqlstate(error)
    if sqlstate is not None:
        return WriteError(retry.of_postgresql(sqlstate), f"{sqlstate} {why}")
    is_data = isinstance(cause, (asyncpg.DataError, ValueError, TypeError, OverflowError))
    away = isinstance(cause, (OSError, TimeoutError, asyncpg.InterfaceError, SQLAlchemyError))
    return WriteError(Verdict.AWAY if away and not is_data else Verdict.POISON, why)
