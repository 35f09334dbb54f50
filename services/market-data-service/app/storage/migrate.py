"""Whether a database has the tables of this version, and how it gets them. Alembic's scripts are in `migrations/`.

Alembic is only imported when a database is not what this version wants: most starts go without.
"""

import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.storage.schema import metadata
from app.storage.store import StorageError

if TYPE_CHECKING:
    from alembic.config import Config

REVISION: Final = "0001"  # the newest of the scripts, which make the tables of `schema`
SCRIPTS: Final = Path(__file__).with_name("migrations")
VERSION_TABLE: Final = "alembic_version"
LOCK_NUMBER: Final = 0x6D645F73746F7265  # any number, as long as it is always the same


class SchemaState(NamedTuple):
    """What was found in a database."""

    revision: str | None  # None: an empty one
    is_usable: bool = False
    can_upgrade: bool = False
    why: str = ""  # not usable; one line, and what to do next


def config(connection: Connection | None = None) -> "Config":
    """Alembic's configuration, without a file."""
    from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    made.attributes["connection"] = connection
    return made


def revisions() -> list[str]:
    """The revisions that this version knows, the newest first."""
    from alembic.script import ScriptDirectory

    return [script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()]


def check(connection: Connection) -> SchemaState:
    """Compare the tables that are there with those of this version; changes nothing."""
    inspector = inspect(connection)
    there = set(inspector.get_table_names())
    found: list[str] = []
    if VERSION_TABLE in there:
        found = list(connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalars())  # noqa: S608 - a constant
    if len(found) != 1:
        return _without_revision(found, sorted(there & set(metadata.tables)))
    if found[0] != REVISION:
        return _of_another_version(found[0])
    for table in metadata.sorted_tables:
        columns = {column["name"] for column in inspector.get_columns(table.name)} if table.name in there else set()
        if columns != set(table.columns.keys()):
            return SchemaState(found[0], why=_half(f"revision {found[0]!r}, but not its table {table.name!r}"))
    return SchemaState(found[0], is_usable=True)


def _without_revision(found: list[str], ours: list[str]) -> SchemaState:
    if found:
        return SchemaState(None, why=_half(f"{len(found)} revisions at once"))
    if ours:
        return SchemaState(None, why=_half(f"tables without a revision ({', '.join(ours)})"))
    return SchemaState(None, can_upgrade=True, why="it has no tables yet; next: python -m app migrate")


def _of_another_version(found: str) -> SchemaState:
    its = f"its schema is revision {found!r}"
    if found in revisions():
        why = f"{its}, this version needs {REVISION!r}; next: python -m app migrate"
        return SchemaState(found, can_upgrade=True, why=why)
    why = (
        f"{its} of a newer version than this one ({REVISION!r}); next: run that version, or choose another STORAGE_URL"
    )
    return SchemaState(found, why=why)


def _half(found: str) -> str:
    return f"its schema is half migrated: {found}; next: restore a copy, or choose another STORAGE_URL"


def upgrade(connection: Connection) -> None:
    """Bring the tables to the newest revision, in the transaction that `connection` is in; one process at a time."""
    from alembic import command

    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": LOCK_NUMBER})
    command.upgrade(config(connection), "head")


def upgraded(shown: str, before: SchemaState, copy: Path | None = None) -> str:
    """What an upgrade has done, for people."""
    was = "empty" if before.revision is None else f"revision {before.revision!r}"
    kept = f"; a copy of what it was is {str(copy)!r}" if copy is not None else ""
    return f"{shown}: was {was}, is revision {REVISION!r}{kept}"


async def upgrade_sqlite(engine: AsyncEngine, path: Path, state: SchemaState) -> Path | None:
    """Upgrade an SQLite file after a copy of it; return where the copy is. An empty file is not copied.

    Raises:
        StorageError: it cannot be copied.
    """
    copy = None
    if state.revision is not None:
        copy = path.with_name(f"{path.name}.before-{REVISION}")
        async with engine.connect() as connection:
            raw = await connection.get_raw_connection()
            driver: Any = raw.driver_connection
            await _back_up(driver, copy)
    async with engine.begin() as connection:
        await connection.run_sync(upgrade)
    return copy


async def _back_up(driver: Any, copy: Path) -> None:  # noqa: ANN401 - aiosqlite's connection
    partial = copy.with_name(copy.name + ".tmp")
    try:
        os.close(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600))
        target = sqlite3.connect(partial, check_same_thread=False)
        try:
            await driver.backup(target)
        finally:
            target.close()
        partial.replace(copy)
    except (OSError, sqlite3.Error) as error:
        partial.unlink(missing_ok=True)
        raise StorageError(f"cannot copy the database to {str(copy)!r} before upgrading it: {error}") from None
