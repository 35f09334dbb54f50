"""Keeps one connection up for ever: connect, serve, back off, again; and replaces it before the venue ends it.

A connection that has become old, or that the venue wants to be left, is replaced make-before-break: its successor is
opened, subscribed and ready before it is closed. Both carry the same symbols for a moment; the provider's shared memory
sees to it that what comes twice goes out once.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from app.feed.clock import Clock
from app.feed.connection import Connection, Sign
from app.feed.gate import Gate
from app.feed.websocket import Ending
from app.liveness.backoff import BASE_S, CAP_S, HEALTHY_S, Backoff, TokenBucket
from md_contract.units import NS_PER_S

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Patience:
    """How often connections are made, and how they follow one another."""

    base_s: float = BASE_S  # of the backoff
    cap_s: float = CAP_S
    healthy_s: float = HEALTHY_S
    rotate_after_s: float | None = None  # age; up to `rotate_spread_s` earlier, by chance, so that not all go at once
    rotate_spread_s: float = 3_600.0
    ready_within_s: float = 900.0  # what a successor is given until it is ready: the snapshots of many books take long
    overlap_s: float = 2.0  # how long the old one goes on after that, for what is still on its way


class Serving(Protocol):
    """One connection, as `app.feed.session.Session` makes it."""

    @property
    def ready(self) -> asyncio.Event: ...
    @property
    def replace(self) -> asyncio.Event: ...
    async def run(self) -> Ending: ...
    def take_over(self, reconnect_reason: str | None) -> None: ...
    def retire(self) -> None: ...


# How the connection before had ended, or None; and whether that one is still serving.
Start = Callable[[str | None, bool], Serving]


@dataclass(frozen=True, slots=True)
class _Run:
    """A connection at work, and the task it runs in."""

    session: Serving
    task: asyncio.Task[Ending]
    begun_ns: int  # monotonic
    is_successor: bool


class Supervisor:
    """Keeps one connection up. `attempts` is shared by all connections to the venue."""

    def __init__(
        self,
        connection: Connection,
        start: Start,
        *,
        attempts: TokenBucket,
        gate: Gate,
        clock: Clock,
        patience: Patience | None = None,
    ) -> None:
        self._connection = connection
        self._start = start
        self._attempts = attempts
        self._gate = gate
        self._clock = clock
        self._patience = patience or Patience()
        self._backoff = Backoff(self._patience.base_s, self._patience.cap_s, self._patience.healthy_s)
        self._tasks: set[asyncio.Task[Ending]] = set()

    async def run(self) -> None:
        """Make connection after connection until cancelled, or until there is no symbol left to carry."""
        connection = self._connection
        reason: str | None = None  # how the last one that had opened ended
        try:
            while connection.symbols:
                await self._turn()
                opens = connection.opens
                connection.note(Sign.DIALLED, self._clock.wall_ns())
                ending = await self._serve(self._begin(reason))
                if connection.opens > opens:
                    reason = ending.reason
                connection.note(Sign.LOST, self._clock.wall_ns())
                await self._back_off(ending, "connection ended" if connection.opens > opens else "connection failed")
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            connection.note(Sign.STOPPED, self._clock.wall_ns())

    async def _turn(self) -> None:
        """Wait until a connection may be made."""
        await self._gate.passed()
        while wait_s := self._attempts.wait_s(self._clock.monotonic_ns() / 1e9):
            await self._clock.sleep(wait_s)

    async def _back_off(self, ending: Ending, what: str) -> None:
        """Wait before the next attempt."""
        self._backoff.ended(ending.lasted_s)
        delay_s = max(self._backoff.next_delay_s(self._clock.uniform()), ending.wait_s)
        _log.warning(
            what,
            symbols=len(self._connection.symbols),
            reason=ending.reason,
            lasted_s=round(ending.lasted_s, 1),
            next_attempt_in_s=round(delay_s, 1),
        )
        self._connection.next_attempt_ns = self._clock.wall_ns() + int(delay_s * NS_PER_S)
        try:
            await self._clock.sleep(delay_s)
        finally:
            self._connection.next_attempt_ns = None

    def _begin(self, reason: str | None, *, is_successor: bool = False) -> _Run:
        self._connection.attempts += 1
        session = self._start(reason, is_successor)
        task = asyncio.create_task(self._end_of(session), name=f"connection {self._connection.attempts}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return _Run(session, task, self._clock.monotonic_ns(), is_successor)

    async def _end_of(self, session: Serving) -> Ending:
        try:
            ending = await session.run()
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - an error of ours must not end the feed: told, counted, tried again
            self._connection.failures += 1
            _log.exception("connection ended by an error of ours")
            ending = Ending(f"internal error: {type(error).__name__}")
        self._connection.last_end = ending.reason
        return ending

    async def _serve(self, run: _Run) -> Ending:
        """Let a connection serve, and then those that replace it; return how the last of them ended."""
        while True:
            await _first_of(run.task, event=run.session.replace, timeout_s=self._rotate_in_s())
            if not run.task.done():
                run = await self._replace(run)
            if run.task.done():
                return run.task.result()

    def _rotate_in_s(self) -> float | None:
        patience = self._patience
        if patience.rotate_after_s is None:
            return None
        return max(patience.rotate_after_s - self._clock.uniform() * patience.rotate_spread_s, 0.0)

    async def _replace(self, old: _Run) -> _Run:
        """Put a successor in the place of `old`; return `old` when that has ended before there was any."""
        lasted_s = (self._clock.monotonic_ns() - old.begun_ns) / NS_PER_S
        self._backoff.ended(lasted_s)
        if old.is_successor and lasted_s < self._patience.healthy_s:  # a venue that wants every connection replaced
            await _unless(old.task, self._clock.sleep(self._backoff.next_delay_s(self._clock.uniform())))
        while True:
            await _unless(old.task, self._turn())
            if not self._connection.symbols:  # none is left to carry
                await asyncio.wait([old.task])
            if old.task.done():
                return old
            new = self._begin(None, is_successor=True)
            await _first_of(old.task, new.task, event=new.session.ready, timeout_s=self._patience.ready_within_s)
            if new.session.ready.is_set() and not old.task.done():
                await _first_of(old.task, new.task, timeout_s=self._patience.overlap_s)
            if not new.task.done() and (new.session.ready.is_set() or old.task.done()):
                await self._hand_over(old, new)
                return new
            new.session.retire()
            await _unless(old.task, self._back_off(await new.task, "replacement failed"))

    async def _hand_over(self, old: _Run, new: _Run) -> None:
        """Let `new` serve from here on."""
        if new.session.ready.is_set():
            self._connection.rotations += 1
            new.session.take_over(None)
            old.session.retire()
            await asyncio.wait([old.task])
            _log.info("connection replaced", symbols=len(self._connection.symbols))
        else:
            ending = old.task.result()
            self._connection.reconnects += 1
            self._connection.note(Sign.LOST, self._clock.wall_ns())
            new.session.take_over(ending.reason)
            _log.warning("connection ended before its replacement was ready", reason=ending.reason)


async def _first_of(
    *tasks: asyncio.Task[Ending], event: asyncio.Event | None = None, timeout_s: float | None = None
) -> None:
    """Wait until one of the tasks has ended, the event is set, or the time is up."""
    waiter = None if event is None else asyncio.create_task(event.wait(), name="wait for a sign")
    waited: list[asyncio.Task[Any]] = [*tasks] if waiter is None else [*tasks, waiter]
    try:
        await asyncio.wait(waited, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if waiter is not None:
            waiter.cancel()
            await asyncio.gather(waiter, return_exceptions=True)


async def _unless(ended: asyncio.Task[Ending], pause: Awaitable[None]) -> None:
    """Wait for the pause to be over, but no longer than until the task has ended."""
    waiter = asyncio.ensure_future(pause)
    try:
        await asyncio.wait([waiter, ended], return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiter.cancel()
        await asyncio.gather(waiter, return_exceptions=True)
