"""The whole path when the input is bad, or a part of it is missing."""

import json
from typing import Any

import pytest
from running import Stack

from exchange_sim import ExchangeSim, Raw, Script
from exchange_sim.script import Item
from nats_link.testing import NatsServer

START_MS = 1_790_000_000_000


def frame(stream: str, data: dict[str, Any]) -> Item:
    return json.dumps({"stream": stream, "data": data})


def trade(number: int, **changes: Any) -> Item:
    fields = {
        "e": "trade",
        "E": START_MS + number,
        "s": "BTCUSDT",
        "t": number,
        "p": "100.5",
        "q": "2",
        "T": START_MS + number,
        "m": False,
    }
    return frame("btcusdt@trade", {**fields, **changes})


def quote(number: int, **changes: Any) -> Item:
    fields = {"u": number, "s": "BTCUSDT", "b": "100.0", "B": "1", "a": "101.0", "A": "1"}
    return frame("btcusdt@bookTicker", {**fields, **changes})


BAD: list[Item] = [
    "{",
    "nonsense",
    "[]",
    "null",
    '"text"',
    '{"stream":"btcusdt@trade","data":{}}',
    '{"stream":"btcusdt@trade","data":[1,2]}',
    '{"stream":"btcusdt@unheard","data":{"e":"unheard"}}',
    "[" * 100_000,
    Raw(b"\xff\xfe\x00broken"),
    Raw(b"\x00\x01binary", binary=True),
    Raw(b'{"stream":"btcusdt@trade","data":"' + b"x" * 10_000_000 + b'"}'),
    quote(50, b="NaN"),
    quote(51, a="inf"),
    quote(52, B="-1"),
    quote(53, b=""),
    quote(54, b=100.0),
    quote(55, b="1e400"),
]


async def test_bad_frames_are_set_aside_and_their_neighbours_arrive(stack: Stack) -> None:
    items: list[Item] = []
    for number, bad in enumerate(BAD, 1):
        items += [trade(number), quote(100 + number), bad]
    items += [trade(len(BAD) + 1), quote(200)]
    script = Script([(0.05 + index * 0.005, item) for index, item in enumerate(items)], symbols=["BTCUSDT"])
    await stack.start_consumer()
    await stack.until_http(f"{stack.consumer_url}/health", lambda status, body: body is not None, "the consumer")
    async with ExchangeSim(script) as exchange:
        await stack.start_producer(exchange.ws_url, exchange.rest_url, "BTCUSDT")
        await stack.reader.until("md.events.trade.BTCUSDT", len(BAD) + 1)
        await stack.reader.until("md.events.quote.BTCUSDT", len(BAD) + 1)
        _, health = await stack.get(f"{stack.producer_url}/health")
        async with stack.http.get(f"{stack.producer_url}/metrics") as answer:
            metrics = await answer.text()
    trades = [message["trade_id"] for message in stack.reader.by_subject["md.events.trade.BTCUSDT"]]
    quotes = [message["bid"] for message in stack.reader.by_subject["md.events.quote.BTCUSDT"]]
    assert trades == [str(number) for number in range(1, len(BAD) + 2)]
    assert quotes == ["100.0"] * (len(BAD) + 1)
    counted = [line for line in metrics.splitlines() if "quarantine" in line and not line.startswith("#")]
    assert sum(float(line.rsplit(" ", 1)[1]) for line in counted) == len(BAD), counted
    assert (health["status"], health["reasons"]) == ("ready", [])


async def test_bad_messages_on_nats_are_set_aside_and_their_neighbours_count(stack: Stack) -> None:
    good: dict[str, Any] = {
        "type": "trade",
        "provider": "binance",
        "symbol": "BTCUSDT",
        "ts_recv": START_MS * 1_000_000,
    }
    good |= {"price": "100", "size": "1", "trade_id": "1"}
    bad = [b"", b"{", b"[]", b"\xff", b'{"type":"kline"}', b'{"type":"trade"}']
    bad.append(json.dumps({**good, "price": True}).encode())
    bad += [json.dumps({**good, "price": text}).encode() for text in ("NaN", "-1", "0", "inf", "")]
    await stack.start_consumer()
    await stack.until_http(f"{stack.consumer_url}/health", lambda status, body: status == 200, "the consumer")
    for number, payload in enumerate(bad):
        event = {**good, "trade_id": str(number), "ts_event": 1_790_000_000_000_000_000 + number}
        await stack.nats.publish("md.events.trade.BTCUSDT", json.dumps(event).encode())
        await stack.nats.publish("md.events.trade.BTCUSDT", payload)
    url = f"{stack.consumer_url}/features/latest?symbol=BTCUSDT"
    body = await stack.until_http(
        url,
        lambda status, body: status == 200 and body["features"]["trade_count_10s"] == len(bad),
        f"{len(bad)} trades in the window",
    )
    assert body["features"]["trade_volume_10s"] == float(len(bad))


async def test_an_unknown_symbol_is_answered_with_those_that_are_tracked(stack: Stack) -> None:
    await stack.start_consumer()
    await stack.until_http(f"{stack.consumer_url}/health", lambda status, body: status == 200, "the consumer")
    event = {"type": "quote", "provider": "binance", "symbol": "ETHUSDT", "ts_recv": 1_790_000_000_000_000_000}
    quote = {"bid": "1", "bid_size": "1", "ask": "2", "ask_size": "1"}
    await stack.nats.publish("md.events.quote.ETHUSDT", json.dumps({**event, **quote}).encode())
    for path in ("state", "features"):
        body = await stack.until_http(
            f"{stack.consumer_url}/{path}/latest?symbol=NOSUCH",
            lambda status, body: status == 404 and "ETHUSDT" in json.dumps(body),
            f"404 of /{path}/latest with the tracked symbols",
        )
        assert "NOSUCH" in json.dumps(body)


@pytest.mark.timeout(90)
async def test_services_start_without_nats_say_so_once_and_recover(stack: Stack, nats_server: NatsServer) -> None:
    await stack.close_reader()
    nats_server.kill()
    async with ExchangeSim(Script([], symbols=["BTCUSDT"])) as exchange:
        consumer = await stack.start_consumer()
        producer = await stack.start_producer(exchange.ws_url, exchange.rest_url, "BTCUSDT")
        for name, url in (("consumer", stack.consumer_url), ("producer", stack.producer_url)):
            await stack.until_http(
                f"{url}/health",
                lambda status, body: status == 503 and "NATS" in json.dumps(body),
                f"the {name} to say that it is not ready without NATS",
            )
        nats_server.restart()
        await stack.until_http(
            f"{stack.consumer_url}/health", lambda status, body: status == 200, "the consumer to recover"
        )
        await stack.until_http(
            f"{stack.producer_url}/health",
            lambda status, body: body is not None and body["nats"]["connected"],
            "the producer to recover",
        )
    for process in (consumer, producer):
        assert await process.stop() == 0
        said = [line for line in process.lines if "cannot be reached" in line]
        assert len(said) == 1, process.lines
