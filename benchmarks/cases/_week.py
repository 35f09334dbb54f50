"""A week of ten million trades in an SQLite store, and its archive; made once, kept in the cache folder."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from app.storage.opening import migrate_store
from cases._market import FIRST_ID, START_NS, SYMBOLS
from harness.case import Setting, WrongAnswerError, cache_folder

ROWS: Final = 10_000_000
HOUR_NS: Final = 3_600_000_000_000
WEEK_NS: Final = 7 * 24 * HOUR_NS
ROWS_OF_ONE: Final = ROWS // len(SYMBOLS)
STEP_NS: Final = WEEK_NS // ROWS_OF_ONE  # between two trades of a symbol
NAME: Final = "week-1"  # another number whenever this file makes other rows

# Prices go up and down by the hour, sizes vary; whole numbers only, so that every machine makes the same rows.
_FILL: Final = f"""
INSERT INTO trade (symbol, ts, trade_id, provider, ts_event, ts_recv, price, size, side, backfill)
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS_OF_ONE - 1})
SELECT ?1, {START_NS} + i * {STEP_NS}, CAST({FIRST_ID} + i AS TEXT), 'binance', {START_NS} + i * {STEP_NS},
       {START_NS} + i * {STEP_NS} + 50000000,
       printf('%d.%02d000000', ?2 + abs(i % 11904 - 5952) / 10 + i * 7919 % 13, i * 31 % 100),
       printf('%d.%05d000', i * 101 % 3, i * 7919 % 100000 + 1), CASE WHEN i % 3 THEN 'buy' ELSE 'sell' END, 0
FROM n
"""  # noqa: S608 - numbers of this file


@contextmanager
def week() -> Iterator[Setting]:
    """The store; made when the cache has none, which takes a minute."""
    folder = cache_folder() / NAME
    if not folder.exists():
        _say("making a store of ten million trades, once")
        unfinished = folder.with_name(f"{NAME}.{os.getpid()}.tmp")
        unfinished.mkdir()
        try:
            _fill(unfinished / "market.db")
            unfinished.rename(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    yield {"store": str(folder / "market.db"), "archive": str(folder / "archive")}


@contextmanager
def archived() -> Iterator[Setting]:
    """The store and the archive of the whole week, made by the archive command."""
    with week() as setting:
        if not Path(setting["archive"]).exists():
            _say("archiving it, once")
            unfinished = f"{setting['archive']}.{os.getpid()}.tmp"
            archive(setting, unfinished, START_NS, START_NS + WEEK_NS)
            Path(unfinished).rename(setting["archive"])
        yield setting


def url(setting: Setting) -> str:
    return f"sqlite+aiosqlite:///{setting['store']}"


def archive(setting: Setting, folder: str, since_ns: int, until_ns: int) -> None:
    """Run `python -m app archive` on the store."""
    import app

    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "app", "archive", "--types", "trade", "--directory", folder,
         "--since", _iso(since_ns), "--until", _iso(until_ns)],
        cwd=Path(app.__path__[0]).parent, env={**os.environ, "STORAGE_URL": url(setting)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise WrongAnswerError(f"archive: exit code {done.returncode}: {done.stderr.strip()[-300:]}")


def _fill(path: Path) -> None:
    asyncio.run(migrate_store(f"sqlite+aiosqlite:///{path}"))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in ("synchronous=OFF", "cache_size=-262144"):
            connection.execute(f"PRAGMA {pragma}")
        for number, symbol in enumerate(sorted(SYMBOLS)):
            connection.execute(_FILL, (symbol, 60_000 // 2**number + 700))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _iso(ns: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - it takes a while
