"""The whole service with a store: what goes out is stored, and what is not stored is accounted for."""

import re
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exchange_sim import ExchangeSim, MarketModel
from nats_link.testing import NatsServer

SYMBOLS = ("BTCUSDT", "ETHUSDT")
TABLES = {"trade": "trade", "quote": "quote", "book_l2": "book", "heartbeat": "heartbeat", "status": "gap"}
TERMS = re.compile(r"(\d+) received = (\d+) delivered \+ 0 conflated \+ 0 dropped \+ (\d+) spilled \+ 0 queued")
AGAIN = re.compile(
    r"\d+ received(?: \+ (\d+) recovered)? = (\d+) delivered \+ 0 conflated \+ 0 dropped \+ 0 spilled \+ 0 queued"
)
ROWS = re.compile(
    r"(\d+) taken = (\d+) stored \+ (\d+) duplicates \+ (\d+) quarantined \+ (\d+) given_back \+ 0 pending"
)

Service = Callable[..., Any]


def exchange(rate: float = 1000.0) -> ExchangeSim:
    return ExchangeSim(MarketModel(seed=11, symbols=SYMBOLS, rate=rate))


def settings(sim: ExchangeSim, path: Path) -> dict[str, str]:
    return {
        "BINANCE_WS_URL": sim.ws_url,
        "BINANCE_REST_URL": sim.rest_url,
        "STORAGE_URL": f"sqlite+aiosqlite:///{path}",
    }


def counts(path: Path) -> dict[str, int]:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return {
            kind: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for kind, table in TABLES.items()
        }
    finally:
        connection.close()


def ledger(process: Any) -> dict[str, Any]:
    """The storage's line among the last of the log."""
    found: dict[str, Any] = next(entry for entry in process.log if entry.get("sink") == "storage" and "rows" in entry)
    assert found["difference"] == 0
    return found


async def test_every_event_of_the_ledger_is_a_row(nats_server: NatsServer, service: Service, tmp_path: Path) -> None:
    path = tmp_path / "data" / "market.db"
    async with exchange() as sim, service("run", NATS_URL=nats_server.url, **settings(sim, path)) as process:
        await process.health("ready", 30)
        body: dict[str, Any] = {}
        while not body or body["storage"]["stored"] < 500:
            _, body = await process.get("/bus-stats")
            assert body["storage"]["difference"] == body["sinks"]["storage"]["total"]["difference"] == 0
        _, health = await process.get("/health")
        assert health["storage"]["writing"] is True
        _, metrics = await process.get("/metrics")
        assert 'md_storage_rows_total{outcome="quarantined"} 0.0' in metrics
        process.signal(signal.SIGTERM)
        assert await process.ended() == 0
        last = ledger(process)
    stored = {kind: int(TERMS.fullmatch(last[kind])[2]) for kind in TABLES if kind in last}  # type: ignore[index]  # fails if it does not match
    assert {kind: number for kind, number in counts(path).items() if number} == stored
    rows = ROWS.fullmatch(last["rows"])
    assert rows is not None
    assert int(rows[1]) == int(rows[2]) == sum(stored.values())


async def test_what_a_locked_database_never_took_is_kept_for_the_next_run(
    nats_server: NatsServer, service: Service, tmp_path: Path
) -> None:
    path = tmp_path / "data" / "market.db"
    async with exchange() as sim:
        given = settings(sim, path)
        async with service("run", NATS_URL=nats_server.url, **given) as process:
            await process.health("ready", 30)
            lock = sqlite3.connect(path, isolation_level=None)
            lock.execute("BEGIN IMMEDIATE")
            await process.said("storage does not take a batch")
            body = await process.health("ready")
            assert any("nothing is stored now" in notice for notice in body["notices"])
            process.signal()
            assert await process.ended(12) == 0
            lock.execute("ROLLBACK")
            lock.close()
            first = ledger(process)
        terms = [TERMS.fullmatch(first[kind]) for kind in TABLES if kind in first]
        assert all(terms), "nothing is dropped or conflated"
        kept = sum(int(match[3]) for match in terms if match)
        assert kept > 0
        before = sum(counts(path).values())
        async with service("run", NATS_URL=nats_server.url, **given) as process:
            await process.health("ready", 30)
            body = {}
            while not body or body["sinks"]["storage"]["total"]["recovered"] < kept:
                _, body = await process.get("/bus-stats")
            process.signal()
            assert await process.ended() == 0
            second = ledger(process)
    ends = [AGAIN.fullmatch(second[kind]) for kind in TABLES if kind in second]
    assert all(ends), "nothing is dropped, conflated or kept for a third run"
    assert sum(int(match[1] or 0) for match in ends if match) == kept
    rows = ROWS.fullmatch(second["rows"])
    assert rows is not None
    assert sum(counts(path).values()) == before + int(rows[2])
    assert int(rows[2]) + int(rows[3]) == int(rows[1])
    assert int(rows[1]) == sum(int(match[2]) for match in ends if match)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgresql+asyncpg://me:canary@host:port/market", "STORAGE_URL: expected a URL like"),
        ("sqlite+aiosqlite:////proc/none/market.db", "STORAGE_URL: cannot write"),
    ],
)
async def test_a_store_that_cannot_be_used_is_refused_in_one_line(service: Service, url: str, why: str) -> None:
    async with service("run", NATS_ENABLED="false", STORAGE_URL=url) as process:
        assert await process.ended(30) == 2
        assert [line for line in process.lines if why in line] == process.lines
        assert "canary" not in str(process.lines)
