"""Calls into nats-py that are sure to come back.

nats-py swallows cancellations at several places (`_flush_pending`, `_close`), so that `asyncio.timeout` around it may
wait for ever. Here its coroutines run in tasks of their own, and are cancelled until they end.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

_T = TypeVar("_T")

ATTEMPTS: Final = 10
PAUSE_S: Final = 0.05


async def within(timeout_s: float, work: Coroutine[Any, Any, _T]) -> _T:
    """Return what `work` returns. Raises TimeoutError when it takes too long, and what it raises."""
    task = asyncio.get_running_loop().create_task(work)
    try:
        await asyncio.wait({task}, timeout=timeout_s)
        if not task.done():
            raise TimeoutError
        return task.result()
    finally:
        await end_task(task)


async def end_task(task: asyncio.Task[Any]) -> None:
    """Cancel a task until it is over; what it raised is for others to read."""
    for _ in range(ATTEMPTS):
        if task.done():
            break
        task.cancel()
        await asyncio.wait({task}, timeout=PAUSE_S)
    if task.done() and not task.cancelled():
        task.exception()
