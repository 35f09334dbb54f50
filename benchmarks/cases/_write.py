"""Ways to write trades in batches of 1,000, every batch committed to the disk before the next one."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

import uvloop
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from app.storage.batch import Batch, Tables
from app.storage.opening import open_store
from app.storage.rows import make_row
from app.storage.schema import trade
from app.storage.writer import Writer
from cases._market import trades
from cases._stores import BATCH, empty_store, expect_rows
from harness.case import Setting, Stopwatch, expect
from md_contract.events import Trade

ROWS: Final = 200_000
TURN: Final = 64  # events in one turn of the loop, about as many as a read of the sockets brings

Values: TypeAlias = tuple[Any, ...]
Way: TypeAlias = Callable[[str, list[Trade]], Awaitable[Stopwatch]]

COLUMNS: Final[list[str]] = trade.columns.keys()


def run(engine: str, way: Way, setting: Setting) -> dict[str, float]:
    """Write ROWS trades to an empty store, and see that they are there."""

    async def write() -> Stopwatch:
        url, events = await empty_store(engine, setting), trades(ROWS)
        gc.collect()
        gc.freeze()
        watch = await way(url, events)
        await expect_rows(url, ROWS)
        return watch

    return uvloop.run(write()).figures()


def values_of(events: list[Trade]) -> list[tuple[Any, ...]]:
    return [make_row(event).values for event in events]


def batches(rows: list[Any]) -> list[list[Any]]:
    return [rows[at : at + BATCH] for at in range(0, len(rows), BATCH)]


async def through_insert(url: str, events: list[Trade]) -> Stopwatch:
    """Ours, rows made beforehand: what the store itself costs."""
    store = await open_store(url)
    parts: list[Tables] = [Batch(part, 0).tables() for part in batches(events)]
    with Stopwatch(len(events)) as watch:
        for part in parts:
            await store.insert(part)
    await store.dispose()
    return watch


async def through_writer(url: str, events: list[Trade]) -> Stopwatch:
    """Ours from the event to the disk: rows made, queued, taken in batches by the writer's task."""
    store = await open_store(url)
    writer = Writer(store)
    running = asyncio.create_task(writer.run())
    with Stopwatch(len(events)) as watch:
        taken = 0
        while taken < len(events):
            until = min(taken + TURN, len(events))
            while taken < until and writer.take(events[taken]):
                taken += 1
            await (asyncio.sleep(0) if taken == until else writer.writable())
        left = await writer.close(60)
    expect("rows not written", len(left), 0)
    await running
    await store.dispose()
    return watch


async def through_core(engine: AsyncEngine, events: list[Trade]) -> Stopwatch:
    """SQLAlchemy as its tutorial has it: Core `insert` of dictionaries, made beforehand."""
    parts = batches([dict(zip(COLUMNS, values, strict=True)) for values in values_of(events)])
    statement = insert(trade)
    with Stopwatch(len(events)) as watch:
        for part in parts:
            async with engine.begin() as connection:
                await connection.execute(statement, part)
    await engine.dispose()
    return watch
