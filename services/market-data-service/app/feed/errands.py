"""Runs what a provider fetches apart from its connections."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from app.feed.clock import Clock
from app.feed.rest import Rest, RestError
from app.providers.provider import Errands, Fetch, Notice
from md_contract.events import Event
from md_contract.units import NS_PER_S

LONGEST_S: Final = 3_600.0

_log = structlog.get_logger()


async def run_errands(errands: Errands, *, rest: Rest, publish: Callable[[Event], None], clock: Clock) -> None:
    """Do what `errands` want, whenever something has come due, until cancelled."""
    woken = asyncio.Event()
    errands.on_wake = woken.set

    async def fetch(wanted: Fetch) -> None:
        try:
            body, ts_recv = await rest.get_once(wanted)
        except RestError as error:
            errands.failed(wanted, error.status, clock.monotonic_ns())
        else:
            for event in errands.fetched(wanted, body, clock.monotonic_ns(), ts_recv):
                publish(event)
        woken.set()

    async with asyncio.TaskGroup() as tasks:
        while True:
            woken.clear()
            now = clock.monotonic_ns()
            for event in errands.on_time(now, clock.wall_ns()):
                publish(event)
            for want in errands.wants:
                if isinstance(want, Fetch):
                    tasks.create_task(fetch(want), name=f"fetch {want.path}")
                elif isinstance(want, Notice):
                    _log.warning(want.event, **want.fields)
            errands.wants.clear()
            try:
                async with asyncio.timeout(max(0.0, min((errands.due - now) / NS_PER_S, LONGEST_S))):
                    await woken.wait()
            except TimeoutError:
                pass
