"""Stores of both kinds, a writer on one, and events to write."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from postgres import PostgresServer

from app.storage.opening import migrate_store, open_store
from app.storage.queue import BatchQueue
from app.storage.store import Store
from app.storage.writer import Writer
from md_contract.codec import Message
from md_contract.events import BookL2, Event, Heartbeat, Quote, Status, Trade
from md_contract.signals import Alert, Condition, FeatureVector, Signal, Trust

NOW = 1_790_000_000_000_000_000


class Place:
    """Where a store is, and a look into it with the driver alone."""

    def __init__(self, kind: str, url: str, path: Path | None = None) -> None:
        self.kind = kind
        self.url = url
        self.path = path

    async def ask(self, sql: str) -> list[tuple[Any, ...]]:
        if self.path is not None:
            connection = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)
            try:
                return connection.execute(sql).fetchall()
            finally:
                connection.close()
        client = await asyncpg.connect(self.url.replace("+asyncpg", ""))
        try:
            return [tuple(row) for row in await client.fetch(sql)]
        finally:
            await client.close()

    async def count(self, table: str) -> int:
        return int((await self.ask(f"SELECT count(*) FROM {table}"))[0][0])


@pytest.fixture
def sqlite_place(tmp_path: Path) -> Place:
    path = tmp_path / "data" / "market.db"
    return Place("sqlite", f"sqlite+aiosqlite:///{path}", path)


@pytest.fixture
def postgres_place(postgres: PostgresServer) -> Place:
    """An empty database with the tables of this version."""
    place = Place("postgresql", postgres.url(postgres.new_database()))
    asyncio.run(migrate_store(place.url))
    return place


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest) -> Place:
    """A store of each kind."""
    found: Place = request.getfixturevalue({"sqlite": "sqlite_place", "postgresql": "postgres_place"}[request.param])
    return found


class Writing:
    """A writer at work."""

    def __init__(self, writer: Writer, store: Store) -> None:
        self.writer = writer
        self.store = store

    async def put(self, *messages: Message) -> None:
        """Have them taken, waiting for room where it needs to."""
        for message in messages:
            while not self.writer.take(message):
                async with asyncio.timeout(60):
                    await self.writer.writable()
            assert self.writer.account.difference == 0

    async def settled(self, timeout_s: float = 60) -> None:
        """Wait until nothing is pending."""
        async with asyncio.timeout(timeout_s):
            while self.writer.account.pending:  # noqa: ASYNC110 - counters wake nobody
                await asyncio.sleep(0.005)

    async def until(self, condition: Callable[[Writer], bool], timeout_s: float = 60) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                while not condition(self.writer):  # noqa: ASYNC110 - counters wake nobody
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise AssertionError(f"never; {self.writer.account.as_text()}, failing: {self.writer.failing}") from None


@pytest.fixture
def writing() -> Callable[..., Any]:
    """`async with writing(place) as w:` runs a writer on the store there; closed and accounted for at the end."""

    @asynccontextmanager
    async def start(place: Place, queue: BatchQueue | None = None, close_s: float = 5.0) -> AsyncIterator[Writing]:
        store = await open_store(place.url)
        writer = Writer(store, queue)
        task = asyncio.create_task(writer.run())
        try:
            yield Writing(writer, store)
            await writer.close(close_s)
            assert writer.account.pending == writer.account.difference == 0
        finally:
            writer.surrender()
            task.cancel()
            await asyncio.wait([task])
            await store.dispose()

    return start


def make_trades(count: int, first: int = 1, **changes: Any) -> list[Trade]:
    fields: dict[str, Any] = {
        "provider": "binance",
        "symbol": "BTCUSDT",
        "price": "64000.10",
        "size": "0.00100000",
        "side": "buy",
    }
    return [
        Trade(**(fields | {"ts_recv": NOW + i, "ts_event": NOW - 5 + i, "trade_id": str(i)} | changes))
        for i in range(first, first + count)
    ]


def make_one_of_each() -> list[Message]:
    origin: dict[str, Any] = {"provider": "bybit", "symbol": "BTC/USD", "ts_recv": NOW}
    trust = Trust(True, False, False, 1.5, 12, "bybit", ["why"])
    condition = Condition("return_10s", 0.004, ">", 0.003)
    return [
        Trade(**origin, price="0.00000001", size="123456789012345.12345678901234567890", trade_id="a-1"),
        Quote(**origin, bid="1.10", bid_size="0", ask="1.20", ask_size="3.000", ts_event=NOW - 1),
        BookL2(**origin, bids=[("1.10", "5")], asks=[("1.20", "0.50"), ("1.30", "7")]),
        Heartbeat(**origin, status="live", silent_for_ms=3, synthetic=False),
        Status(**origin, kind="gap", detail={"from": 1, "to": 2**60, "why": 'tab\t quote" back\\slash \\u0000'}),
        FeatureVector("BTC/USD", None, None, NOW, {"mid": 1.15, "spread_bps": None}, trust, seq=4, epoch=5),
        Signal("id-1", "new", "BTC/USD", "bybit", "long", "momentum", NOW, NOW + 9, [condition], {"mid": 1.15}, trust),
        Alert("al-1", "latency", "firing", "warning", None, None, 1.0, 0.5, "slow", NOW),
    ]


@pytest.fixture
def trades() -> Callable[..., list[Trade]]:
    """`trades(3, first=7, symbol="ETHUSDT")`: trades that differ in nothing but time and id."""
    return make_trades


@pytest.fixture
def one_of_each() -> list[Message]:
    """One message of every kind, with the awkward in each."""
    return make_one_of_each()


@pytest.fixture
def poison() -> list[Event]:
    """Events that no database may be given."""
    good = make_trades(1)[0]
    bad: list[dict[str, Any]] = [
        {"price": "NaN"},
        {"price": float("nan")},
        {"price": "inf"},
        {"size": "1e999"},
        {"size": "9" * 5_000},
        {"price": None},
        {"price": "-1"},
        {"price": "0"},
        {"size": "-1"},
        {"size": "1000000000000000"},
        {"price": ["1"]},
        {"trade_id": "a\0b"},
        {"trade_id": "half \ud800"},
        {"trade_id": "x" * 10_000},
        {"symbol": "BTC\0"},
        {"ts_recv": 2**63},
        {"ts_event": -(2**63) - 1},
        {"ts_recv": 1.5},
        {"backfill": None},
    ]
    names = good.__struct_fields__
    events: list[Event] = [
        Trade(**({name: getattr(good, name) for name in names} | {"trade_id": f"p{i}"} | change))
        for i, change in enumerate(bad)
    ]
    origin: dict[str, Any] = {"provider": "binance", "symbol": "BTCUSDT", "ts_recv": NOW}
    events += [
        Status(**origin, kind="gap", detail={"value": float("inf")}),
        Status(**origin, kind="gap", detail={"text": "nul \0"}),
        Status(**origin, kind="gap", detail={"text": "half \udfff"}),
        BookL2(**origin, bids=[("NaN", "1")], asks=[]),
        BookL2(**origin, bids=[("1",)], asks=[]),  # type: ignore[list-item]  # which is the point
    ]
    return events
