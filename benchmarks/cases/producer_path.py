"""Producer: from the bytes of a WebSocket frame to NATS, without the WebSocket."""

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, Final

import uvloop
from nats.aio.client import Client

from app.bus import Bus
from app.providers.binance import Binance
from app.providers.provider import BookOptions, Conversation
from app.sinks.nats import NatsSink
from cases._market import START_NS, SYMBOLS, frames
from cases._nats import link_to, nats_py, server
from harness.case import CPU, Case, Contender, Figure, Setting, Stopwatch, expect
from md_contract.codec import decode_event, encode
from md_contract.events import TYPE_OF, Event
from md_contract.subjects import event_subject

FRAMES: Final = 100_000
CHECKED: Final = 2_000
TURN: Final = 64
ALL_S: Final = 30.0
TS_RECV: Final = START_NS + 3_600_000_000_000


def _conversation() -> Conversation:
    conversation = Binance().converse(SYMBOLS, BookOptions())
    conversation.opened(TS_RECV, None)
    return conversation


async def ours(url: str, raw: list[bytes]) -> Stopwatch:
    """The service's own way: one synchronous call for each frame."""
    conversation, bus = _conversation(), Bus(lambda _: None)
    async with link_to(url) as (link, writable):
        bus.attach("nats", NatsSink(link, writable, epoch=1).take, 50_000)
        published = 0
        with Stopwatch(len(raw)) as watch:
            for at in range(0, len(raw), TURN):
                for each in raw[at : at + TURN]:
                    for event in conversation.decode(each, TS_RECV):
                        bus.publish(event)
                        published += 1
                await asyncio.sleep(0)
            expect("flushed", await link.flush(ALL_S), True)
        expect("events", published, len(raw))
        expect("events that NATS has", link.published, len(raw))
    return watch


async def with_nats_py(url: str, raw: list[bytes]) -> Stopwatch:
    """The same decoding and encoding, published by nats-py."""
    conversation, seqs = _conversation(), dict.fromkeys(_subjects(), 0)
    async with nats_py(url) as client:
        with Stopwatch(len(raw)) as watch:
            for each in raw:
                for event in conversation.decode(each, TS_RECV):
                    subject = event_subject(TYPE_OF[type(event)], event.symbol)
                    seqs[subject] += 1
                    event.seq, event.epoch = seqs[subject], 1
                    await client.publish(subject, encode(event))
            await client.flush(int(ALL_S))
    return watch


async def naive(url: str, raw: list[bytes]) -> Stopwatch:
    """json, Decimal, asyncio.Queue and a task, nats-py: what is written first."""
    queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue(10_000)
    async with nats_py(url) as client:
        with Stopwatch(len(raw)) as watch:
            sender = asyncio.create_task(_send_naively(client, queue))
            for each in raw:
                await queue.put(_read_naively(json.loads(each)["data"]))
            await queue.put(None)
            await sender
            await client.flush(int(ALL_S))
    return watch


def _read_naively(data: dict[str, Any]) -> dict[str, Any]:
    common = {"v": 1, "provider": "binance", "symbol": data["s"], "ts_recv": TS_RECV, "epoch": 1}
    if data.get("e") == "trade":
        side = "sell" if data["m"] else "buy"
        numbers = {"price": str(Decimal(data["p"])), "size": str(Decimal(data["q"]))}
        return {
            "type": "trade",
            **common,
            **numbers,
            "side": side,
            "trade_id": str(data["t"]),
            "ts_event": data["T"] * 1_000_000,
        }
    letters = {"bid": "b", "bid_size": "B", "ask": "a", "ask_size": "A"}
    return {
        "type": "quote",
        **common,
        **{name: str(Decimal(data[letter])) for name, letter in letters.items()},
        "ts_event": None,
    }


async def _send_naively(client: Client, queue: asyncio.Queue[dict[str, Any] | None]) -> None:
    seqs = dict.fromkeys(_subjects(), 0)
    while (event := await queue.get()) is not None:
        subject = f"md.events.{event['type']}.{event['symbol']}"
        seqs[subject] += 1
        event["seq"] = seqs[subject]
        await client.publish(subject, json.dumps(event).encode())


def _subjects() -> list[str]:
    return [event_subject(kind, symbol) for kind, symbol in itertools.product(TYPE_OF.values(), SYMBOLS)]


def run(way: Callable[[str, list[bytes]], Awaitable[Stopwatch]], setting: Setting) -> dict[str, float]:
    """First see that the right events arrive, each with the next `seq`; then time it with nobody listening."""

    async def both() -> Stopwatch:
        raw, heard = frames(FRAMES), []
        async with link_to(setting["nats"], {"md.events.>": lambda _, payload: heard.append(payload)}) as (listener, _):
            await listener.flush(ALL_S)
            await way(setting["nats"], raw[:CHECKED])
            async with asyncio.timeout(ALL_S):
                while len(heard) < CHECKED:
                    await listener.flush(ALL_S)
        expect("events delivered", [_key(decode_event(payload)) for payload in heard], _expected(raw[:CHECKED]))
        return await way(setting["nats"], raw)

    return uvloop.run(both()).figures()


def _key(event: Event) -> tuple[str, str, int]:
    return TYPE_OF[type(event)], event.symbol, event.seq


def _expected(raw: list[bytes]) -> list[tuple[str, str, int]]:
    seen: dict[tuple[str, str], int] = {}
    found = []
    for each in raw:
        data = json.loads(each)["data"]
        key = ("trade" if "e" in data else "quote", data["s"])
        seen[key] = seen.get(key, 0) + 1
        found.append((*key, seen[key]))
    return found


def _contender(name: str, way: Callable[[str, list[bytes]], Awaitable[Stopwatch]]) -> Contender:
    return Contender(name, lambda setting: run(way, setting))


CASE: Final = Case(
    "producer: Binance frame -> event -> bus -> NATS, until the server has read it",
    (
        _contender("ours: provider, bus, sink, link", ours),
        _contender("our decoding, nats-py", with_nats_py),
        _contender("naive: json, Decimal, asyncio.Queue, nats-py", naive),
    ),
    (Figure(CPU, "us/event"), Figure("per_s", "events/s")),
    server,
)
