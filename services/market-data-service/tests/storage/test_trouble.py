"""Databases in trouble, for real: locked, killed, full, removed. Nothing is lost, and the sum always closes."""

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import storage_child
from postgres import PostgresServer
from structlog.testing import capture_logs

from app.storage.opening import open_store
from app.storage.queue import BatchQueue
from app.storage.store import StorageError
from app.storage.writer import Writer
from md_contract.events import Trade

LOCKER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
"""


@pytest.fixture
def locker() -> Iterator[Callable[[Path], Callable[[], None]]]:
    """`release = locker(path)`: another process holds the write lock until `release()`."""
    running: list[subprocess.Popen[bytes]] = []

    def lock(path: Path) -> Callable[[], None]:
        command = [sys.executable, "-c", LOCKER, str(path)]
        other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        running.append(other)
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"

        def release() -> None:
            other.communicate()

        return release

    yield lock
    for process in running:
        if process.poll() is None:
            process.communicate()


async def test_a_database_locked_by_another_process_costs_time_and_no_row(
    sqlite_place: Any, writing: Any, trades: Any, locker: Any
) -> None:
    async with writing(sqlite_place) as w:
        await w.put(*trades(10))
        await w.settled()
        release = locker(sqlite_place.path)
        await w.put(*trades(3_000, first=100))
        await w.until(lambda writer: writer.failing is not None and writer.account.retries >= 3)
        assert w.writer.away is None, "a lock passes by itself, so rows are still taken"
        assert "SQLITE_BUSY" in str(w.writer.failing)
        assert w.writer.take(trades(1, first=50)[0])
        release()
        await w.settled()
        assert w.writer.failing is None
        assert (w.writer.account.stored, w.writer.account.duplicates) == (3_011, 0)
    assert await sqlite_place.count("trade") == 3_011


async def test_a_server_killed_in_the_middle_gets_every_row_once_it_is_back(
    postgres: PostgresServer, postgres_place: Any, writing: Any, trades: Any
) -> None:
    events: list[Trade] = trades(6_000)
    async with writing(postgres_place, BatchQueue(max_rows=2_000)) as w:
        feeding = asyncio.create_task(w.put(*events))
        await w.until(lambda writer: writer.account.stored >= 1_000)
        await asyncio.to_thread(postgres.stop, "immediate")
        await w.until(lambda writer: writer.away is not None)
        assert not w.writer.take(trades(1, first=90_000)[0]), "the bus keeps and spills now"
        await asyncio.to_thread(postgres.start)
        await feeding
        await w.settled()
        account = w.writer.account
        assert account.stored + account.duplicates == len(events)
        assert w.writer.away is None
    assert await postgres_place.count("trade") == len(events)


async def test_a_server_that_is_away_at_the_start_is_waited_for(
    postgres: PostgresServer, postgres_place: Any, writing: Any, trades: Any
) -> None:
    await asyncio.to_thread(postgres.stop)
    try:
        with capture_logs() as logs:
            async with writing(postgres_place) as w:
                await w.put(*trades(5))
                await w.until(lambda writer: writer.away is not None)
                await asyncio.to_thread(postgres.start)
                await w.settled()
                assert w.writer.account.stored == 5
    finally:
        if not postgres.running:
            postgres.start()
    assert [entry["event"] for entry in logs] == [
        "storage cannot be reached yet",
        "storage does not take a batch",
        "storage takes rows again",
    ]


async def test_what_an_absent_server_never_took_is_given_back_at_the_end_and_soon(trades: Any) -> None:
    store = await open_store("postgresql+asyncpg://me:canary@127.0.0.1:1/market")
    writer = Writer(store)
    with capture_logs() as logs:
        task = asyncio.create_task(writer.run())
        events = trades(20)
        assert all(map(writer.take, events))
        async with asyncio.timeout(12):
            assert await writer.close(2) == events
            await task
        await store.dispose()
    assert (writer.account.given_back, writer.account.difference) == (20, 0)
    assert "canary" not in f"{logs} {store.shown} {writer.failing} {writer.away}"


async def test_a_lock_that_outlasts_the_run_gives_the_rows_back(
    sqlite_place: Any, writing: Any, trades: Any, locker: Any
) -> None:
    async with writing(sqlite_place) as w:
        release = locker(sqlite_place.path)
        events = trades(1_200)
        await w.put(*events)
        async with asyncio.timeout(10):
            assert await w.writer.close(0.5) == events
        release()
    assert await sqlite_place.count("trade") == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB."""
    if os.getuid() != 0 or not sys.platform.startswith("linux"):
        pytest.skip("only root on Linux may make a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip(f"no small disk here: {made.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


async def test_a_full_disk_stops_the_taking_and_room_brings_it_back(
    small_disk: Path, writing: Any, trades: Any, sqlite_place: Any
) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * (1 << 20))
    place = type(sqlite_place)("sqlite", f"sqlite+aiosqlite:///{small_disk}/market.db", small_disk / "market.db")
    async with writing(place) as w:
        taken = 0
        for trade in trades(20_000):
            if not w.writer.take(trade):
                break
            taken += 1
            if taken % 500 == 0:
                await asyncio.sleep(0)
        await w.until(lambda writer: writer.away is not None)
        assert "SQLITE_FULL" in str(w.writer.away) or "SQLITE_IOERR" in str(w.writer.away)
        assert not w.writer.take(trades(1, first=90_000)[0])
        stored = w.writer.account.stored
        check = sqlite3.connect(f"file:{place.path}?mode=ro", uri=True)
        assert check.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert check.execute("SELECT count(*) FROM trade").fetchone() == (stored,)
        check.close()
        ballast.unlink()
        grow = ["mount", "-o", "remount,size=32m", str(small_disk)]
        await asyncio.to_thread(subprocess.run, grow, check=True)
        await w.settled()
        assert w.writer.away is None
        assert w.writer.account.stored == taken
    assert await place.count("trade") == taken


async def test_a_file_removed_while_it_is_open_is_noticed_and_made_anew(
    sqlite_place: Any, writing: Any, trades: Any
) -> None:
    with capture_logs() as logs:
        async with writing(sqlite_place) as w:
            await w.put(*trades(5))
            await w.settled()
            sqlite_place.path.unlink()
            await w.put(*trades(7, first=100))
            await w.settled()
    assert await sqlite_place.count("trade") == 7
    [warning] = [entry for entry in logs if entry["log_level"] == "warning"]
    assert warning["event"] == "the store's file was removed or replaced while it was open"
    assert warning["file"] == str(sqlite_place.path)


async def test_one_process_writes_and_another_is_refused(sqlite_place: Any, writing: Any) -> None:
    async with writing(sqlite_place):
        with pytest.raises(StorageError, match="another process writes"):
            await open_store(sqlite_place.url)
    store = await open_store(sqlite_place.url)
    await store.dispose()


async def test_nobody_else_may_read_the_file_or_its_folder(sqlite_place: Any, writing: Any, trades: Any) -> None:
    async with writing(sqlite_place) as w:
        await w.put(*trades(5))
        await w.settled()
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in sqlite_place.path.parent.iterdir()}
    assert modes == dict.fromkeys(("market.db", "market.db-wal", "market.db-shm", "market.db.lock"), 0o600)
    assert stat.S_IMODE(sqlite_place.path.parent.stat().st_mode) == 0o700


async def test_a_writer_killed_at_any_instant_has_lost_nothing_it_had_told(sqlite_place: Any) -> None:
    told_in_all, first = 0, 1
    for kill_at in (1, 2_500, 9_000):
        command = [sys.executable, storage_child.__file__, sqlite_place.url, str(first), "100000"]
        child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert child.stdout is not None
        assert await child.stdout.readline() == b"open\n"
        told = 0
        while told < kill_at:
            told = int(await child.stdout.readline())
        child.kill()
        rest = await child.stdout.read()
        await child.wait()
        told = max([told, *map(int, rest.split()[:-1])])  # the last line may be half a number
        ids = {int(trade_id) for (trade_id,) in await sqlite_place.ask("SELECT trade_id FROM trade")}
        assert set(range(first, first + told)) <= ids
        assert ids == set(range(1, max(ids) + 1)), "committed in order, so without a hole"
        assert await sqlite_place.ask("PRAGMA integrity_check") == [("ok",)]
        told_in_all, first = told_in_all + told, max(ids) - 99  # the next run delivers the last hundred again
    assert told_in_all > 11_000


@pytest.mark.parametrize("made", ["folder", "text"])
async def test_something_else_in_its_place_is_refused_in_one_line(sqlite_place: Any, made: str) -> None:
    if made == "folder":
        sqlite_place.path.mkdir(parents=True)
    else:
        sqlite_place.path.parent.mkdir()
        sqlite_place.path.write_text("no database at all\n" * 100)
    with pytest.raises(StorageError) as refused:
        await open_store(sqlite_place.url)
    assert "\n" not in str(refused.value)
    assert str(sqlite_place.path) in str(refused.value)
