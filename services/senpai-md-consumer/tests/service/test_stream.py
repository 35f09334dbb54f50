"""/stream on the whole service: what NATS gets is what a reader gets."""

import json
from typing import Any

import aiohttp


async def test_a_reader_gets_the_very_messages_that_nats_gets(bus: Any, consumer: Any, wait: Any) -> None:
    address = f"http://127.0.0.1:{consumer.service.http.port}/stream?symbols=btcusdt"
    async with aiohttp.ClientSession() as session, session.get(address) as response:
        assert b"event: open" in await response.content.readuntil(b"\n\n")
        await bus.send(bus.trade(), bus.trade("ETHUSDT"))
        block = (await response.content.readuntil(b"\n\n")).decode()
        await wait(lambda: bus.on("senpai.features.BTCUSDT"), "features")
    data = next(line.removeprefix("data: ") for line in block.split("\n") if line.startswith("data: "))
    assert "event: features" in block
    assert json.loads(data) == json.loads(bus.on("senpai.features.BTCUSDT")[0])
