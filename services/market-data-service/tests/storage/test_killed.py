"""`kill -9` at random instants while rows are written and spilled: what was safe is there in the end, and once.

KILL_INSTANTS=100 makes it a hundred kills (SQLite; a tenth of that on PostgreSQL), KILL_SEED other instants.
"""

import asyncio
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import killed_child
import pytest

KILLS = int(os.environ.get("KILL_INSTANTS", "12"))
SEED = int(os.environ.get("KILL_SEED", "5"))
PER_RUN = 2_000  # trades offered to each run: more than it has time for
LONGEST_S = 0.25


class Victim:
    """The process that forks the runs, and all that they have promised."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.home: set[int] = set()
        self.on_disk: set[int] = set()
        self.unexplained = 0
        self._pid = 0

    async def _hear(self) -> str:
        assert self.process.stdout is not None
        word, *rest = (await self.process.stdout.readline()).decode().split() or ["dead"]
        if word == "home":
            self.home.update(map(int, rest))
        elif word == "disk":
            self.on_disk.update(map(int, rest))
        elif word == "begun":
            self._pid = int(rest[0])
        elif word == "over":
            self.unexplained += int(rest[0])
        return word

    async def run(self, first: int, count: int, kill_after_s: float | None = None) -> set[str]:
        """One run, killed so long after it is open, or (one in five) after it begins; return the words it has said."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{first} {count}\n".encode())
        said = {await self._hear()}
        assert said == {"begun"}
        killing = None
        begin = "begun" if kill_after_s is not None and kill_after_s < LONGEST_S / 5 else "open"
        async with asyncio.timeout(60):
            while "dead" not in said:
                if begin in said and kill_after_s is not None and killing is None:
                    loop = asyncio.get_running_loop()
                    killing = loop.call_later(kill_after_s, os.kill, self._pid, signal.SIGKILL)
                said.add(await self._hear())
        if killing is not None:
            killing.cancel()
        return said


@pytest.fixture
async def victim(place: Any, tmp_path: Path) -> Any:
    command = [sys.executable, killed_child.__file__, place.url, str(tmp_path / "spill")]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 20
    )
    yield Victim(process)
    assert process.stdin is not None
    process.stdin.close()
    async with asyncio.timeout(30):
        await process.wait()


async def stored(place: Any) -> list[int]:
    return [int(number) for (number,) in await place.ask("SELECT trade_id FROM trade")]


@pytest.mark.timeout(600)
async def test_nothing_that_was_safe_is_lost_and_nothing_is_there_twice(place: Any, victim: Victim) -> None:
    kills = KILLS if place.kind == "sqlite" else max(3, KILLS // 10)
    chance = random.Random(SEED)
    await victim.run(0, 10)
    words: set[str] = set()
    for number in range(kills):
        words |= await victim.run(10 + number * PER_RUN, PER_RUN, chance.uniform(0, LONGEST_S))
        if place.kind == "sqlite":
            assert await place.ask("PRAGMA integrity_check") == [("ok",)]
        assert victim.home <= set(await stored(place)), f"kill {number}, seed {SEED}"
    assert "disk" in words, "so that the journal was in play"
    assert await victim.run(0, 0) == {"begun", "open", "home", "over", "dead"}, (
        "what waits on disk is stored by the next run"
    )
    found = await stored(place)
    assert victim.home | victim.on_disk <= set(found)
    assert len(found) == len(set(found))
    assert await victim.run(0, 0) == {"begun", "open", "over", "dead"}, "and by no later one"
    assert sorted(await stored(place)) == sorted(found)
    assert await place.count("quarantine") == 0
    assert victim.unexplained == 0
