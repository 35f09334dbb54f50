"""A process that stores trades with little memory, so that much of it goes by way of the disk; made to be killed.

    python killed_child.py STORAGE_URL SPILL_DIR

For every line `FIRST COUNT` it reads, it forks one run (a fork costs milliseconds, the imports a second) that stores
the trades FIRST to FIRST + COUNT - 1, and then what earlier runs left. A run says one line at a time:

    begun PID         nothing has happened yet
    open              the store and the journal are
    home ID ...       these have been committed
    disk ID ...       these are in the journal's files
    over SUM          it has ended in order; SUM is what its ledgers leave unexplained
    dead              the run is no more
"""

import asyncio
import os
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

import structlog

from app.bus import STORAGE, Buffer
from app.journal import Journal
from app.sinks.outlet import Outlet
from app.sinks.storage import StorageSink
from app.storage import writer
from app.storage.opening import open_store
from app.storage.queue import BatchQueue
from app.storage.writer import Writer
from md_contract.events import Event, Trade

START_NS = 1_790_000_000_000_000_000
IN_WRITER = 100
IN_MEMORY = 100
BATCH_WAIT_S = 0.003  # so that there are many commits to be killed in
PER_LINE = 300  # ids: a line stays shorter than a pipe takes at once


def say(word: str, rest: Iterable[object] = ()) -> None:
    os.write(1, f"{' '.join([word, *map(str, rest)])}\n".encode())


def say_all(word: str, ids: list[int]) -> None:
    for at in range(0, len(ids), PER_LINE):
        say(word, ids[at : at + PER_LINE])


def make_trade(number: int) -> Trade:
    return Trade("binance", "BTCUSDT", START_NS + number, "64000.10", "0.001", str(number), "buy", START_NS + number)


class Run:
    """The writing half of the service, and what it can promise at any moment."""

    def __init__(self, sink: StorageSink, journal: Journal) -> None:
        self.sink = sink
        self.journal = journal
        self.buffer = Buffer("storage", self.take, IN_MEMORY, lambda: None, STORAGE, journal, lambda: sink.settled)
        self.outlet = Outlet(sink, self.buffer)
        self._taken: list[int] = []
        self._home = 0
        self._append = journal.append
        self._appended: list[int] = []
        journal.append = self.append  # type: ignore[method-assign]  # to see what goes there

    def take(self, event: Event) -> bool:
        taken = self.sink.take(event)
        if taken:
            self._taken.append(event.ts_recv - START_NS)
        return taken

    def append(self, event: Event) -> bool:
        taken = self._append(event)
        if taken:
            self._appended.append(event.ts_recv - START_NS)
        return taken

    def tell(self) -> None:
        """Say what is safe by now."""
        home = self.sink.settled
        say_all("home", self._taken[self._home : home])
        self._home = home
        if self._appended and self.journal.flush():
            say_all("disk", self._appended)
            self._appended.clear()

    async def feed(self, first: int, count: int) -> None:
        for number in range(first, first + count):
            self.buffer.put(make_trade(number))
            if number % 40 == 0:
                await asyncio.sleep(0.0005)
                self.tell()

    async def finish(self) -> int:
        while not self.buffer.empty or self.buffer.unsettled or self.sink.writer.account.pending:
            await asyncio.sleep(0.002)
            self.tell()
        await self.outlet.stop(1, 1)
        unexplained = [abs(account.difference) for account in self.buffer.accounts.values()]
        return sum(unexplained) + abs(self.sink.writer.account.difference) + self.journal.corrupt


async def store(url: str, folder: str, first: int, count: int) -> None:
    say("begun", [os.getpid()])
    database = await open_store(url)
    run = Run(StorageSink(Writer(database, BatchQueue(max_rows=IN_WRITER))), Journal(Path(folder), 1 << 26))
    say("open")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(run.sink.run())
        run.outlet.start(tasks)
        await run.feed(first, count)
        unexplained = await run.finish()
    await database.dispose()
    say("over", [unexplained])


def main(url: str, folder: str) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    import_module("app.storage.postgresql")  # here, once, and in no run
    setattr(writer, "BATCH_WAIT_S", BATCH_WAIT_S)  # noqa: B010 - it is final for everybody else
    for line in sys.stdin:
        first, count = map(int, line.split())
        child = os.fork()
        if not child:
            asyncio.run(store(url, folder, first, count))
            os._exit(0)
        os.waitpid(child, 0)
        say("dead")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
