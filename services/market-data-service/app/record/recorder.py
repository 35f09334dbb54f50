"""The recorder, wired: NATS -> intake -> outlet (buffer, journal on disk, sink) -> store.

It stops in this order, so that nothing on its way is lost: NATS, buffer, sink, store. In JetStream mode the connection
to NATS is closed after the sink, when what is in the store has been acknowledged.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from app.bus import Buffer, Policy
from app.journal import Journal
from app.ledger import log_ledger
from app.record.flight import Home
from app.record.intake import Intake
from app.record.sequence import Sequences
from app.record.stream import StreamReader
from app.sinks.outlet import Outlet
from app.sinks.storage import StorageSink
from app.storage.rows import NAMES, Storable
from app.storage.store import Store
from app.storage.writer import Writer
from nats_link import Link
from nats_link.jetstream import StreamError, StreamOptions
from nats_link.jetstream.lock import HeldError

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


@dataclass(frozen=True, slots=True)
class FromStream:
    """JetStream mode: the stream to read, and the name of the consumer that knows how far."""

    stream: StreamOptions
    durable: str


@dataclass(frozen=True, slots=True)
class Retention:
    """Rows older than `days` are deleted once the archive in this folder holds them for certain."""

    archive: Path
    days: int


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
        jetstream: FromStream | None = None,
        retention: Retention | None = None,
    ) -> None:
        """Wire the parts; nothing runs yet.

        Args:
            link: the connection to NATS, not running; the recorder runs and closes it.
            store: where to; disposed of at the end.
            journal: what memory has no room for; None: the rest is dropped then, counted and named.
            subjects: what to listen to.
            queue: queue group, empty for none; in one, others hear part of the messages, so no hole is recorded.
            capacity: messages in memory.
            jetstream: where those subjects come from that the stream has, without a queue group; None: all are listened
                to.
            retention: None: nothing is ever deleted.
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
        of_stream = None if jetstream is None else Sequences(MAX_SUBJECTS)
        self.intake = Intake(self.buffer, sequences, wall_ns=time.time_ns, of_stream=of_stream)
        account = self.sink.writer.account
        self.home = Home(self.buffer, settled=lambda: self.sink.settled, pending=lambda: account.pending)
        self.reader = None if jetstream is None else self._reader(jetstream, subjects, capacity, journal)
        self.retention = retention
        self._away_since: float | None = None
        self._stop = asyncio.Event()
        heard = [subject for subject in subjects if self.reader is None or not self.reader.holds(subject)]
        for subject in heard:
            link.subscribe(subject, queue, self._listener(subject))
        if heard:
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
                others = [tasks.create_task(self._watch(), name="watch")]
                if self.reader is not None:
                    others.append(tasks.create_task(self._endless(self.reader.run(), "JetStream"), name="stream"))
                    others.append(tasks.create_task(self.reader.tend(), name="acknowledgements"))
                prune = self._keep_pruned(tasks)
                await self._stop.wait()

                if prune is not None:
                    prune.cancel()
                await self._take_no_more()
                self.intake.tell_lost()
                await self.outlet.stop(EMPTY_BUFFER_S, CLOSE_SINK_S)
                for task in others:
                    task.cancel()
                if self.reader is not None:
                    self.reader.acknowledge()
                    await self.link.close(CLOSE_LINK_S)
                await asyncio.wait([link, sink], timeout=END_S)
                for task in (link, sink):
                    task.cancel()
        except* Exception as group:
            code = 1
            for error in group.exceptions:
                if isinstance(error, HeldError):
                    log.error("recorder cannot work", why=str(error))  # noqa: TRY400 - it says what to do
                    continue
                if isinstance(error, StreamError):
                    code = 2  # as the service: with these settings it will never work
                    log.error("recorder cannot work", why=str(error))  # noqa: TRY400 - it says what to do, a trace would not
                    continue
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
            **({} if self.reader is None else self.reader.counts()),
        )
        log_ledger([self.buffer], self.sink)

    def _reader(
        self, jetstream: FromStream, subjects: Sequence[str], capacity: int, journal: Journal[Storable] | None
    ) -> StreamReader:
        """What reads the stream, if that turns out to hold anything of the subjects."""
        return StreamReader(
            self.link,
            self.intake,
            jetstream.stream,
            jetstream.durable,
            subjects,
            capacity=capacity,
            home=self.home.count,
            may_pull=lambda: self.sink.writer.failing is None and (journal is None or not journal.records),
        )

    def _listener(self, subject: str) -> Callable[[str, bytes], None]:
        """Who takes what is heard on `subject`."""
        reader, on_message = self.reader, self.intake.on_message
        if reader is None:
            return on_message

        def on_heard(its_subject: str, payload: bytes) -> None:
            if not self.stopping and not reader.holds(subject):
                on_message(its_subject, payload)

        return on_heard

    def _keep_pruned(self, tasks: asyncio.TaskGroup) -> asyncio.Task[None] | None:
        if self.retention is None:
            return None
        from app.history.archive.retention import keep_pruned  # only here, as in `service`

        prune = keep_pruned(self.retention.archive, self.sink.writer.delete_exactly, self.retention.days)
        return tasks.create_task(prune, name="retention")

    async def _take_no_more(self) -> None:
        if self.reader is None:
            await self.link.close(CLOSE_LINK_S)
        else:
            self.reader.stop()
            self.home.finish()
        step = "NATS closed" if self.reader is None else "the stream is left"
        log.info("stopping", step=step, heard=self.intake.heard, queued=len(self.buffer))

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
        due, last, stored = time.monotonic() + TELL_EVERY_S, time.monotonic(), 0
        was_unreadable = was_discarded = False
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.outlet.look()
            bad = self.intake.last_unreadable
            if bad is not None and not was_unreadable:
                was_unreadable = True
                log.warning("unreadable message", subject=bad.subject, why=bad.reason, more="in the table quarantine")
            if self.intake.discarded and not was_discarded:
                was_discarded = True
                log.warning("the stream deleted messages unread", so_far=self.intake.discarded, more="in the table gap")
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
                    **({} if self.reader is None else self.reader.counts()),
                )
                due, last, stored = now + TELL_EVERY_S, now, account.stored
