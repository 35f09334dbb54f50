"""The verdicts, on hours whose truth is known because they were made by leaving things out."""

import asyncio
import itertools
import os
import random
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.history.completeness import HourCount, SourceCount, assess, lines, uptime
from app.history.counts import report
from md_contract.events import BookL2, Heartbeat, Quote, Status, Trade

HOUR = 3_600 * 10**9
START = 490_000 * HOUR
S = 10**9


def trade(number: int, ts: int, provider: str = "binance", symbol: str = "BTCUSDT") -> Trade:
    return Trade(provider, symbol, ts + 1, "100.5", "0.25", side="buy", trade_id=str(number), ts_event=ts)


def beat(ts: int, status: Any = "live") -> Heartbeat:
    return Heartbeat("binance", "__system__", ts, status, 0, status != "live")


async def reports(
    recorded: Any, messages: list[Any], symbols: list[str], until: int, now: int | None = None
) -> list[Any]:
    async with recorded() as store:
        await store.put(messages)
        async with store.read() as reader:
            return [entry async for entry in report(reader, symbols, START, until, now or until)]


async def test_missing_trades_are_counted_from_the_ids(recorded: Callable[[], Any]) -> None:
    chance = random.Random(7)
    gone = set(chance.sample(range(1_000, 1_900), 137))  # not the last ones: nobody can know of those yet
    trades = [trade(n, START + (n - 1_000) * 3 * S) for n in range(1_000, 2_000) if n not in gone]
    beats = [beat(START + n * 5 * S) for n in range(-1, 722)]
    [entry] = await reports(recorded, [*trades, *beats], ["BTCUSDT"], START + HOUR)
    first = min(n for n in range(1_000, 2_000) if n not in gone)  # before it nothing was ever stored
    missing = len([n for n in gone if n > first])
    assert (entry.trades, entry.missing, entry.basis, entry.sources) == (863, missing, "ids", ["binance"])
    assert entry.trades_percent == pytest.approx(100 * 863 / (863 + missing), abs=0.001)
    assert entry.uptime_percent == 100.0
    assert entry.complete_percent == entry.trades_percent


async def test_a_pause_of_the_service_is_missing_in_the_hour_in_which_trades_come_again(recorded: Any) -> None:
    before = [trade(n, START + n * S) for n in range(100)]
    after = [trade(n, START + HOUR + (n - 300) * S) for n in range(300, 400)]
    beats = [beat(START + n * 5 * S) for n in range(30)] + [beat(START + HOUR + n * 5 * S) for n in range(720)]
    first, second = await reports(recorded, [*before, *after, *beats], ["BTCUSDT"], START + 2 * HOUR)
    assert (first.trades, first.missing) == (100, 0)
    assert first.uptime_percent == pytest.approx(100 * 145 / 3600, abs=0.01)
    assert first.complete_percent == first.uptime_percent
    assert (second.trades, second.missing, second.complete_percent) == (100, 200, 33.333)


async def test_elsewhere_the_gap_events_say_what_is_missing(recorded: Any) -> None:
    trades = [trade(n, START + n * S, "bybit") for n in range(90)]
    told = Status("bybit", "BTCUSDT", START + 5 * S, "gap", {"missing": 10, "from": "a", "to": "b"})
    [entry] = await reports(recorded, [*trades, told], ["BTCUSDT"], START + HOUR)
    assert (entry.trades, entry.gaps, entry.missing, entry.missing_unknown) == (90, 1, 10, 0)
    assert (entry.basis, entry.trades_percent, entry.uptime_percent) == ("gaps", 90.0, None)


async def test_a_gap_of_unknown_size_makes_an_upper_bound(recorded: Any) -> None:
    told = Status("bybit", "BTCUSDT", START + 5 * S, "gap", {"missing": None})
    [entry] = await reports(recorded, [trade(1, START, "bybit"), told], ["BTCUSDT"], START + HOUR)
    assert (entry.missing, entry.missing_unknown, entry.trades_percent) == (0, 1, 100.0)
    [cells] = lines([entry])
    assert "<= 100.000" in cells
    assert "0+?" in cells


async def test_what_a_recorder_missed_of_other_kinds_is_no_missing_trade(recorded: Any) -> None:
    told = [
        Status("recorder", "BTCUSDT", START + 5 * S, "gap", {"type": kind, "missing": 10, "where": "bus"})
        for kind in ("trade", "quote", "features")
    ]
    [entry] = await reports(recorded, [trade(1, START, "bybit"), *told], ["BTCUSDT"], START + HOUR)
    assert (entry.gaps, entry.missing) == (3, 10)


async def test_a_gap_of_all_symbols_is_one_of_unknown_size_for_each(recorded: Any) -> None:
    told = Status("recorder", "__system__", START + 5 * S, "gap", {"type": None, "missing": 2_000, "where": "stream"})
    messages = [trade(1, START, "x"), trade(1, START, "x", "ETHUSDT"), told]
    entries = await reports(recorded, messages, ["BTCUSDT", "ETHUSDT"], START + HOUR)
    assert [(e.gaps, e.missing, e.missing_unknown, e.at_most) for e in entries] == [(1, 0, 1, True)] * 2


async def test_without_a_heartbeat_complete_is_an_upper_bound(recorded: Any) -> None:
    [entry] = await reports(recorded, [trade(1, START)], ["BTCUSDT"], START + HOUR)
    assert (entry.uptime_percent, entry.complete_percent, entry.at_most) == (None, 100.0, True)
    [cells] = lines([entry])
    assert cells[-3:] == ["100.000", "-", "<= 100.000"]


@pytest.mark.parametrize("odd", ["abc", "", "-5", "1.5", "9" * 19])
async def test_ids_that_are_no_numbers_are_not_counted(recorded: Any, odd: str) -> None:
    messages = [trade(1, START), trade(5, START + HOUR + S), trade(7, START + HOUR + 2 * S)]
    messages[1].trade_id = odd
    first, second = await reports(recorded, messages, ["BTCUSDT"], START + 2 * HOUR)
    assert (first.trades, first.basis) == (1, "ids")
    assert (second.trades, second.missing, second.basis) == (2, 0, "gaps")


async def test_an_absurd_amount_is_an_unknown_one(recorded: Any) -> None:
    told = Status("bybit", "BTCUSDT", START + 5 * S, "gap", {"missing": 10**17})
    [entry] = await reports(recorded, [trade(1, START, "bybit"), told], ["BTCUSDT"], START + HOUR)
    assert (entry.missing, entry.missing_unknown) == (0, 1)


async def test_a_time_before_everything_has_no_lines(recorded: Any) -> None:
    messages = [trade(1, START + 5 * HOUR)]
    assert await reports(recorded, messages, ["BTCUSDT"], START + 2 * HOUR + 7) == []


async def test_rows_sources_and_symbols_are_told_apart(recorded: Any) -> None:
    messages = [
        trade(1, START),
        trade(9, START, "bybit"),
        trade(1, START, symbol="ETHUSDT"),
        Quote("binance", "BTCUSDT", START + 3, "1", "2", "3", "4"),
        Quote("binance", "BTCUSDT", START + HOUR, "1", "2", "3", "4"),
        BookL2("binance", "BTCUSDT", START + 4, [("1", "2")], [("3", "4")]),
    ]
    entries = await reports(recorded, messages, ["BTCUSDT", "ETHUSDT"], START + HOUR)
    assert [(e.symbol, e.trades, e.quotes, e.books, e.sources) for e in entries] == [
        ("BTCUSDT", 2, 1, 1, ["binance", "bybit"]),
        ("ETHUSDT", 1, 0, 0, ["binance"]),
    ]


async def test_the_hour_that_is_not_over_is_judged_by_what_has_passed(recorded: Any) -> None:
    messages = [trade(1, START + S), *(beat(START + n * 5 * S) for n in range(121))]
    [entry] = await reports(recorded, messages, ["BTCUSDT"], START + HOUR, now=START + 602 * S)
    assert entry.uptime_percent == 100.0


async def test_an_hour_without_anything_in_between_is_listed(recorded: Any) -> None:
    messages = [trade(1, START), trade(2, START + 2 * HOUR), beat(START), beat(START + 2 * HOUR)]
    entries = await reports(recorded, messages, ["BTCUSDT"], START + 3 * HOUR)
    assert [(e.trades, e.uptime_percent and int(e.uptime_percent)) for e in entries] == [(1, 0), (0, 0), (1, 0)]


@pytest.mark.parametrize(("empty", "shown"), [(2, ["h1", "h1", "h2", "h2"]), (3, ["h1 to h3"])])
def test_hours_in_which_there_is_nothing_at_all_are_one_line(empty: int, shown: list[str]) -> None:
    def hour(number: int, trades: int) -> list[Any]:
        found = [SourceCount("binance", trades, 1, trades)] if trades else []
        some, none = HourCount("A", 0, found, 0, 0, []), HourCount("B", 0, [], 0, 0, [])
        return [assess(count, 0.5 if trades else 0.0, f"h{number}") for count in (some, none)]

    hours = [hour(0, 5), *(hour(number, 0) for number in range(1, empty + 1)), hour(empty + 1, 7)]
    table = list(lines(itertools.chain.from_iterable(hours)))
    last = f"h{empty + 1}"
    assert [cells[0] for cells in table] == ["h0", "h0", *shown, last, last]
    assert [cells[1] for cells in table if " to " in cells[0]] == ["all"] * (empty == 3)


def test_silence_of_the_provider_is_no_uptime() -> None:
    silent = [t for t in range(0, 3_601, 5) if not 1_000 < t < 2_000]
    assert uptime([t * S for t in silent], 0, HOUR) == pytest.approx(2_600 / 3_600, abs=0.002)


@given(st.lists(st.tuples(st.integers(0, 3_500), st.integers(30, 600)), max_size=5), st.sampled_from([1, 2, 5, 10]))
def test_uptime_is_the_time_without_pauses(pauses: list[tuple[int, int]], step: int) -> None:
    """Against a count second by second."""
    away = [any(begin < second < begin + length for begin, length in pauses) for second in range(3_601)]
    beats = [second for second in range(0, 3_601, step) if not away[second]]
    most = max(15, 3 * step)
    covered = [False] * 3_601
    for before, after in itertools.pairwise(beats):
        if after - before <= most:
            covered[before:after] = [True] * (after - before)
    if 3_600 - beats[-1] <= most:  # the next one is only due
        covered[beats[-1] :] = [True] * (3_601 - beats[-1])
    assert uptime([second * S for second in beats], 0, HOUR) == sum(covered[:3_600]) / 3_600


def test_what_is_not_complete_never_reads_100() -> None:
    source = SourceCount("binance", 9_999_999, first_id=1, last_id=10_000_000)
    entry = assess(HourCount("X", 0, [source], 0, 0, []), 1.0, "h")
    assert entry.missing == 1
    assert entry.complete_percent is not None
    assert entry.complete_percent < 100


async def test_of_a_year_with_two_days_of_rows_only_those_are_asked_for(recorded: Any) -> None:
    days = [START + day * 24 * HOUR + n * HOUR for day in (0, 200) for n in range(24)]
    until = START + 365 * 24 * HOUR
    asked = 0
    told: list[tuple[int, int]] = []
    async with recorded() as store:
        await store.put([trade(n, ts) for n, ts in enumerate(days)])
        async with store.read() as reader:
            rows = reader.rows

            async def counted(statement: Any) -> Any:
                nonlocal asked
                asked += 1
                return await rows(statement)

            reader.rows = counted
            found = report(reader, ["BTCUSDT"], START, until, until, lambda done, of: told.append((done, of)))
            hours = [entry.trades async for entry in found]
    assert hours == [1] * 24 + [0] * 199 * 24 + [1] * 24 + [0] * 164 * 24
    assert asked < 6 * len(days)
    assert told == [(done, 365 * 24) for done in range(1, 365 * 24 + 1)]


async def test_what_lies_ahead_is_never_passed_over(recorded: Any) -> None:
    """Against the same hours, each asked for by itself."""
    chance = random.Random(11)
    kinds: list[Callable[[int, str], Any]] = [
        lambda ts, symbol: trade(ts, ts, symbol=symbol),
        lambda ts, symbol: Quote("binance", symbol, ts, "1", "2", "3", "4"),
        lambda ts, symbol: BookL2("binance", symbol, ts, [("1", "2")], [("3", "4")]),
        lambda ts, symbol: Status("x", chance.choice([symbol, "__system__"]), ts, "gap", {"missing": 3}),
        lambda ts, _symbol: beat(ts),
    ]
    symbols = ["BTCUSDT", "ETHUSDT"]
    edges = [START + n * HOUR + off for n in chance.sample(range(60), 12) for off in (-1, 0, HOUR // 12, HOUR - 1)]
    messages = [chance.choice(kinds)(ts, chance.choice(symbols)) for ts in edges if ts >= START for _ in range(2)]
    messages += [trade(1, START), beat(START)]
    until = START + 60 * HOUR
    async with recorded() as store:
        await store.put(messages)
        async with store.read() as reader:
            together = [entry async for entry in report(reader, symbols, START, until, until)]
            alone = []
            for start in range(START, until, HOUR):
                alone += [entry async for entry in report(reader, symbols, start, start + HOUR, until)]
    assert together == alone
    assert sum(entry.trades for entry in together) == len({m.trade_id + m.symbol for m in messages if type(m) is Trade})
    assert all(sum(getattr(entry, name) for entry in together) for name in ("quotes", "books", "gaps"))


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal is POSIX's")
async def test_a_terminal_is_shown_how_far_it_is_and_nothing_else_is(recorded: Any) -> None:
    import pty  # only where there is one

    def read_terminal(terminal: int) -> str:
        seen = b""
        with suppress(OSError):  # as Linux says that the other end was closed
            while more := os.read(terminal, 4_096):
                seen += more
        return seen.decode()

    def command(stderr: int) -> str:
        arguments = ["--since", "2025-11-24", "--until", "2025-12-24", "--format", "csv"]
        done = subprocess.run(
            [sys.executable, "-m", "app", "completeness", *arguments],
            cwd=Path(__file__).resolve().parents[2], stdout=subprocess.PIPE, stderr=stderr,
            env={**os.environ, "STORAGE_URL": store.url, "TERM": "xterm", "COLUMNS": "100"},
            text=True, timeout=120, check=True,
        )  # fmt: skip
        return done.stdout + (done.stderr or "")

    async with recorded() as store:
        await store.put([trade(1, START)])
        mine, its = pty.openpty()
        shown = asyncio.create_task(asyncio.to_thread(read_terminal, mine))
        on_terminal = await asyncio.to_thread(command, its)
        os.close(its)
        seen = await shown
        os.close(mine)
        elsewhere = await asyncio.to_thread(command, subprocess.PIPE)
    assert "completeness" in seen
    assert " hours" in seen
    assert on_terminal == elsewhere
    assert elsewhere.startswith("hour,symbol,")
