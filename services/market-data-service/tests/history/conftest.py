"""A store with known rows in it, made through the service's own writer."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from app.storage.batch import Batch
from app.storage.opening import open_store
from app.storage.reader import Reader, open_reader
from app.storage.store import Store

HOUR_NS = 3_600_000_000_000
START_NS = 490_000 * HOUR_NS  # the beginning of an hour: 2025-11-24T16:00Z


class Recorded:
    """One SQLite store, to write to and to read from."""

    def __init__(self, url: str, store: Store) -> None:
        self.url = url
        self.store = store

    async def put(self, messages: Sequence[Any]) -> None:
        for start in range(0, len(messages), 1_000):
            await self.store.insert(Batch(messages[start : start + 1_000], 0).tables())

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Reader]:
        async with open_reader(self.url) as reader:
            yield reader


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[[], Any]:
    @asynccontextmanager
    async def make() -> AsyncIterator[Recorded]:
        url = f"sqlite+aiosqlite:///{tmp_path}/market.db"
        store = await open_store(url)
        try:
            yield Recorded(url, store)
        finally:
            await store.dispose()

    return make


Put = Callable[[Sequence[Any]], Awaitable[None]]
