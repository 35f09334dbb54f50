"""Reading a store that stops answering: one error of ours, whatever the driver calls it."""

from typing import Any, Literal

import pytest
from postgres import PostgresServer

from app.storage import schema
from app.storage.batch import Batch
from app.storage.opening import open_store
from app.storage.reader import open_reader
from app.storage.store import StorageAwayError
from md_contract.events import Trade


def trades(count: int) -> list[Trade]:
    return [Trade("binance", "BTCUSDT", n, "1.5", "2", trade_id=str(n), ts_event=n) for n in range(count)]


async def fill(url: str, count: int) -> None:
    store = await open_store(url)
    try:
        await store.insert(Batch(trades(count), 0).tables())
    finally:
        await store.dispose()


async def test_a_file_whose_pages_are_damaged(sqlite_place: Any) -> None:
    await fill(sqlite_place.url, 5_000)
    content = bytearray(sqlite_place.path.read_bytes())
    page = 4_096
    content[page * 20 :] = b"\xff" * (len(content) - page * 20)
    sqlite_place.path.write_bytes(content)
    with pytest.raises(StorageAwayError, match=r"cannot read sqlite.*malformed") as caught:
        async with open_reader(sqlite_place.url) as reader:
            await reader.rows(schema.trade.select())
    assert "\n" not in str(caught.value)


async def test_options_in_the_url_reach_the_driver(postgres_place: Any) -> None:
    url = f"{postgres_place.url}?statement_cache_size=0&timeout=10&command_timeout=20&ssl=prefer"
    await fill(url, 10)
    async with open_reader(url) as reader:
        assert len(await reader.rows(schema.trade.select())) == 10


@pytest.mark.parametrize("mode", ["immediate", "fast"])
async def test_a_server_that_stops_between_two_batches(
    postgres_place: Any, postgres: PostgresServer, mode: Literal["immediate", "fast"]
) -> None:
    async def read() -> None:
        async with open_reader(postgres_place.url) as reader:
            async for _ in reader.batches(schema.trade.select(), size=100):
                if postgres.running:
                    postgres.stop(mode)

    await fill(postgres_place.url, 20_000)
    try:
        with pytest.raises(StorageAwayError, match="cannot read postgresql"):
            await read()
        with pytest.raises(StorageAwayError, match="is it running"):
            await read()
    finally:
        if not postgres.running:
            postgres.start()
