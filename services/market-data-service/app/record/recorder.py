"""The recorder, wired: NATS -> intake -> outlet (buffer, journal on disk, sink) -> store.

It stops in this order, so that nothing on its way is lost: NATS, buffer, sink, store.
"""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from typing import Final

import structlog

from app.bus import Buffer, Policy
from app.journal import Journal
from app.ledger import log_ledger
from app.record.intake import Intake
from app.record.sequence import Sequences
from app.sinks.outlet import Outlet
from app.sinks.storage import StorageSink
from app.storage.rows import NAMES, Storable
from app.storage.store import Store
from app.storage.writer import Writer
from nats_link import Link

MAX_SUBJECTS: Final = 50_000  # whose `seq` is followed: events and features of some thousand symbols
CLOSE_LINK_S: Final = 2.0  # the parts of a stop together stay below the 10 s a supervisor waits before it kills
EMPTY_BUFFER_S: Final = 3.0
CLOSE_SINK_S: Final = 2.0
END_S: Final = 1.0
DISPOSE_S: Final = 0.5
LOOK_EVERY_S: Final = 0.5
TELL_EVERY_S: Final = 10.0

_KINDS: Final = tuple(NAMES)
RECORD: Final[Policy[Storable]] = Policy(_KINDS, spilling=frozenset(_KINDS), conflated=frozenset())

log: Final = structlog.get_logger("app")


class Recorder:
    """All parts of one run; `run` is its life."""

    def __init__(
        self,
        link: Link,
        store: Store,
        journal: Journal[Storable] | None,
        *,
        subjects: Sequence[str],
        queue: str,
        capacity: int,
    ) -> None:
        """Wire the parts; nothing runs yet.

        Args:
            link: the connection to NATS, not running; the recorder runs and closes it.
            store: where to; disposed of at the end.
            journal: what memory has no room for; None: the rest is dropped then, counted and named.
            subjects: what to listen to.
            queue: queue group, empty for none; in one, others hear part of the messages, so no hole is recorded.
            capacity: messages in memory.
        """
        self.stopping = False
        self.store = store
        self.link = link
        self.sink: StorageSink[Storable] = StorageSink(Writer(store))
        self.buffer: Buffer[Storable] = Buffer(
            self.sink.name,
            self.sink.take,
            capacity,
            self._saturation_changed,
            RECORD,
            journal,
            settled=lambda: self.sink.settled,
        )
        self.outlet: Outlet[Storable] = Outlet(self.sink, self.buffer)
        sequences = None if queue else Sequences(MAX_SUBJECTS)
        self.intake = Intake(self.buffer, sequences, wall_ns=time.time_ns)
        self._away_since: float | None = None
        self._stop = asyncio.Event()
        for subject in subjects:
            link.subscribe(subject, queue, self.intake.on_message)
        link.listen(self._on_state)

    async def run(self) -> int:
        """Record until `request_stop`, then stop in order; return the exit code.

        A part that dies takes the recorder with it: better gone, and started anew, than half alive.
        """
        code = 0
        try:
            async with asyncio.TaskGroup() as tasks:
                link = tasks.create_task(self._endless(self.link.run(), "NATS"), name="link")
                sink = tasks.create_task(self._endless(self.sink.run(), "storage"), name="storage")
                self.outlet.start(tasks)
                watch = tasks.create_task(self._watch(), name="watch")
                await self._stop.wait()

                await self.link.close(CLOSE_LINK_S)
                log.info("stopping", step="NATS closed", heard=self.intake.heard, queued=len(self.buffer))
                self.intake.tell_lost()
                await self.outlet.stop(EMPTY_BUFFER_S, CLOSE_SINK_S)
                watch.cancel()
                await asyncio.wait([link, sink], timeout=END_S)
                for task in (link, sink):
                    task.cancel()
        except* Exception as group:
            code = 1
            for error in group.exceptions:
                log.exception("recorder failed", why=f"{type(error).__name__}: {error}", exc_info=error)
        self.end()
        try:
            async with asyncio.timeout(DISPOSE_S):
                await self.store.dispose()
        except TimeoutError:
            log.warning("storage did not close in time", waited_s=DISPOSE_S)
        return code

    def request_stop(self) -> None:
        """Begin the orderly stop; `run` returns when it is done."""
        self.stopping = True
        self._stop.set()

    def end(self) -> None:
        """Put aside at once what is still under way, and say what became of every message."""
        self.intake.tell_lost()
        self.outlet.abandon(self.buffer.give_back(self.sink.surrender()))
        intake = self.intake
        received = sum(account.received for account in self.buffer.accounts.values())
        log.info(
            "heard",
            messages=intake.heard,
            notes=intake.notes,
            difference=intake.heard + intake.notes - received,
            gaps=intake.gaps,
            missing=intake.missing,
            refused=intake.refused,
            unreadable=intake.unreadable,
        )
        log_ledger([self.buffer], self.sink)

    async def _endless(self, part: Awaitable[None], name: str) -> None:
        await part
        if not self.stopping:
            raise RuntimeError(f"{name} ended by itself")

    def _on_state(self, connected: bool) -> None:
        now = time.monotonic()
        if not connected:
            self._away_since = now
        elif self._away_since is not None:
            away_s, self._away_since = now - self._away_since, None
            self.intake.was_away(away_s, self.link.last_error or "the connection was lost")

    def _saturation_changed(self) -> None:
        if self.buffer.saturated:
            why = "memory and SPILL_DIR are full" if self.buffer.journal is not None else "memory is full"
            log.error("messages are lost", why=why, next="they are counted, and named in the table gap")
        else:
            log.info("there is room again", lost=self.intake.refused)

    async def _watch(self) -> None:
        """Tell once what would otherwise only be counted, and how it goes every few seconds."""
        account = self.sink.writer.account
        due, last, stored, was_unreadable = time.monotonic() + TELL_EVERY_S, time.monotonic(), 0, False
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.outlet.look()
            bad = self.intake.last_unreadable
            if bad is not None and not was_unreadable:
                was_unreadable = True
                log.warning("unreadable message", subject=bad.subject, why=bad.reason, more="in the table quarantine")
            now = time.monotonic()
            if now >= due:
                journal = self.buffer.journal
                log.info(
                    "recording",
                    rows_per_s=round((account.stored - stored) / (now - last)),
                    stored=account.stored,
                    pending=len(self.buffer) + account.pending,
                    on_disk=0 if journal is None else journal.records,
                    gaps=self.intake.gaps,
                    missing=self.intake.missing,
                    unreadable=self.intake.unreadable,
                    nats="connected" if self.link.connected else "away",
                    storage="writing" if self.sink.writer.failing is None else self.sink.writer.failing,
                )
                due, last, stored = now + TELL_EVERY_S, now, account.stored
