"""NATS absent, appearing, going and coming back; a fault inside."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from md_contract import codec
from nats_link.testing import NatsServer, free_port


async def test_without_nats_it_starts_and_recovers_by_itself_when_nats_appears(
    running: Any, connect: Any, wait: Any
) -> None:
    server = NatsServer(port=free_port())
    async with running(server.url) as consumer:
        status, body = await consumer.get("/health")
        assert (status, body["nats"]["connected"]) == (503, False)
        assert any("NATS" in reason for reason in body["reasons"])
        with server:
            await wait(lambda: consumer.service.link.connected, "the connection")
            assert (await consumer.get("/health"))[0] == 200
            async with connect(server.url) as bus:
                await bus.send(bus.trade())
                await wait(lambda: bus.on("senpai.features.BTCUSDT"), "features")


async def test_after_an_outage_the_latest_features_are_sent(
    nats_server: Any, running: Any, connect: Any, wait: Any
) -> None:
    async with running(nats_server.url) as consumer:
        service = consumer.service
        await wait(lambda: service.link.connected, "the connection")
        async with connect(nats_server.url) as bus:
            await bus.send(bus.trade(price="100"))
            await wait(lambda: bus.on("senpai.features.BTCUSDT"), "features")
            missed = codec.encode(bus.trade(second=0.5, price="105"))
        nats_server.kill()
        await wait(lambda: not service.link.connected, "the loss of the connection")
        assert (await consumer.get("/health"))[0] == 503
        service.subscriber.on_message("md.events.trade.BTCUSDT", missed)
        await wait(lambda: service.publisher.features_refused, "a refusal")
        assert service.publisher.features_published == {"BTCUSDT": 1}
        nats_server.restart()
        await wait(lambda: service.publisher.features_published == {"BTCUSDT": 2}, "the latest features")
        assert (await consumer.get("/health"))[0] == 200


async def test_a_fault_in_a_callback_of_the_loop_ends_the_service_instead_of_leaving_it_half_alive(
    nats_server: Any, running: Any, bus: Any, wait: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(symbols: Iterable[str], _: int) -> None:
        if list(symbols):
            raise ZeroDivisionError("a fault")

    async def run_into_it() -> None:
        async with running(nats_server.url) as consumer:
            await wait(lambda: consumer.service.link.connected, "the connection")
            monkeypatch.setattr(consumer.service.publisher, "touch", broken)
            await bus.send(bus.trade())
            await wait(lambda: consumer.service.views.stopping, "the end")

    with pytest.raises(ZeroDivisionError):
        await run_into_it()


async def test_it_stops_within_seconds_while_nats_hangs(nats_server: Any, running: Any, bus: Any, wait: Any) -> None:
    try:
        async with asyncio.timeout(None) as limit, running(nats_server.url) as consumer:
            await wait(lambda: consumer.service.link.connected, "the connection")
            nats_server.pause()
            consumer.service.subscriber.on_message("md.events.trade.BTCUSDT", codec.encode(bus.trade()))
            await wait(lambda: consumer.service.publisher.features_published, "something that NATS does not take")
            limit.reschedule(asyncio.get_running_loop().time() + 8)
    finally:
        nats_server.resume()
