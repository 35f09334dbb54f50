"""The one task that writes: batches of 1,000 rows, or whatever has come in 50 ms.

What fails is handled by its verdict (see `retry`). A message that was taken is stored, found to be there already,
quarantined, or given back by `close`: `account` says which, and closes at every moment.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from app.liveness.backoff import Backoff
from app.storage.account import StorageAccount
from app.storage.batch import Batch
from app.storage.queue import BATCH_ROWS, BATCH_WAIT_S, BatchQueue
from app.storage.retry import BASE_S, CAP_S, Verdict
from app.storage.rows import Storable
from app.storage.store import Store, WriteError, Written

if TYPE_CHECKING:  # as in `store`
    from sqlalchemy import Table

LAST_BREATH_S: Final = 0.2  # that a cancelled write may take to come back
ROWS_IN_A_TURN: Final = 125  # of the event loop: a tenth of a millisecond for trades, some for books

_random: Final = random.SystemRandom()

log: Final = structlog.get_logger("app.storage")


class Writer:
    """Takes messages at any time, and writes them to a store until it is closed."""

    def __init__(
        self,
        store: Store,
        queue: BatchQueue | None = None,
        *,
        wall_ns: Callable[[], int] = time.time_ns,
        uniform: Callable[[], float] = _random.random,
    ) -> None:
        self.account = StorageAccount()
        self.away: str | None = None  # why nothing can be written now
        self.failing: str | None = None  # why the last try failed; None after one that did not
        self.store = store
        self._queue = BatchQueue() if queue is None else queue
        self._wall_ns = wall_ns
        self._uniform = uniform
        self._parts: deque[Batch] = deque()  # of what is in hand: each one transaction
        self._backoff = Backoff(BASE_S, max(CAP_S.values()))
        self._closing = False
        self._over = False
        self._some = asyncio.Event()
        self._enough = asyncio.Event()
        self._room = asyncio.Event()
        self._ended = asyncio.Event()
        self._deadline: asyncio.Timeout | None = None
        self._close_by: float | None = None  # of the event loop's clock

    def take(self, message: Storable) -> bool:
        """Take one message to be written; False when the queue is full, the store is away, or the run is over."""
        if self.away is not None or self._closing:
            return False
        waiting = self._queue.put(message)
        if not waiting:
            return False
        account = self.account
        account.taken += 1
        account.pending += 1
        if waiting == 1:
            self._some.set()
        elif waiting == BATCH_ROWS:
            self._enough.set()
        return True

    async def writable(self) -> None:
        """Return when `take` is worth calling again after it returned False."""
        await self._room.wait()
        self._room.clear()

    async def run(self) -> None:
        """Write until `close`; called once, and running when that is called."""
        try:
            async with asyncio.timeout_at(self._close_by) as self._deadline:
                await self._work()
        except TimeoutError:
            if self._deadline is None or not self._deadline.expired():
                raise
        finally:
            self._ended.set()

    async def close(self, timeout_s: float) -> list[Storable]:
        """Write what was taken, for as long as that works and `timeout_s` lasts; return what is not written.

        What is returned may be in the store all the same, when the answer to its commit was still on its way.
        """
        self._closing = True
        self._some.set()
        self._enough.set()
        self._close_by = asyncio.get_running_loop().time() + timeout_s
        if self._deadline is not None and not self._ended.is_set():
            self._deadline.reschedule(self._close_by)
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s + LAST_BREATH_S):
                await self._ended.wait()
        return self.surrender()

    def surrender(self) -> list[Storable]:
        """Stop at once, whatever is under way; return what is not known to be written, oldest first."""
        self._closing = self._over = True
        left = [message for part in self._parts for message in part.messages]
        while self._queue:
            left += self._queue.next_batch()
        self._parts.clear()
        self.account.given_back += len(left)
        self.account.pending -= len(left)
        return left

    async def delete_exactly(self, table: "Table", symbol: str, since_ns: int, until_ns: int, expected: int) -> int:
        """See `Store.delete_exactly`; it waits for its turn between two batches."""
        return await self.store.delete_exactly(table, symbol, since_ns, until_ns, expected)

    async def _work(self) -> None:
        while True:
            await self._some.wait()
            if not self._queue.has_batch and not self._closing:
                with suppress(TimeoutError):
                    async with asyncio.timeout(BATCH_WAIT_S):
                        await self._enough.wait()
            if self._queue:
                self._parts.append(Batch(self._queue.next_batch(), self._wall_ns()))
            if not self._queue:
                self._some.clear()
            if not self._queue.has_batch:
                self._enough.clear()
            if not await self._write_parts():
                return
            if self._queue.has_room:
                self._room.set()
            if self._closing:
                if not self._queue:
                    return
                self._some.set()

    async def _write_parts(self) -> bool:
        """Write the batch in hand, whatever it takes; False when the run ends with some of it unwritten."""
        while self._parts:
            part = self._parts[0]
            if not await self._make_rows(part):
                return False
            try:
                written = await self.store.insert(part.tables())
            except WriteError as error:
                if self._over or not await self._failed(part, error):
                    return False
            else:
                if self._over:
                    return False
                self._parts.popleft()
                self._succeeded(len(part), written)
        return True

    async def _make_rows(self, part: Batch) -> bool:
        """Make the rows of a batch, in turns with whatever else the loop has to do; False when the run is over."""
        while part.make_rows(ROWS_IN_A_TURN):  # noqa: ASYNC110 - nothing is waited for
            await asyncio.sleep(0)
        return not self._over

    def _succeeded(self, rows: int, written: Written) -> None:
        account = self.account
        account.batches += 1
        account.stored += written.stored
        account.duplicates += written.duplicates
        account.quarantined += written.quarantined
        account.pending -= rows
        if self.failing is not None:
            log.info("storage takes rows again", store=self.store.shown, pending=account.pending)
            self.failing = None
            self._backoff = Backoff(BASE_S, max(CAP_S.values()))
        if self.away is not None:
            self.away = None
            self._room.set()

    async def _failed(self, part: Batch, error: WriteError) -> bool:
        """Do what the verdict asks for; False when there is no point in trying again before the end of the run."""
        verdict = error.verdict
        if verdict is Verdict.POISON and len(part) > 1:
            self._parts.popleft()
            self._parts.extendleft(reversed(part.halves()))
            return True
        if verdict is Verdict.POISON:
            if not part.is_set_aside:
                part.set_aside(error.why)
                return True
            verdict = Verdict.AWAY  # it cannot even be set aside: the trouble is not the row
            part.restart()
        self.account.retries += 1
        if self.failing is None:
            log.warning("storage does not take a batch", store=self.store.shown, why=error.why, next="it is repeated")
        self.failing = error.why
        if verdict is Verdict.AWAY:
            self.away = error.why
            if self._closing:
                return False
        await asyncio.sleep(min(self._backoff.next_delay_s(self._uniform()), CAP_S[verdict]))
        return True
