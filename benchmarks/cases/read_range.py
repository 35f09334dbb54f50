"""Storage: ten minutes of one symbol out of a week of ten million trades."""

import asyncio
import random
import sqlite3
import time
from statistics import median
from typing import Final

from app.history.questions import trades
from app.storage.reader import open_reader
from cases._market import START_NS, SYMBOLS
from cases._week import STEP_NS, WEEK_NS, url, week
from harness.case import CPU, Case, Contender, Figure, Setting, Stopwatch, expect

RANGE_NS: Final = 600 * 1_000_000_000
QUESTIONS: Final = 60

_SQL: Final = (
    "SELECT ts, price, size, side, trade_id, provider, backfill FROM trade "
    "WHERE symbol = ? AND ts >= ? AND ts < ? ORDER BY symbol, ts, trade_id, provider"
)


def _questions() -> list[tuple[str, int, int]]:
    rng = random.Random(5)  # noqa: S311 - questions, no secret
    found = []
    for _ in range(QUESTIONS):
        since = START_NS + rng.randrange(0, WEEK_NS - RANGE_NS)
        found.append((rng.choice(SYMBOLS), since, since + RANGE_NS))
    return found


def _expected(since: int, until: int) -> int:
    return -((START_NS - until) // STEP_NS) + (START_NS - since) // STEP_NS


async def _through_reader(setting: Setting) -> dict[str, float]:
    async with open_reader(url(setting)) as reader:
        took = []
        questions = _questions()
        with Stopwatch(QUESTIONS) as watch:
            for question in questions:
                began = time.perf_counter()
                found = await reader.rows(trades(*question))
                took.append(time.perf_counter() - began)
                expect("trades in the range", len(found), _expected(*question[1:]))
    return {**watch.figures(), "answer_ms": median(took) * 1e3, "slowest_ms": max(took) * 1e3}


def ours(setting: Setting) -> dict[str, float]:
    return asyncio.run(_through_reader(setting))


def bare(setting: Setting) -> dict[str, float]:
    connection = sqlite3.connect(f"file:{setting['store']}?mode=ro", uri=True)
    took = []
    with Stopwatch(QUESTIONS) as watch:
        for question in _questions():
            began = time.perf_counter()
            found = connection.execute(_SQL, question).fetchall()
            took.append(time.perf_counter() - began)
            expect("trades in the range", len(found), _expected(*question[1:]))
    connection.close()
    return {**watch.figures(), "answer_ms": median(took) * 1e3, "slowest_ms": max(took) * 1e3}


CASE: Final = Case(
    "ten minutes of one symbol (992 trades) out of ten million, as `python -m app query trades` asks",
    (Contender("ours: Reader", ours), Contender("bare sqlite3 (ceiling)", bare)),
    (Figure(CPU, "us/question"), Figure("answer_ms", "ms", ("<", 50)), Figure("slowest_ms", "ms")),
    week,
)
