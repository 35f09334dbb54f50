"""Stores for the storage cases: an SQLite file of each run, and one PostgreSQL for the whole case."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from postgres import running
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import create_async_engine

from app.storage.opening import migrate_store
from app.storage.reader import open_reader
from app.storage.schema import trade
from harness.case import AbsentError, Setting, expect

ENGINES: Final = ("sqlite", "postgresql")
BATCH: Final = 1_000


@contextmanager
def postgresql() -> Iterator[Setting]:
    """A PostgreSQL server where the machine has one."""
    with running() as server:
        yield {} if server is None else {"postgresql": server.url(server.new_database())}


async def empty_store(engine: str, setting: Setting) -> str:
    """The URL of a store with empty tables.

    Raises:
        AbsentError: the machine has no such engine.
    """
    url = f"sqlite+aiosqlite:///{Path(setting['folder']) / 'market.db'}"
    if engine == "postgresql":
        if "postgresql" not in setting:
            raise AbsentError("PostgreSQL is not installed")
        url = setting["postgresql"]
        server = create_async_engine(url)
        async with server.begin() as connection:
            await connection.exec_driver_sql("DROP SCHEMA public CASCADE")
            await connection.exec_driver_sql("CREATE SCHEMA public")
        await server.dispose()
    await migrate_store(url)
    return url


async def expect_rows(url: str, rows: int) -> None:
    """See that exactly so many trades are stored, all of them different."""
    async with open_reader(url) as reader:
        [(found,)] = await reader.rows(select(func.count()).select_from(trade))
    expect("rows stored", found, rows)
