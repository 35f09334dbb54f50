"""The service with USE_JETSTREAM=true, as a process, against a real NATS."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nats

from exchange_sim import ExchangeSim, MarketModel
from md_contract.codec import decode_event
from md_contract.events import Event, Trade
from nats_link.testing import NatsServer

SYMBOLS = ("BTCUSDT", "ETHUSDT")
Service = Callable[..., Any]


def exchange(rate: float) -> ExchangeSim:
    return ExchangeSim(MarketModel(seed=7, symbols=SYMBOLS, rate=rate))


def variables(sim: ExchangeSim, nats_url: str, spill: Path) -> dict[str, str]:
    return {
        "BINANCE_WS_URL": sim.ws_url,
        "BINANCE_REST_URL": sim.rest_url,
        "NATS_URL": nats_url,
        "USE_JETSTREAM": "true",
        "JETSTREAM_MAX_BYTES": "50000000",
        "SPILL_DIR": str(spill),
    }


async def stored(url: str) -> list[Event]:
    client = await nats.connect(url)
    try:
        jetstream = client.jetstream()
        count = (await jetstream.stream_info("MD_EVENTS")).state.messages
        subscription = await jetstream.subscribe(">", stream="MD_EVENTS", ordered_consumer=True)
        return [decode_event((await subscription.next_msg(timeout=10)).data) for _ in range(count)]
    finally:
        await client.close()


async def acked(process: Any, at_least: int) -> dict[str, Any]:
    """Wait until /bus-stats says so."""
    while True:
        _, stats = await process.get("/bus-stats")
        if stats["jetstream"]["acked"] >= at_least:
            body: dict[str, Any] = stats
            return body


def received(process: Any) -> int:
    """Trades of this run, by the last line of its log, which closes and tells of none that was dropped."""
    last = process.log[-1]
    assert (last["event"], last["difference"]) == ("ledger", 0)
    assert " + 0 conflated + 0 dropped + " in last["trade"]
    return int(last["trade"].split()[0])


def whole(events: list[Event]) -> bool:
    """No trade twice, and none missing between the first and the last of a symbol."""
    for symbol in SYMBOLS:
        ids = sorted(int(event.trade_id) for event in events if isinstance(event, Trade) and event.symbol == symbol)
        if ids != list(range(ids[0], ids[0] + len(ids))):
            return False
    return True


async def test_what_the_ledger_calls_delivered_is_in_the_stream(
    nats_server: NatsServer, service: Service, tmp_path: Path
) -> None:
    async with (
        exchange(1000) as sim,
        service("run", **variables(sim, nats_server.url, tmp_path)) as process,
    ):
        stats = await acked(process, 500)
        assert stats["jetstream"]["stream"] == "MD_EVENTS"
        assert "sync_interval" in stats["jetstream"]["an_ack_means"]
        health = await process.health("ready")
        assert health["nats"]["jetstream"]["state"] == "open"
        _, metrics = await process.get("/metrics")
        assert "md_jetstream_open 1.0" in metrics
        assert 'md_jetstream_messages_total{outcome="acked"}' in metrics
        made = await process.said("stream made")
        assert (made["stream"], made["max_bytes"]) == ("MD_EVENTS", 50_000_000)
        process.signal()
        assert await process.ended() == 0
        assert process.log[-1]["event"] == "ledger"
        assert process.log[-1]["difference"] == 0
        assert not [entry for entry in process.log if entry["level"] in ("warning", "error")]
    events = await stored(nats_server.url)
    delivered = [int(str(text).split()[3]) for text in process.log[-1].values() if " delivered" in str(text)]
    assert sum(delivered) == len(events) >= 500
    assert whole(events)


async def test_what_a_frozen_nats_did_not_acknowledge_is_handed_over_by_the_next_run(
    nats_server: NatsServer, service: Service, tmp_path: Path
) -> None:
    async with exchange(500) as sim:
        given = variables(sim, nats_server.url, tmp_path)
        async with service("run", **given) as process:
            await acked(process, 200)
            nats_server.pause()
            while True:
                _, stats = await process.get("/bus-stats")
                if stats["jetstream"]["pending"] >= 100:
                    break
            process.signal()
            assert await process.ended() == 0
            kept = await process.said("not acknowledged by the stream")
            assert kept["events"] >= 100
            first = received(process)
        nats_server.resume()
        before = Counter(event.ts_recv for event in await stored(nats_server.url) if isinstance(event, Trade))
        async with service("run", **given) as process:
            left = await process.said("an earlier run left events on disk")
            await acked(process, left["events"] + 100)
            process.signal()
            assert await process.ended() == 0
            second = received(process)
    events = [event for event in await stored(nats_server.url) if isinstance(event, Trade)]
    ids = Counter((event.symbol, event.trade_id) for event in events)
    assert max(ids.values()) == 1
    assert len(events) == first + second, "of either run, what it received is there"
    assert not before - Counter(event.ts_recv for event in events)


async def test_without_jetstream_it_ends_at_once_and_says_what_to_do(service: Service, tmp_path: Path) -> None:
    with NatsServer(jetstream=False) as server:
        async with exchange(100) as sim, service("run", **variables(sim, server.url, tmp_path)) as process:
            assert await process.ended() == 2
            said = [entry for entry in process.log if entry["level"] == "error"]
    assert len(said) == 1
    assert "has no JetStream" in said[0]["why"]
    assert "nats-server -js" in said[0]["why"]
    assert "USE_JETSTREAM=false" in said[0]["why"]
    assert not [line for line in process.lines if "Traceback" in line]


async def test_a_password_for_another_machine_is_a_usage_error(service: Service) -> None:
    async with service("run", NATS_URL="nats://feed:canary-secret@192.0.2.1:4222") as process:
        assert await process.ended() == 2
    assert "NATS_ALLOW_INSECURE" in "".join(process.lines)
    assert "canary" not in "".join(process.lines)
