"""A symbol that the venue refuses, in the running service: told on NATS, shown, and over when it comes after all."""

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp

from app.http import listen
from app.service import Service
from app.settings import load
from exchange_sim import ExchangeSim, MarketModel
from md_contract.events import Status
from nats_link.testing import NatsServer

GIVEN, REFUSED = "BTC/USD", "ETH/USD"
WAIT_S = 50.0
WHY = "trades, quotes, orderbooks: error 405: symbol limit exceeded"


async def test_a_symbol_over_the_venues_limit_is_told_to_readers_and_people(
    nats_server: NatsServer, wiretap: Callable[[str], Any]
) -> None:
    market = MarketModel(seed=5, symbols=[GIVEN, REFUSED], rate=200.0)
    async with ExchangeSim(market) as sim, wiretap(nats_server.url) as tap:
        sim.alpaca.limit_symbols(1)
        settings = load(
            None,
            provider="alpaca",
            alpaca_feed="crypto",
            alpaca_api_key="key",
            alpaca_api_secret="secret",
            alpaca_ws_url=sim.ws_url,
            symbols=f"{GIVEN},{REFUSED}",
            nats_url=nats_server.url,
            storage_url="",
        )
        with listen("127.0.0.1", 0) as listener:
            base = f"http://127.0.0.1:{listener.getsockname()[1]}"
            service = Service(settings, listener)
            running = asyncio.create_task(service.run())

            def told() -> list[tuple[str, str, Any]]:
                statuses = [event for _, event in tap.messages if isinstance(event, Status)]
                return [
                    (one.kind, one.symbol, one.detail)
                    for one in statuses
                    if one.detail.get("detector") == "subscription"
                ]

            async def shown() -> tuple[list[str], list[str]]:
                async with aiohttp.ClientSession(base) as client:
                    async with client.get("/health") as answer:
                        notices = (await answer.json())["notices"]
                    async with client.get("/providers") as answer:
                        return notices, (await answer.json())["providers"]["alpaca"]["stale_symbols"]

            detail = {"detector": "subscription", "reason": WHY}
            try:
                await tap.until(lambda: len(told()) == 1, WAIT_S)
                assert told() == [("stale", REFUSED, detail)]
                notices, stale = await shown()
                assert (len(notices), stale) == (1, [REFUSED])
                assert f"{REFUSED} ({WHY})" in notices[0]
                sim.alpaca.limit_symbols(None)
                sim.drop(1001, venue="alpaca")
                await tap.until(lambda: len(told()) == 2, WAIT_S)
                assert told()[1] == ("recovered", REFUSED, detail)
                assert await shown() == ([], [])
            finally:
                service.request_stop()
                assert await running == 0
