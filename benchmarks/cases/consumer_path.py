"""Consumer: from the bytes of a message to features handed to the link, windows full."""

import asyncio
import json
import time
from collections import deque
from typing import Any, Final

import uvloop

from cases._market import STEP_NS, SYMBOLS, events
from harness.case import CPU, Case, Contender, Figure, Setting, Stopwatch, expect
from md_contract.codec import decode_event, encode
from md_contract.events import TYPE_OF, Trade
from md_contract.subjects import event_subject
from senpai.md_consumer.pipeline import Pipeline, PipelineOptions
from senpai.md_consumer.publisher import Publisher, PublisherOptions
from senpai.md_consumer.queue import EventQueue
from senpai.md_consumer.subscriber import Subscriber

WARM: Final = 60_000_000_000 // STEP_NS  # fills windows of 60 s
TIMED: Final = 60_000
TURN: Final = 64
QUEUE: Final = 20_000


class Taker:
    """A link that takes everything."""

    writable = True

    def __init__(self) -> None:
        self.taken = 0

    def publish(self, subject: str, payload: bytes) -> bool:  # noqa: ARG002 - a link's signature
        self.taken += 1
        return True


def _messages() -> list[tuple[str, bytes]]:
    found = events(WARM + TIMED)
    return [(event_subject(TYPE_OF[type(event)], event.symbol), encode(event)) for event in found]


def ours(_: Setting) -> dict[str, float]:
    return uvloop.run(_ours())


async def _ours() -> dict[str, float]:
    loop, link, queue, pipeline = (
        asyncio.get_running_loop(),
        Taker(),
        EventQueue(QUEUE, 2 * QUEUE),
        Pipeline(PipelineOptions()),
    )
    publisher = Publisher(
        PublisherOptions(epoch=1),
        link,
        pipeline,
        call_later=loop.call_later,
        mono_ns=time.monotonic_ns,
        wall_ns=time.time_ns,
    )
    subscriber = Subscriber(
        queue, pipeline, publisher, call_soon=loop.call_soon, mono_ns=time.monotonic_ns, wall_ns=time.time_ns
    )
    messages = _messages()

    async def feed(part: list[tuple[str, bytes]]) -> None:
        for at in range(0, len(part), TURN):
            for subject, payload in part[at : at + TURN]:
                subscriber.on_message(subject, payload)
            await asyncio.sleep(0)
        subscriber.finish()

    await feed(messages[:WARM])
    with Stopwatch(TIMED) as watch:
        await feed(messages[WARM:])
    subscriber.stop()
    ledger = queue.ledger()
    expect("events worked off", sum(line.delivered for line in ledger.values()), WARM + TIMED)
    expect("ledger", sum(line.difference for line in ledger.values()), 0)
    expect("vwap of the last 60 s", round(_vwap_of(pipeline), 6), round(_batch_vwap(messages), 6))
    publisher.finish()
    expect("features published of every symbol", len(publisher.features_published), len(SYMBOLS))
    return watch.figures()


def _vwap_of(pipeline: Pipeline) -> float:
    vector = pipeline.features(SYMBOLS[0], time.monotonic_ns(), time.time_ns())
    value = None if vector is None else vector.features["trade_vwap_60s"]
    return -1.0 if value is None else float(value)


def _batch_vwap(messages: list[tuple[str, bytes]]) -> float:
    """The definition, over the whole list: the trades of the last 60 s, up to the last event of the symbol."""
    mine = [event for _, payload in messages if (event := decode_event(payload)).symbol == SYMBOLS[0]]
    since = max(event.ts_event or 0 for event in mine) - 60_000_000_000
    trades = [event for event in mine if isinstance(event, Trade) and (event.ts_event or 0) > since]
    volume = sum(float(trade.size) for trade in trades)
    return sum(float(trade.price) * float(trade.size) for trade in trades) / volume


def decoding(_: Setting) -> dict[str, float]:
    """Only what cannot be left out: bytes to events."""
    payloads = [payload for _, payload in _messages()[WARM:]]
    with Stopwatch(TIMED) as watch:
        for payload in payloads:
            decode_event(payload)
    return watch.figures()


def naive(_: Setting) -> dict[str, float]:
    """json, and the VWAP alone of a list of the last 60 s, again for every trade; of the first of TIMED events only."""
    held: dict[str, deque[tuple[int, float, float]]] = {symbol: deque() for symbol in SYMBOLS}
    messages, timed = _messages(), TIMED // 60

    def work(payload: bytes, *, values: bool) -> float | None:
        event: dict[str, Any] = json.loads(payload)
        if event["type"] != "trade":
            return None
        window = held[event["symbol"]]
        window.append((event["ts_event"], float(event["price"]), float(event["size"])))
        while window[0][0] <= event["ts_event"] - 60_000_000_000:
            window.popleft()
        return sum(p * s for _, p, s in window) / sum(s for _, _, s in window) if values else None

    for _subject, payload in messages[:WARM]:
        work(payload, values=False)
    with Stopwatch(timed) as watch:
        for _subject, payload in messages[WARM : WARM + timed]:
            work(payload, values=True)
    return watch.figures()


CASE: Final = Case(
    "consumer: message -> intake -> queue -> pipeline (23 features, windows full) -> publisher",
    (
        Contender("ours: subscriber, pipeline, publisher", ours),
        Contender("decoding alone (floor)", decoding),
        Contender("naive: json, one feature of 23 over a list", naive),
    ),
    (Figure(CPU, "us/event"), Figure("per_s", "events/s")),
)
