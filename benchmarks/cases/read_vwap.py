"""Archive: the VWAP of every minute of one symbol over the whole week, in Parquet files."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from math import isclose
from typing import Any, Final

from sqlalchemy.engine import make_url

from app.history.questions import vwap
from app.storage.reader import open_reader
from cases._market import START_NS, SYMBOLS
from cases._week import ROWS_OF_ONE, WEEK_NS, archived, url
from harness.case import CPU, Case, Contender, Figure, Setting, Stopwatch, expect

SYMBOL: Final = SYMBOLS[0]
MINUTE_NS: Final = 60_000_000_000
MINUTES: Final = WEEK_NS // MINUTE_NS

_SQL: Final = """
    SELECT time_bucket(INTERVAL 1 MINUTE, make_timestamp_ns(ts)::TIMESTAMP) AS minute,
           sum(price * size) / sum(size) AS vwap, sum(size) AS volume, count(*) AS trades
    FROM read_parquet('{files}') WHERE symbol = '{symbol}' GROUP BY ALL ORDER BY minute
"""  # as in docs/recorded-data.md


def duck(setting: Setting) -> dict[str, float]:
    import duckdb

    duckdb.execute("SET TimeZone = 'UTC'")
    return _timed(setting, lambda: duckdb.execute(_SQL.format(files=_files(setting), symbol=SYMBOL)).fetchall())


def polars(setting: Setting) -> dict[str, float]:
    import polars as pl

    def ask() -> list[Any]:
        return (
            pl.scan_parquet(_files(setting))
            .filter(pl.col("symbol") == SYMBOL)
            .group_by(pl.from_epoch("ts", time_unit="ns").dt.truncate("1m").alias("minute"))
            .agg(
                ((pl.col("price") * pl.col("size")).sum() / pl.col("size").sum()).alias("vwap"),
                pl.col("size").sum().alias("volume"),
                pl.len().alias("trades"),
            )
            .sort("minute")
            .collect()
            .rows()
        )

    return _timed(setting, ask)


def store(setting: Setting) -> dict[str, float]:
    async def ask() -> list[Any]:
        async with open_reader(url(setting)) as reader:
            rows = await reader.rows(vwap(SYMBOL, START_NS, START_NS + WEEK_NS))
        return [(row.minute, row.vwap, row.volume, row.trades) for row in rows]

    return _timed(setting, lambda: asyncio.run(ask()))


def _timed(setting: Setting, ask: Callable[[], list[Any]]) -> dict[str, float]:
    with Stopwatch(ROWS_OF_ONE) as watch:
        began = time.perf_counter()
        found = ask()
        took = time.perf_counter() - began
    expect("minutes", len(found), MINUTES)
    expect("trades", sum(row[3] for row in found), ROWS_OF_ONE)
    wrong = [row for row, right in zip(found, _by_hand(setting), strict=True) if not isclose(row[1], right)]
    expect("minutes with a wrong VWAP", len(wrong), 0)
    return {**watch.figures(), "answer_s": took}


def _by_hand(setting: Setting) -> list[float]:
    """The VWAP of each minute from the stored texts, in plain Python."""
    money, size = [0.0] * MINUTES, [0.0] * MINUTES
    with closing(sqlite3.connect(f"file:{make_url(url(setting)).database}?mode=ro", uri=True)) as connection:
        for ts, price, amount in connection.execute("SELECT ts, price, size FROM trade WHERE symbol = ?", [SYMBOL]):
            minute = (ts - START_NS) // MINUTE_NS
            money[minute] += float(price) * float(amount)
            size[minute] += float(amount)
    return [total / amount for total, amount in zip(money, size, strict=True)]


def _files(setting: Setting) -> str:
    return f"{setting['archive']}/type=trade/*/*.parquet"


CASE: Final = Case(
    f"VWAP of {MINUTES:,} minutes from {ROWS_OF_ONE:,} of ten million trades",
    (
        Contender("ours: archive, DuckDB", duck),
        Contender("archive, Polars", polars),
        Contender("store, `python -m app query vwap`", store),
    ),
    (Figure(CPU, "us/trade"), Figure("answer_s", "s", ("<", 1.0))),
    archived,
)
