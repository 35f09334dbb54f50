"""Storage: how late the event loop is while 50,000 trades a second go to the store."""

import asyncio
import gc
import time
from functools import partial
from typing import Final

import uvloop

from app.bus import STORAGE, Bus
from app.sinks.discard import DiscardSink
from app.sinks.sink import Sink, drain
from app.sinks.storage import StorageSink
from app.storage.opening import open_store
from app.storage.writer import Writer
from cases._market import trades
from cases._stores import empty_store, expect_rows, postgresql
from harness.case import CPU, Case, Contender, Figure, Setting, Stopwatch, expect
from md_contract.events import Trade

RATE: Final = 50_000  # trades a second
SECONDS: Final = 6
TURN_S: Final = 0.001  # the sockets are read as often
PROBE_S: Final = 0.002


def through(engine: str | None, setting: Setting) -> dict[str, float]:
    """The whole way: bus, buffer, storage sink, writer, store; None: a sink that lets everything go."""
    return uvloop.run(_measure(engine, setting))


async def _measure(engine: str | None, setting: Setting) -> dict[str, float]:
    url = await empty_store(engine, setting) if engine else ""
    store = await open_store(url) if url else None
    sink: Sink = StorageSink(Writer(store)) if store else DiscardSink()
    bus = Bus(lambda _: None)
    buffer = bus.attach(sink.name, sink.take, RATE * SECONDS, STORAGE)  # room for all: a late store drops nothing
    tasks = [asyncio.create_task(sink.run()), asyncio.create_task(drain(buffer, sink))]
    events = trades(RATE * SECONDS)
    gc.collect()
    gc.freeze()
    lags: list[float] = []
    probe = asyncio.create_task(_probe(lags))
    with Stopwatch(len(events)) as watch:
        await _publish(bus, events)
    probe.cancel()
    while len(buffer):  # noqa: ASYNC110 - the buffer is pure and wakes nobody
        await asyncio.sleep(0.01)
    expect("events not written", len(await sink.close(60)), 0)
    for task in tasks:
        task.cancel()
    if store is not None:
        await store.dispose()
        await expect_rows(url, len(events))
    lags.sort()
    return {
        **watch.figures(),
        "lag_p50_ms": lags[len(lags) // 2] * 1e3,
        "lag_p99_ms": lags[len(lags) * 99 // 100] * 1e3,
    }


async def _publish(bus: Bus, events: list[Trade]) -> None:
    """Open loop: what is due is published, however late the loop is."""
    began, sent = time.perf_counter(), 0
    while sent < len(events):
        due = min(len(events), int((time.perf_counter() - began) * RATE))
        for event in events[sent:due]:
            bus.publish(event)
        sent = due
        await asyncio.sleep(TURN_S)


async def _probe(lags: list[float]) -> None:
    while True:
        began = time.perf_counter()
        await asyncio.sleep(PROBE_S)
        lags.append(time.perf_counter() - began - PROBE_S)


CASE: Final = Case(
    "how late the event loop is at 50,000 trades a second through the whole sink",
    (
        Contender("ours: SQLite", partial(through, "sqlite")),
        Contender("ours: PostgreSQL", partial(through, "postgresql")),
        Contender("no storage (floor)", partial(through, None)),
    ),
    (Figure(CPU, "us/row"), Figure("lag_p50_ms", "ms"), Figure("lag_p99_ms", "ms", ("<", 5))),
    postgresql,
)
