"""Schemas: made by the migrations, the same as the tables in code, and refused in plain words when they are not."""

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from postgres import PostgresServer
from sqlalchemy import Connection, inspect
from sqlalchemy.ext.asyncio import create_async_engine

from app.storage import migrate, schema
from app.storage.opening import migrate_store, open_store
from app.storage.reader import open_reader
from app.storage.store import StorageError

NEXT = '''"""One column more, for this test."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("heartbeat", sa.Column("extra", sa.Text()))
'''


async def change(place: Any, *statements: str) -> None:
    engine = create_async_engine(place.url)
    async with engine.begin() as connection:
        for statement in statements:
            await connection.exec_driver_sql(statement)
    await engine.dispose()


async def test_the_migrated_schema_is_the_one_in_code(place: Any) -> None:
    await migrate_store(place.url)

    def drift(connection: Connection) -> Any:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return compare_metadata(context, schema.metadata)

    engine = create_async_engine(place.url)
    async with engine.connect() as connection:
        assert await connection.run_sync(drift) == []
    await engine.dispose()


def test_the_newest_script_is_the_revision_in_code() -> None:
    assert migrate.revisions()[0] == migrate.REVISION


async def test_keys_are_the_same_on_both_engines(place: Any) -> None:

    def keys(connection: Connection, table: str) -> list[str]:
        return inspect(connection).get_pk_constraint(table)["constrained_columns"]

    await migrate_store(place.url)
    engine = create_async_engine(place.url)
    async with engine.connect() as connection:
        for table in schema.metadata.sorted_tables:
            found = await connection.run_sync(keys, table.name)
            assert found == [column.name for column in table.primary_key]
    await engine.dispose()


async def test_migrating_twice_says_that_there_is_nothing_to_do(place: Any) -> None:
    await migrate_store(place.url)
    assert "nothing to do" in await migrate_store(place.url)


async def test_an_empty_server_asks_for_the_command_and_an_empty_file_needs_none(
    postgres: PostgresServer, sqlite_place: Any
) -> None:
    url = postgres.url(postgres.new_database(), "canary")
    with pytest.raises(StorageError, match="python -m app migrate") as refused:
        await open_store(url)
    assert "canary" not in str(refused.value)
    assert "was empty, is revision" in await migrate_store(url)
    for ready in (url, sqlite_place.url):
        store = await open_store(ready)
        await store.dispose()


@pytest.mark.parametrize(
    ("statements", "why"),
    [
        (["UPDATE alembic_version SET version_num = '9999'"], "of a newer version than this one ('0001')"),
        (["DELETE FROM alembic_version"], "half migrated: tables without a revision"),
        (["DROP TABLE alembic_version"], "half migrated: tables without a revision"),
        (["INSERT INTO alembic_version VALUES ('0000')"], "half migrated: 2 revisions at once"),
        (["DROP TABLE quote"], "half migrated: revision '0001', but not its table 'quote'"),
        (["ALTER TABLE trade DROP COLUMN side"], "half migrated: revision '0001', but not its table 'trade'"),
    ],
)
async def test_a_schema_that_is_not_ours_is_refused_and_left_as_it_is(
    place: Any, statements: list[str], why: str
) -> None:
    await migrate_store(place.url)
    await change(place, *statements)
    for attempt in (open_store, migrate_store):
        with pytest.raises(StorageError) as refused:
            await attempt(place.url)
        assert why in str(refused.value)
        assert "next: " in str(refused.value)
        assert "\n" not in str(refused.value)
    with pytest.raises(StorageError, match="cannot read"):
        async with open_reader(place.url):
            pass


@pytest.fixture
def newer_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This program, one revision later."""
    scripts = tmp_path / "migrations"
    shutil.copytree(migrate.SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    (scripts / "versions" / "r0002_extra.py").write_text(NEXT)
    monkeypatch.setattr(migrate, "SCRIPTS", scripts)
    monkeypatch.setattr(migrate, "REVISION", "0002")


async def test_an_older_file_is_upgraded_at_the_start_after_a_copy(
    sqlite_place: Any, writing: Any, trades: Any, request: pytest.FixtureRequest
) -> None:
    async with writing(sqlite_place) as w:
        await w.put(*trades(25))
        await w.settled()
    request.getfixturevalue("newer_version")
    store = await open_store(sqlite_place.url)
    await store.dispose()
    assert await sqlite_place.ask("SELECT version_num FROM alembic_version") == [("0002",)]
    assert await sqlite_place.count("trade") == 25
    copy = sqlite_place.path.with_name("market.db.before-0002")
    assert copy.stat().st_mode & 0o777 == 0o600
    old = sqlite3.connect(copy)
    assert old.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
    assert old.execute("SELECT count(*) FROM trade").fetchone() == (25,)
    old.close()


async def test_an_older_server_is_left_to_the_command(postgres_place: Any, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("newer_version")
    with pytest.raises(StorageError, match=r"'0001', this version needs '0002'; next: python -m app migrate"):
        await open_store(postgres_place.url)
    assert "was revision '0001', is revision '0002'" in await migrate_store(postgres_place.url)


async def test_an_upgrade_that_fails_changes_nothing(
    sqlite_place: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    await migrate_store(sqlite_place.url)
    request.getfixturevalue("newer_version")
    broken = NEXT + '    op.execute("no SQL at all")\n'
    (tmp_path / "migrations" / "versions" / "r0002_extra.py").write_text(broken)
    with pytest.raises(StorageError):
        await open_store(sqlite_place.url)
    assert await sqlite_place.ask("SELECT version_num FROM alembic_version") == [("0001",)]
    columns = [row[1] for row in await sqlite_place.ask("PRAGMA table_info(heartbeat)")]
    assert "extra" not in columns
