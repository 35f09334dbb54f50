"""Storage: trades into SQLite, 1,000 rows a transaction, each one on the disk before the next."""

import sqlite3
from functools import partial
from pathlib import Path
from typing import Final

from sqlalchemy.engine import make_url

from app.storage.sqlite import writing_engine
from cases._write import COLUMNS, Way, batches, run, through_core, through_insert, through_writer, values_of
from harness.case import CPU, Case, Contender, Figure, Stopwatch
from md_contract.events import Trade


async def core(url: str, events: list[Trade]) -> Stopwatch:
    return await through_core(writing_engine(_path(url)), events)


async def bare(url: str, events: list[Trade]) -> Stopwatch:
    """The sqlite3 module in this thread, rows made beforehand, no event loop: as fast as this file can be written."""
    parts = batches(values_of(events))
    connection = sqlite3.connect(_path(url), isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "cache_size=-65536"):
        connection.execute(f"PRAGMA {pragma}")
    statement = f"INSERT INTO trade VALUES ({', '.join('?' * len(COLUMNS))}) ON CONFLICT DO NOTHING"  # noqa: S608 - fixed
    with Stopwatch(len(events)) as watch:
        for part in parts:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(statement, part)
            connection.execute("COMMIT")
    connection.close()
    return watch


def _path(url: str) -> Path:
    return Path(str(make_url(url).database))


_WAYS: Final[dict[str, Way]] = {
    "ours: store.insert": through_insert,
    "ours: Writer": through_writer,
    "SQLAlchemy Core, dictionaries": core,
    "bare sqlite3 (ceiling)": bare,
}

CASE: Final = Case(
    "trades into SQLite, 1,000 rows a transaction",
    tuple(Contender(name, partial(run, "sqlite", way)) for name, way in _WAYS.items()),
    (Figure(CPU, "us/row"), Figure("per_s", "rows/s", (">=", 200_000))),
)
