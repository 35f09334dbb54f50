"""The archive against an independent reader (DuckDB) and against what was put into the store."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from app.history.archive import hour as hour_module
from app.history.archive import parts as parts_module
from app.history.archive import retention as retention_module
from app.history.archive.errors import VerificationError
from app.history.archive.layout import Hour
from app.history.archive.retention import prune
from app.history.archive.run import archive, last_stop
from app.history.archive.tables import ARCHIVED
from app.history.archive.verified import read_verified
from md_contract.events import BookL2, Heartbeat, Quote, Status, Trade

HOUR = 3_600 * 10**9
START = 490_000 * HOUR
ALL = list(ARCHIVED)


class Watcher:
    def __init__(self) -> None:
        self.total = self.count = 0
        self.hours: list[Hour] = []
        self.damages: dict[Hour, str] = {}

    def begin(self, hours: int) -> None:
        self.total = hours

    def rows(self, count: int) -> None:
        self.count += count

    def done(self, hour: Hour) -> None:
        self.hours.append(hour)

    def damaged(self, hour: Hour, why: str) -> None:
        self.hours.append(hour)
        self.damages[hour] = why


def trades(count: int, start: int = START, symbol: str = "BTCUSDT", price: str = "64000.01") -> list[Trade]:
    """One a millisecond, received 5 ns later."""
    return [
        Trade(
            "binance",
            symbol,
            start + n * 10**6 + 5,
            price,
            f"0.{n + 1:05d}",
            side="buy" if n % 2 else None,
            trade_id=str(n),
            ts_event=start + n * 10**6,
        )
        for n in range(count)
    ]


async def run(
    store: Any, root: Path, names: Sequence[str] = ALL, since: int = 0, until: int = START + 99 * HOUR
) -> Any:
    outcome, damages = await run_damaged(store, root, names, since, until)
    assert not damages
    return outcome


async def run_damaged(
    store: Any, root: Path, names: Sequence[str] = ALL, since: int = 0, until: int = START + 99 * HOUR
) -> tuple[Any, dict[Hour, str]]:
    watcher = Watcher()
    async with store.read() as reader:
        outcome = await archive(reader, root, names, since, until, watcher)
    assert len(watcher.hours) == watcher.total
    assert watcher.count == outcome.rows
    assert len(watcher.damages) == outcome.damaged
    return outcome, watcher.damages


def files(root: Path, pattern: str = "*.parquet") -> list[Path]:
    return [path for path in root.rglob(pattern) if path.is_file()]


def ask(root: Path, sql: str) -> list[tuple[Any, ...]]:
    return duckdb.execute(sql.replace("ARCHIVE", f"read_parquet('{root}/type=trade/*/*.parquet')")).fetchall()


async def test_duckdb_reads_what_was_stored(recorded: Any, tmp_path: Path) -> None:
    root = tmp_path / "archive"
    stored = [*trades(300, symbol="ETHUSDT"), *trades(700), *trades(5, START + HOUR), *trades(4, START - 3)]
    async with recorded() as store:
        await store.put(stored)
        outcome = await run(store, root)
    assert (outcome.hours, outcome.rows, outcome.files) == (3, 1_009, 3)
    rows = ask(
        root, "SELECT symbol, ts, trade_id, price, size, side, provider, ts_recv, ts_event, backfill FROM ARCHIVE"
    )
    expected = [
        (
            t.symbol,
            t.ts_event,
            t.trade_id,
            float(t.price),
            float(t.size),
            t.side,
            t.provider,
            t.ts_recv,
            t.ts_event,
            False,
        )
        for t in stored
    ]
    assert sorted(rows, key=repr) == sorted(expected, key=repr)
    names = sorted(path.relative_to(root).as_posix() for path in files(root))
    assert names == [
        "type=trade/date=2025-11-24/15-0.parquet",
        "type=trade/date=2025-11-24/16-0.parquet",
        "type=trade/date=2025-11-24/17-0.parquet",
    ]
    [order] = ask(root, f"SELECT list((symbol, ts)) FROM read_parquet('{root}/{names[1]}')")
    assert order[0] == sorted(order[0])
    assert not files(root, "*.tmp")


async def test_every_type_is_archived(recorded: Any, tmp_path: Path) -> None:
    book = BookL2("binance", "BTCUSDT", START + 4, [("1.5", "2")], [("3", "0.1234567890123456789"), ("4", "1")])
    messages = [
        Quote("binance", "BTCUSDT", START + 3, "1", "2", "3", "4"),
        book,
        Heartbeat("binance", "__system__", START + 1, "silent", 12, True),
        Status("binance", "BTCUSDT", START + 2, "gap", {"missing": 3, "from": 1}),
        *trades(2),
    ]
    async with recorded() as store:
        await store.put(messages)
        assert (await run(store, tmp_path)).hours == 5

    def read(kind: str, columns: str) -> list[tuple[Any, ...]]:
        return duckdb.execute(f"SELECT {columns} FROM read_parquet('{tmp_path}/type={kind}/*/*.parquet')").fetchall()

    assert read("quote", "bid, bid_size, ask, ask_size") == [(1.0, 2.0, 3.0, 4.0)]
    levels = read("book", "bids[1].price, asks[2].size, bids_exact, asks_exact")
    assert levels == [(1.5, 1.0, None, '[["3", "0.1234567890123456789"], ["4", "1"]]')]
    assert read("gap", "kind, json_extract(detail, '$.missing')::int") == [("gap", 3)]
    assert read("heartbeat", "status, silent_for_ms, synthetic") == [("silent", 12, True)]


@pytest.mark.parametrize(
    "price", ["0.1", "64000.01000000", "123456789.123456789012", "0.00000000000000000123", "900719925474099.31"]
)
async def test_no_digit_of_a_number_is_lost(recorded: Any, tmp_path: Path, price: str) -> None:
    async with recorded() as store:
        await store.put(trades(1, price=price))
        await run(store, tmp_path)
    [(value, text)] = ask(tmp_path, "SELECT price, price_exact FROM ARCHIVE")
    assert Decimal(text if text is not None else repr(value)) == Decimal(price)


async def test_a_big_hour_has_several_files_and_stays_sorted(recorded: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(hour_module, "BATCH_ROWS", 100)
    monkeypatch.setattr(parts_module.Parts.__init__, "__defaults__", (250,))
    async with recorded() as store:
        await store.put([*trades(800), *trades(150, symbol="ETHUSDT")])
        outcome = await run(store, tmp_path)
    assert outcome.files == 4
    numbers = [
        ask(tmp_path, f"SELECT symbol, ts FROM read_parquet('{tmp_path}/type=trade/*/16-{n}.parquet')")
        for n in range(4)
    ]
    joined = [row for rows in numbers for row in rows]
    assert joined == sorted(joined)
    assert len(joined) == 950


async def test_a_second_run_writes_nothing_anew(recorded: Any, tmp_path: Path) -> None:
    async with recorded() as store:
        await store.put(trades(10))
        await run(store, tmp_path)
        before = {path: path.stat().st_mtime_ns for path in files(tmp_path)}
        outcome = await run(store, tmp_path)
    assert (outcome.hours, outcome.unchanged) == (0, 1)
    assert {path: path.stat().st_mtime_ns for path in files(tmp_path)} == before


async def test_only_hours_that_are_over_and_settled() -> None:
    assert last_stop(START + HOUR + 9 * 60 * 10**9) == START
    assert last_stop(START + HOUR + 10 * 60 * 10**9) == START + HOUR


async def keep_nothing(store: Any, root: Path, before: int = START + 99 * HOUR) -> Any:
    return await prune(root, store.store.delete_exactly, before)


async def stored_rows(store: Any) -> int:
    async with store.read() as reader:
        table = ARCHIVED["trade"]
        [(count,)] = await reader.rows(table.count("BTCUSDT", 0, START + 99 * HOUR))
        return int(count)


async def test_what_is_verified_can_be_deleted_and_only_that(recorded: Any, tmp_path: Path) -> None:
    async with recorded() as store:
        await store.put([*trades(10), *trades(20, START + HOUR), *trades(40, START + 2 * HOUR)])
        await run(store, tmp_path, until=START + 2 * HOUR)  # the third hour is not archived
        pruned = await keep_nothing(store, tmp_path, before=START + HOUR)  # and the second is too young
        assert (pruned.rows, pruned.hours, await stored_rows(store)) == (10, 1, 60)
        assert (await keep_nothing(store, tmp_path)).rows == 20
        assert await stored_rows(store) == 40
    assert len(ask(tmp_path, "SELECT ts FROM ARCHIVE")) == 30


async def test_a_row_that_came_later_is_not_deleted_until_it_is_archived(recorded: Any, tmp_path: Path) -> None:
    late = Trade("binance", "BTCUSDT", START + 9 * HOUR, "1", "1", trade_id="late", ts_event=START + 7, backfill=True)
    async with recorded() as store:
        await store.put(trades(10))
        await run(store, tmp_path)
        await store.put([late])
        assert (await keep_nothing(store, tmp_path)).rows == 0
        assert await stored_rows(store) == 11
        assert (await run(store, tmp_path)).rows == 11
        assert (await keep_nothing(store, tmp_path)).rows == 11
    assert len(ask(tmp_path, "SELECT ts FROM ARCHIVE")) == 11


async def test_an_archive_never_loses_what_the_store_has_deleted(recorded: Any, tmp_path: Path) -> None:
    late = Trade("binance", "BTCUSDT", START + 9 * HOUR, "1", "1", trade_id="late", ts_event=START + 7, backfill=True)
    async with recorded() as store:
        await store.put(trades(10))
        await run(store, tmp_path)
        await keep_nothing(store, tmp_path)
        assert await stored_rows(store) == 0
        assert (await run(store, tmp_path)).hours == 0
        await store.put([late, trades(10)[3]])  # something new, and one that was archived already
        assert (await run(store, tmp_path)).rows == 11
        ids = sorted(row[0] for row in ask(tmp_path, "SELECT trade_id FROM ARCHIVE"))
        assert ids == sorted([*(str(n) for n in range(10)), "late"])
        assert (await keep_nothing(store, tmp_path)).rows == 2
    assert len(files(tmp_path)) == 1


async def test_a_changed_file_is_noticed_before_anything_is_deleted(recorded: Any, tmp_path: Path) -> None:
    async with recorded() as store:
        await store.put(trades(10))
        await run(store, tmp_path)
        [path] = files(tmp_path)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        pruned = await keep_nothing(store, tmp_path)
        assert (pruned.rows, pruned.kept, await stored_rows(store)) == (0, 1, 10)
        await store.put(trades(1, START + 5 * 10**9))
        _, damages = await run_damaged(store, tmp_path)
        assert ["missing or changed since it was verified" in why for why in damages.values()] == [True]
        assert path.read_bytes() == content


async def test_a_damaged_hour_is_left_as_it_is_and_keeps_no_other_from_being_archived_and_pruned(
    recorded: Any, tmp_path: Path
) -> None:
    root = tmp_path / "archive"
    async with recorded() as store:
        await store.put(trades(10))
        await run(store, root)
        [path] = files(root)
        path.unlink()
        await store.put([*trades(1, START + 5 * 10**9), *trades(20, START + HOUR)])
        outcome, damages = await run_damaged(store, root)
        assert (outcome.hours, outcome.rows, outcome.damaged) == (1, 20, 1)
        assert list(damages) == [Hour("trade", START)]
        pruned = await keep_nothing(store, root)
        assert (pruned.rows, pruned.kept, await stored_rows(store)) == (20, 1, 11)


async def test_the_command_tells_every_damaged_hour_on_a_line_and_ends_with_1(recorded: Any, tmp_path: Path) -> None:
    root = tmp_path / "archive"

    def command() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "app", "archive", "--directory", str(root)],
            cwd=Path(__file__).resolve().parents[2], env={**os.environ, "STORAGE_URL": store.url},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    async with recorded() as store:
        await store.put([*trades(10), *trades(10, START + HOUR), *trades(10, START + 2 * HOUR)])
        assert (await asyncio.to_thread(command)).returncode == 0
        first, second, third = sorted(files(root))
        for path in (first, third):
            path.unlink()
        await store.put([*trades(1, START + 5 * 10**9), *trades(1, START + 2 * HOUR + 5 * 10**9)])
        await store.put(trades(7, START + 3 * HOUR))
        done = await asyncio.to_thread(command)
    assert done.returncode == 1
    assert done.stdout.startswith("7 rows of 1 hours in 1 files ")
    told = done.stderr.splitlines()
    damaged = [line for line in told if line.startswith("damaged: ")]
    assert [("hour 16 is missing" in line, "hour 18 is missing" in line) for line in damaged] == [(1, 0), (0, 1)]
    assert told[-1].startswith("2 hours are damaged and not archived: ")
    assert second.exists()


async def test_what_does_not_read_back_gets_no_name(recorded: Any, tmp_path: Path, monkeypatch: Any) -> None:
    write = pq.write_table

    def lose_a_row(table: Any, where: Path, **options: Any) -> None:
        write(table.slice(1), where, **options)

    monkeypatch.setattr(pq, "write_table", lose_a_row)
    async with recorded() as store:
        await store.put(trades(10))
        with pytest.raises(VerificationError, match="differs from what was written"):
            await run(store, tmp_path)
    assert files(tmp_path, "type=*/**/*") == []


@pytest.mark.parametrize("instant", ["before_verified", "before_removal"])
async def test_an_end_in_the_middle_of_an_addition_loses_nothing(
    recorded: Any, tmp_path: Path, monkeypatch: Any, instant: str
) -> None:
    async with recorded() as store:
        await store.put(trades(10))
        await run(store, tmp_path)
        await keep_nothing(store, tmp_path)
        await store.put(trades(12)[10:])
        name = {"before_verified": "write_verified", "before_removal": "remove_others"}[instant]
        real = getattr(hour_module, name)
        calls = []

        def end(*arguments: Any) -> None:
            calls.append(arguments)
            if instant == "before_removal" and len(calls) == 1:  # the first one clears up at the beginning
                real(*arguments)
                return
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(hour_module, name, end)
            with pytest.raises(KeyboardInterrupt):
                await run(store, tmp_path)
        await run(store, tmp_path)
    assert sorted(row[0] for row in ask(tmp_path, "SELECT trade_id FROM ARCHIVE")) == sorted(map(str, range(12)))
    verified = read_verified(tmp_path, Hour("trade", START))
    assert verified is not None
    assert [file.name for file in verified.files] == [path.name for path in files(tmp_path)]


@pytest.mark.skipif(os.name != "posix", reason="umask")
async def test_strangers_in_the_archive_are_left_alone(recorded: Any, tmp_path: Path) -> None:
    folder = tmp_path / "type=trade" / "date=2025-11-24"
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    (folder / "16.verified").write_text("{not json")
    (folder / "99.verified").write_text("{}")
    async with recorded() as store:
        await store.put(trades(10))
        assert (await keep_nothing(store, tmp_path)).rows == 0
        assert (await run(store, tmp_path)).hours == 1
    assert (folder / "notes.txt").read_text() == "mine"


async def test_as_many_late_rows_as_were_deleted_are_archived_before_they_go(recorded: Any, tmp_path: Path) -> None:
    late = [
        Trade("binance", "BTCUSDT", START + 9 * HOUR, "1", "1", trade_id=f"late{n}", ts_event=START + n, backfill=True)
        for n in range(10)
    ]
    async with recorded() as store:
        await store.put(trades(10))
        await run(store, tmp_path)
        assert (await keep_nothing(store, tmp_path)).rows == 10
        await store.put(late)  # the count is that of the rows that are gone
        assert (await keep_nothing(store, tmp_path)).rows == 0
        assert (await run(store, tmp_path)).rows == 20
        assert (await keep_nothing(store, tmp_path)).rows == 10
        assert (await keep_nothing(store, tmp_path)).rows == 0
    assert len(ask(tmp_path, "SELECT DISTINCT trade_id FROM ARCHIVE")) == 20


@pytest.mark.parametrize("trouble", ["unreadable", "of another hour", "missing"])
async def test_an_hour_that_nobody_vouches_for_any_more_is_not_written_over(
    recorded: Any, tmp_path: Path, trouble: str
) -> None:
    hour = Hour("trade", START)
    late = Trade("binance", "BTCUSDT", START + 9 * HOUR, "1", "1", trade_id="late", ts_event=START + 7, backfill=True)
    async with recorded() as store:
        await store.put([*trades(10), *trades(10, START + HOUR)])
        await run(store, tmp_path)
        await keep_nothing(store, tmp_path, before=START + HOUR)
        if trouble == "missing":
            (tmp_path / hour.verified).unlink()
        else:
            other = (tmp_path / Hour("trade", START + HOUR).verified).read_bytes()
            (tmp_path / hour.verified).write_bytes(b"{" if trouble == "unreadable" else other)
        await store.put([late])
        _, damages = await run_damaged(store, tmp_path)
        assert ["may hold what the store has no more" in why for why in damages.values()] == [True]
    assert len(ask(tmp_path, "SELECT ts FROM ARCHIVE")) == 20


async def test_who_vouches_for_another_hour_lets_nothing_be_deleted(recorded: Any, tmp_path: Path) -> None:
    async with recorded() as store:
        await store.put([*trades(10), *trades(10, START + HOUR)])
        await run(store, tmp_path, until=START + HOUR)
        first, second = Hour("trade", START), Hour("trade", START + HOUR)
        for name, copy in ((first.verified, second.verified), (first.part(0), second.folder + "/16-0.parquet")):
            if name != copy:
                (tmp_path / copy).write_bytes((tmp_path / name).read_bytes())
        assert (await keep_nothing(store, tmp_path)).rows == 10
        assert await stored_rows(store) == 10


async def test_what_was_deleted_is_not_read_again_every_hour(
    recorded: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with recorded() as store:
        await store.put(trades(10))
        await run(store, tmp_path)
        await keep_nothing(store, tmp_path)
        monkeypatch.setattr(retention_module, "is_intact", lambda *_: pytest.fail("the archive is read once more"))
        assert (await keep_nothing(store, tmp_path)).rows == 0


async def test_two_runs_at_a_time_are_one_too_many(recorded: Any, tmp_path: Path) -> None:
    class Impatient(Watcher):
        refusal = ""

        def begin(self, hours: int) -> None:
            super().begin(hours)
            command = [sys.executable, "-m", "app", "archive", "--directory", str(tmp_path)]
            second = subprocess.run(
                command, env={**os.environ, "STORAGE_URL": store.url}, capture_output=True, text=True, check=False
            )
            assert (second.returncode, second.stdout) == (1, "")
            Impatient.refusal = second.stderr

    async with recorded() as store:
        await store.put(trades(10))
        async with store.read() as reader:
            await archive(reader, tmp_path, ALL, 0, START + HOUR, Impatient())
    assert Impatient.refusal.startswith(f"another run is writing to {tmp_path}")
    assert len(Impatient.refusal.splitlines()) == 1
    assert len(ask(tmp_path, "SELECT ts FROM ARCHIVE")) == 10
