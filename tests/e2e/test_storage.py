"""From an exchange to the store and out again: what it said is there once, whoever looks, and every sum closes."""

import asyncio
import csv
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from running import PRODUCER, Process, Stack

from exchange_sim import ExchangeSim, Script
from exchange_sim.script import Item

START_MS = 1_790_000_000_000  # 2026-09-21T14:13:20Z
SPAN = ("--since", "2026-09-21T14:00", "--until", "2026-09-21T15:00")
TRADES = 3_000  # of each symbol
SYMBOLS = ("BTCUSDT", "ETHUSDT")


def frame(symbol: str, number: int) -> Item:
    at = START_MS + number * 100
    data = {
        "e": "trade",
        "E": at,
        "s": symbol,
        "t": number,
        "p": f"{100 + number % 7}.5",
        "q": "0.25",
        "T": at,
        "m": False,
    }
    return json.dumps({"stream": f"{symbol.lower()}@trade", "data": data})


def exchange() -> ExchangeSim:
    items = [frame(symbol, number) for number in range(1, TRADES + 1) for symbol in SYMBOLS]
    return ExchangeSim(Script([(0.05 + at * 0.0005, item) for at, item in enumerate(items)], symbols=list(SYMBOLS)))


@pytest.fixture(params=["sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the service stores, written as in STORAGE_URL; the tables are there."""
    url = f"sqlite+aiosqlite:///{tmp_path}/data/market.db"
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        url = server.url(server.new_database())
        assert "is revision" in await ask("migrate", url=url)
    return url


async def ask(*arguments: str, url: str) -> str:
    """What a command says of the store."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app", *arguments,
        cwd=PRODUCER, env=os.environ | {"STORAGE_URL": url}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await child.communicate()
    assert child.returncode == 0
    return said.decode()


def last_words(process: Process) -> dict[str, dict[str, Any]]:
    """The ledger of each sink, as the log ends with it."""
    found = [json.loads(line) for line in process.lines[-4:] if '"ledger"' in line]
    return {line["sink"]: line for line in found}


async def test_every_trade_of_the_exchange_is_stored_once_and_found_again(stack: Stack, store: str) -> None:
    async with exchange() as sim:
        process = await stack.start_producer(
            sim.ws_url, sim.rest_url, ",".join(SYMBOLS), STORAGE_URL=store, LOG_FORMAT="json"
        )
        body = await stack.until_http(
            f"{stack.producer_url}/bus-stats",
            lambda status, body: status == 200 and body["sinks"]["storage"]["types"]["trade"]["received"] >= 2 * TRADES,
            "every trade",
        )
        assert body["storage"]["difference"] == 0
        assert all(sink["total"]["difference"] == 0 for sink in body["sinks"].values())
        assert await process.stop() == 0
    ledgers = last_words(process)
    assert {name: line["difference"] for name, line in ledgers.items()} == {"nats": 0, "storage": 0}
    rows = re.fullmatch(
        r"(\d+) taken = (\d+) stored \+ 0 duplicates \+ 0 quarantined \+ 0 given_back \+ 0 pending",
        ledgers["storage"]["rows"],
    )
    assert rows is not None
    assert rows[1] == rows[2]
    for symbol in SYMBOLS:
        answer = await ask("query", "trades", "--symbol", symbol, *SPAN, "--format", "csv", url=store)
        trades = list(csv.DictReader(answer.splitlines()))
        assert [trade["trade_id"] for trade in trades] == [str(number) for number in range(1, TRADES + 1)]
        assert {trade["size"] for trade in trades} == {"0.25"}
        on_the_bus = stack.reader.by_subject[f"md.events.trade.{symbol}"]
        assert [event["price"] for event in on_the_bus] == [trade["price"] for trade in trades]
    report = json.loads(await ask("completeness", *SPAN, "--format", "json", url=store))
    found = {line["symbol"]: (line["trades"], line["missing"], line["trades_percent"]) for line in report}
    assert found == dict.fromkeys(SYMBOLS, (TRADES, 0, 100.0))
