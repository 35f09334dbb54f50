"""A process that does nothing but store trades, to be killed: python storage_child.py STORAGE_URL FIRST COUNT.

Trades FIRST to FIRST + COUNT - 1, in this order; prints `open`, and then, after every commit, how many have reached
their end: what is printed may never be lost.
"""

import asyncio
import sys

from app.storage.opening import open_store
from app.storage.writer import Writer
from md_contract.events import Trade

START_NS = 1_790_000_000_000_000_000


def make_trade(number: int) -> Trade:
    return Trade("binance", "BTCUSDT", START_NS + number, "64000.10", "0.001", str(number), "buy", START_NS + number)


async def main(url: str, first: int, count: int) -> None:
    store = await open_store(url)
    writer = Writer(store)
    account = writer.account
    task = asyncio.create_task(writer.run())
    print("open", flush=True)  # noqa: T201 - its one way to speak
    number, told = first, 0
    while told < count:
        while number < first + count and writer.take(make_trade(number)):
            number += 1
        await asyncio.sleep(0.001)
        if account.taken - account.pending > told:
            told = account.taken - account.pending
            print(told, flush=True)  # noqa: T201 - the test reads it
    await writer.close(10)
    await task
    await store.dispose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
