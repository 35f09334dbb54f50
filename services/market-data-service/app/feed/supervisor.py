"""Keeps one connection up for ever: connect, serve, back off, again."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from app.feed.clock import Clock
from app.feed.connection import Connection, Sign
from app.feed.gate import Gate
from app.feed.websocket import Ending
from app.liveness.backoff import Backoff, TokenBucket

_log = structlog.get_logger()


async def keep_connected(
    connection: Connection,
    serve: Callable[[str | None], Awaitable[Ending]],
    *,
    attempts: TokenBucket,
    gate: Gate,
    clock: Clock,
) -> None:
    """Run connection after connection until cancelled.

    `serve` runs one; it is told how the last one that had opened ended, or None before the first. `attempts` is shared
    by all connections to the venue.
    """
    backoff = Backoff()
    reconnect_reason: str | None = None
    try:
        while connection.symbols:
            await gate.passed()
            while wait_s := attempts.wait_s(clock.monotonic_ns() / 1e9):
                await clock.sleep(wait_s)
            opens = connection.opens
            ending = await _attempt(connection, serve, reconnect_reason, clock)
            if connection.opens > opens:
                reconnect_reason = ending.reason
            backoff.ended(ending.lasted_s)
            delay_s = max(backoff.next_delay_s(clock.uniform()), ending.wait_s)
            _log.warning(
                "connection ended" if connection.opens > opens else "connection failed",
                symbols=len(connection.symbols),
                reason=ending.reason,
                lasted_s=round(ending.lasted_s, 1),
                next_attempt_in_s=round(delay_s, 1),
            )
            await clock.sleep(delay_s)
    finally:
        connection.note(Sign.STOPPED, clock.wall_ns())


async def _attempt(
    connection: Connection, serve: Callable[[str | None], Awaitable[Ending]], reconnect_reason: str | None, clock: Clock
) -> Ending:
    connection.attempts += 1
    connection.note(Sign.DIALLED, clock.wall_ns())
    try:
        ending = await serve(reconnect_reason)
    except asyncio.CancelledError:
        raise
    except Exception as error:  # noqa: BLE001 - an error of ours must not end the feed: told, counted, tried again
        connection.failures += 1
        _log.exception("connection ended by an error of ours")
        ending = Ending(f"internal error: {type(error).__name__}")
    connection.last_end = ending.reason
    connection.note(Sign.LOST, clock.wall_ns())
    return ending
