"""Deleting from the store what the archive holds for certain."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, NamedTuple, NoReturn, TypeAlias

import structlog
from sqlalchemy import Table

from app.history.archive.tables import ARCHIVED
from app.history.archive.verified import is_intact, is_pruned, mark_pruned, read_verified, verified_hours
from app.history.times import HOUR_NS
from app.storage.store import WriteError

DAY_NS: Final = 24 * HOUR_NS
EVERY_S: Final = 3_600.0

log = structlog.get_logger("app.history")

# (table, symbol, start_ns, stop_ns, expected rows) -> rows deleted: all or, when the store has another number, none
Delete: TypeAlias = Callable[[Table, str, int, int, int], Awaitable[int]]


class Pruned(NamedTuple):
    """What came of it."""

    rows: int = 0
    hours: int = 0
    kept: int = 0  # hours that were old enough, but whose archive is damaged or whose rows have changed since


async def prune(root: Path, delete: Delete, before_ns: int) -> Pruned:
    """Delete the rows of every verified hour that ended by `before_ns`.

    The files are read once more before; a symbol's rows go only if the store has exactly as many of them as were
    compared with the archive, so a row that came later keeps its hour until it has been archived, too. An hour that was
    deleted once is not looked at again before `archive` has seen to what came of it since.
    """
    rows = hours = kept = 0
    for hour in verified_hours(root):
        archived = ARCHIVED.get(hour.type)
        verified = read_verified(root, hour)
        if hour.stop_ns > before_ns or archived is None or verified is None or is_pruned(root, hour):
            continue
        if not await asyncio.to_thread(is_intact, root, hour, verified):
            log.error(
                "archive_damaged", hour=str(hour), folder=str(root / hour.folder), kept="its rows stay in the store"
            )
            kept += 1
            continue
        mark_pruned(root, hour)
        deleted = 0
        for symbol, expected in verified.stored.items():
            deleted += await delete(archived.table, symbol, hour.start_ns, hour.stop_ns, expected)
        rows += deleted
        hours += bool(deleted)
    return Pruned(rows, hours, kept)


async def keep_pruned(root: Path, delete: Delete, days: int) -> NoReturn:
    """Once an hour, delete what is older than `days` and verified; a store that is away is tried an hour later."""
    while True:
        before_ns = time.time_ns() - days * DAY_NS
        try:
            pruned = await prune(root, delete, before_ns)
        except WriteError as error:
            log.warning("old rows stay for now", why=error.why, next="tried again in an hour")
        else:
            if pruned.rows or pruned.kept:
                log.info("old rows deleted", rows=pruned.rows, hours=pruned.hours, hours_kept=pruned.kept, days=days)
        await asyncio.sleep(EVERY_S)
