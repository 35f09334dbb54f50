"""Storage: trades into PostgreSQL, 1,000 rows a transaction, each one on the disk before the next."""

from functools import partial
from typing import Final

import asyncpg
from sqlalchemy.ext.asyncio import create_async_engine

from cases._stores import postgresql
from cases._write import COLUMNS, Way, batches, run, through_core, through_insert, through_writer, values_of
from harness.case import CPU, Case, Contender, Figure, Stopwatch
from md_contract.events import Trade


async def core(url: str, events: list[Trade]) -> Stopwatch:
    return await through_core(create_async_engine(url), events)


async def bare(url: str, events: list[Trade]) -> Stopwatch:
    """COPY text made beforehand, by asyncpg: as fast as this server takes it."""
    texts = [
        "".join(
            "\t".join("\\N" if value is None else str(value) for value in values) + "\n" for values in part
        ).encode()
        for part in batches(values_of(events))
    ]
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    with Stopwatch(len(events)) as watch:
        for text in texts:
            await connection.copy_to_table("trade", source=memoryview(text), columns=COLUMNS)
    await connection.close()
    return watch


_WAYS: Final[dict[str, Way]] = {
    "ours: store.insert": through_insert,
    "ours: Writer": through_writer,
    "SQLAlchemy Core, dictionaries": core,
    "bare asyncpg COPY (ceiling)": bare,
}

CASE: Final = Case(
    "trades into PostgreSQL, 1,000 rows a transaction (processor time of the client alone)",
    tuple(Contender(name, partial(run, "postgresql", way)) for name, way in _WAYS.items()),
    (Figure(CPU, "us/row"), Figure("per_s", "rows/s", (">=", 150_000))),
    postgresql,
)
