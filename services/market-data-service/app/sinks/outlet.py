"""One way out of the service: a sink, the buffer before it, and how both end."""

import asyncio
import time
from typing import Final, Generic

import structlog

from app.bus import Buffer, M
from app.sinks.sink import Sink, drain

log: Final = structlog.get_logger("app")


class Outlet(Generic[M]):
    """Runs the hand-over from the buffer to the sink, and tells people once of what would otherwise only be counted."""

    def __init__(self, sink: Sink[M], buffer: Buffer[M]) -> None:
        self.sink = sink
        self.buffer = buffer
        self._draining: asyncio.Task[None] | None = None
        self._failed = False
        self._on_disk = False
        self._disk_errors = 0
        self._ended = False
        journal = buffer.journal
        if journal is not None and journal.records:
            log.info("an earlier run left events on disk", events=journal.records, sink=sink.name, next="they go first")
        if journal is not None and journal.torn:
            log.warning("an earlier run was killed while it wrote", records_lost=journal.torn, sink=sink.name)
        if journal is not None and journal.misnamed:
            log.warning(
                "files of an earlier run say that more was done than they hold",
                files=journal.misnamed,
                sink=sink.name,
                next="all of each goes out, some perhaps once more",
            )

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Begin to hand over."""
        self._draining = tasks.create_task(drain(self.buffer, self.sink), name=f"drain {self.sink.name}")

    def look(self) -> None:
        """Write what the journal holds back, and say what has changed; called a few times a second."""
        buffer, journal = self.buffer, self.buffer.journal
        if buffer.failures and not self._failed:
            self._failed = True
            log.error("sink failed on an event; further ones are only counted", why=buffer.last_failure)
        if journal is None:
            return
        journal.flush()
        if self._on_disk != (journal.records > 0):
            self._on_disk = not self._on_disk
            if self._on_disk:
                log.warning("events wait on disk", sink=self.sink.name, why="it takes less than comes in")
            else:
                log.info("no event waits on disk any more", sink=self.sink.name)
        errors = journal.write_errors + journal.read_errors + journal.corrupt
        if errors and not self._disk_errors:
            log.error(
                "journal has trouble; more of it is only counted",
                sink=self.sink.name,
                why=journal.last_error,
                corrupt=journal.corrupt,
            )
        self._disk_errors = errors

    async def stop(self, empty_s: float, close_s: float) -> None:
        """Hand over what waits, as long as the sink is reachable; close the sink; put aside what is left."""
        deadline = time.monotonic() + empty_s
        while not self.buffer.empty and self.sink.reachable and time.monotonic() < deadline:  # noqa: ASYNC110 - the buffer is pure and wakes nobody
            await asyncio.sleep(0.01)
        if self._draining is not None:
            self._draining.cancel()
        log.info("stopping", step="bus emptied", sink=self.sink.name, left=len(self.buffer))
        self.abandon(self.buffer.give_back(await self.sink.close(close_s)))

    def abandon(self, dropped: int = 0) -> None:
        """Put aside on disk what must arrive, and let the rest go, at once; `dropped`: what has gone already."""
        name = self.sink.name
        dropped += self.buffer.abandon()
        kept = sum(account.spilled for account in self.buffer.accounts.values())
        if kept and not self._ended:
            log.warning("events kept on disk at the end", events=kept, sink=name, next="the next run hands them over")
        if dropped:
            log.warning("events dropped at the end", events=dropped, sink=name, why="it could not take them")
        self._ended = True
