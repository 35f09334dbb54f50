"""`python -m app record` as a process: everything that goes over NATS is a row, whatever the database does."""

import asyncio
import re
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncpg
import nats
import pytest
from nats.aio.client import Client
from postgres import PostgresServer
from stored import Rows

from app.storage.batch import Batch
from app.storage.opening import migrate_store, open_store
from md_contract.codec import Message, encode
from md_contract.events import Quote, Trade
from md_contract.signals import Alert, Condition, FeatureVector, Signal, Trust
from md_contract.subjects import ALERTS, event_subject, feature_subject, signal_subject
from nats_link.testing import NatsServer

NOW = 1_790_000_000_000_000_000
OLD = 1_700_000_000_000_000_000  # 2023
TRUST = Trust(True, False, False, 1.5, 12, "binance")
TERMS = re.compile(
    r"(\d+) received(?: \+ (\d+) recovered)? = (\d+) delivered \+ 0 conflated \+ (\d+) dropped \+ (\d+) spilled"
    r" \+ 0 queued"
)

Service = Callable[..., Any]


def make(number: int, epoch: int = 5) -> dict[str, Message]:
    """One message of each subject."""
    origin: dict[str, Any] = {"provider": "binance", "symbol": "BTCUSDT", "ts_recv": NOW + number}
    numbers: dict[str, Any] = {"seq": number, "epoch": epoch}
    condition = Condition("return_10s", 0.004, ">", 0.003)
    key = f"{epoch}-{number}"
    return {
        event_subject("trade", "BTCUSDT"): Trade(**origin, **numbers, price="1.5", size="2", trade_id=key),
        event_subject("quote", "BTCUSDT"): Quote(**origin, **numbers, bid="1", bid_size="1", ask="2", ask_size="1"),
        feature_subject("BTCUSDT"): FeatureVector("BTCUSDT", None, None, NOW + number, {"mid": 1.5}, TRUST, **numbers),
        signal_subject("BTCUSDT"): Signal(
            key, "new", "BTCUSDT", "binance", "long", "m", NOW, NOW, [condition], {"mid": 1.5}, TRUST
        ),
        ALERTS: Alert(key, "latency", "firing", "warning", None, None, 1.0, 0.5, "slow", NOW),
    }


TABLES = ("trade", "quote", "feature", "signal", "alert")


class Publisher:
    """Another client that says what it is told to."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def send(self, first: int, count: int, **changes: int) -> None:
        for number in range(first, first + count):
            for subject, message in make(number, **changes).items():
                await self.client.publish(subject, encode(message))
        await self.client.flush()


@pytest.fixture
async def publisher(nats_server: NatsServer) -> AsyncIterator[Publisher]:
    client = await nats.connect(nats_server.url)
    yield Publisher(client)
    await client.close()


async def until_rows(url: str, table: str, rows: int) -> None:
    """The same of a PostgreSQL database."""
    client = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        async with asyncio.timeout(30):
            while await client.fetchval(f"SELECT count(*) FROM {table}") < rows:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.02)
    finally:
        await client.close()


async def listening(process: Any, nats_server: NatsServer) -> None:
    """Wait until its subscriptions are known to the server: what is published from now on is heard."""
    await process.said("recording begins")
    await process.said("connected to NATS")


def ledger(process: Any) -> dict[str, tuple[int, ...]]:
    """Of each kind: received, recovered, delivered, dropped, spilled. The sums are seen to close."""
    heard = next(entry for entry in process.log if entry["event"] == "heard")
    last = process.log[-1]
    assert (last["event"], last["difference"], heard["difference"]) == ("ledger", 0, 0)
    matches = {name: TERMS.fullmatch(value) for name, value in last.items() if isinstance(value, str)}
    found = {name: tuple(int(term or 0) for term in match.groups()) for name, match in matches.items() if match}
    assert sum(terms[0] for terms in found.values()) == heard["messages"] + heard["notes"]
    for terms in found.values():
        assert terms[0] + terms[1] == sum(terms[2:])
    return found


async def test_everything_on_the_bus_is_a_row_and_what_is_missing_has_a_name(
    nats_server: NatsServer, service: Service, publisher: Publisher, rows: Rows
) -> None:
    async with service("record", "--from-nats", NATS_URL=nats_server.url, STORAGE_URL=rows.url) as process:
        await listening(process, nats_server)
        await publisher.send(1, 300)
        await publisher.send(311, 90)
        await publisher.send(1, 20)  # once more
        await publisher.client.publish("md.events.trade.BTCUSDT", b"{broken")
        await publisher.client.flush()
        await rows.until("quarantine", 1)
        process.signal()
        assert await process.ended() == 0
    assert {table: rows.count(table) for table in TABLES} == dict.fromkeys(TABLES, 390)
    gaps = rows.ask(
        "SELECT symbol, provider, json_extract(detail, '$.type'), json_extract(detail, '$.missing'),"
        " json_extract(detail, '$.from_seq'), json_extract(detail, '$.to_seq'), json_extract(detail, '$.where')"
        " FROM gap WHERE kind = 'gap' ORDER BY 3"
    )
    assert gaps == [("BTCUSDT", "recorder", kind, 10, 301, 310, "bus") for kind in ("features", "quote", "trade")]
    [(kind, reason, payload)] = rows.ask("SELECT type, reason, payload FROM quarantine")
    assert (kind, reason[:8], payload) == ("md.events.trade.BTCUSDT", "not_json", "{broken")
    found = ledger(process)
    assert {name: terms[2] for name, terms in found.items()} == {
        **dict.fromkeys(("trade", "quote", "features", "signal", "alert"), 410), "status": 3, "unreadable": 1,
    }  # fmt: skip
    assert "2053 stored + 0" not in process.log[-1]["rows"]
    assert "1953 stored + 100 duplicates + 1 quarantined" in process.log[-1]["rows"]


async def test_a_lock_on_the_database_at_the_end_costs_no_message(
    nats_server: NatsServer, service: Service, publisher: Publisher, rows: Rows, tmp_path: Path
) -> None:
    given = {"NATS_URL": nats_server.url, "STORAGE_URL": rows.url, "BUS_CAPACITY": "2000"}
    async with service("record", "--from-nats", **given) as process:
        await listening(process, nats_server)
        await publisher.send(1, 10)
        await rows.until("alert", 10)
        lock = sqlite3.connect(rows.path, isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        await publisher.send(11, 4_990)  # more than the writer and the memory have room for
        await process.said("events wait on disk")
        began = asyncio.get_running_loop().time()
        process.signal()
        assert await process.ended(12) == 0
        assert asyncio.get_running_loop().time() - began < 10
        lock.execute("ROLLBACK")
        lock.close()
        kept = {name: terms[4] for name, terms in ledger(process).items()}
    before = {table: rows.count(table) for table in TABLES}
    assert sum(kept.values()) == 5 * 5_000 - sum(before.values())
    async with service("record", "--from-nats", **given) as process:
        for table in TABLES:
            await rows.until(table, 5_000)
        process.signal()
        assert await process.ended() == 0
        assert {name: terms[1] for name, terms in ledger(process).items()} == kept, "each once"
    assert {table: rows.count(table) for table in TABLES} == dict.fromkeys(TABLES, 5_000)
    assert list((tmp_path / "spill" / "recorder").glob("*.spill")) == []


async def test_a_server_that_is_away_gets_everything_once_it_is_back(
    nats_server: NatsServer, service: Service, publisher: Publisher, postgres: PostgresServer, tmp_path: Path
) -> None:
    url = postgres.url(postgres.new_database())
    await migrate_store(url)
    await asyncio.to_thread(postgres.stop)
    given = {"NATS_URL": nats_server.url, "STORAGE_URL": url}
    try:
        async with service("record", "--from-nats", **given) as process:
            await listening(process, nats_server)
            await publisher.send(1, 500)
            await process.said("storage does not take a batch")
            process.signal()
            assert await process.ended(12) == 0
            kept = sum(terms[4] for terms in ledger(process).values())
            assert kept == 2_500
        await asyncio.to_thread(postgres.start)
        async with service("record", "--from-nats", **given) as process:
            await listening(process, nats_server)
            await publisher.send(501, 100)
            await until_rows(url, "alert", 600)
            process.signal()
            assert await process.ended() == 0
            assert ledger(process)["trade"] == (100, 500, 600, 0, 0)
            assert "3000 taken = 3000 stored + 0 duplicates" in process.log[-1]["rows"]
    finally:
        if not postgres.running:
            postgres.start()


async def test_a_second_signal_ends_it_at_once_with_everything_on_disk(
    nats_server: NatsServer, service: Service, publisher: Publisher, rows: Rows
) -> None:
    given = {"NATS_URL": nats_server.url, "STORAGE_URL": rows.url, "BUS_CAPACITY": "2000"}
    async with service("record", "--from-nats", **given) as process:
        await listening(process, nats_server)
        lock = sqlite3.connect(rows.path, isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        await publisher.send(1, 1_000)
        await process.said("storage does not take a batch")
        process.signal(signal.SIGTERM)
        await process.said("stopping")
        process.signal(signal.SIGINT)
        assert await process.ended(5) == 1
        lock.execute("ROLLBACK")
        lock.close()
        found = ledger(process)
        heard = {name: terms[0] for name, terms in found.items()}
        assert {name: terms[4] for name, terms in found.items()} == heard
    async with service("record", "--from-nats", **given) as process:
        await rows.until("trade", heard["trade"])
        process.signal()
        assert await process.ended() == 0
    assert sum(map(rows.count, TABLES)) == sum(heard.values())


async def test_nats_that_goes_away_is_waited_for_and_what_was_missed_is_named(
    nats_server: NatsServer, service: Service, rows: Rows
) -> None:
    async with service("record", "--from-nats", NATS_URL=nats_server.url, STORAGE_URL=rows.url) as process:
        await listening(process, nats_server)
        client = await nats.connect(nats_server.url)
        await Publisher(client).send(1, 5)
        await client.close()
        await rows.until("trade", 5)
        nats_server.kill()
        nats_server.restart()
        await rows.until("gap", 1)  # it is connected again
        client = await nats.connect(nats_server.url)
        await Publisher(client).send(8, 1)
        await client.close()
        await rows.until("trade", 6)
        process.signal()
        assert await process.ended() == 0
    found = rows.ask("SELECT symbol, kind, json_extract(detail, '$.missing') FROM gap ORDER BY kind DESC")
    assert found == [("__system__", "reconnect", None), *[("BTCUSDT", "gap", 2)] * 3]


async def test_a_second_writer_of_one_file_is_told_what_to_do(
    nats_server: NatsServer, service: Service, rows: Rows, tmp_path: Path
) -> None:
    given = {"NATS_URL": nats_server.url, "STORAGE_URL": rows.url}
    async with service("record", "--from-nats", **given) as process:
        await process.said("recording begins")
        async with service("record", "--from-nats", **given, SPILL_DIR=tmp_path / "other") as second:
            assert await second.ended() == 2
        [line] = second.lines
        assert line.startswith("STORAGE_URL: another process writes to ")
        assert "a STORAGE_URL of its own" in line
        process.signal()
        assert await process.ended() == 0


async def test_what_the_archive_holds_goes_after_retention_days_and_the_stop_does_not_wait_for_the_next_time(
    nats_server: NatsServer, service: Service, publisher: Publisher, rows: Rows, tmp_path: Path
) -> None:
    old = [Trade("binance", "BTCUSDT", OLD + number, "1.5", "2", str(number)) for number in range(50)]
    store = await open_store(rows.url)
    await store.insert(Batch(old, NOW).tables())
    await store.dispose()
    given = {"NATS_URL": nats_server.url, "STORAGE_URL": rows.url, "ARCHIVE_DIR": tmp_path / "archive"}
    async with service("archive", **given) as archiving:
        assert await archiving.ended() == 0
    async with service("record", "--from-nats", **given, RETENTION_DAYS=1) as process:
        await listening(process, nats_server)
        deleted = await process.said("old rows deleted")
        assert (deleted["rows"], deleted["days"]) == (50, 1)
        await publisher.send(1, 3)
        await rows.until("trade", 3)
        process.signal()
        assert await process.ended() == 0
    assert rows.count("trade") == 3
    assert ledger(process)["trade"][:3] == (3, 0, 3)
