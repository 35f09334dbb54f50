"""NATS: publishing with acknowledgement, each message with its own id, until the stream has all of them."""

import asyncio
from typing import Final

import uvloop

from cases._market import events
from cases._nats import link_to, nats_py, server
from harness.case import CPU, Case, Contender, Figure, Setting, Stopwatch, expect
from md_contract.codec import encode
from nats_link import Link, LinkOptions
from nats_link.jetstream import AckedPublisher, StreamOptions, ensure_stream

MESSAGES: Final = 20_000
TURN: Final = 64
ALL_S: Final = 60.0
SUBJECT: Final = "md.events.trade.BTCUSDT"
STREAM: Final = StreamOptions(max_bytes=512 << 20)

Messages = list[tuple[str, bytes]]


def messages() -> Messages:
    """Id and payload of each."""
    return [(f"binance:{number}", encode(event)) for number, event in enumerate(events(MESSAGES))]


async def acked(url: str, sent: Messages) -> Stopwatch:
    writable = asyncio.Event()
    link = Link(LinkOptions(url=url, name="benchmark", replies=True), on_writable=writable.set)
    publisher = AckedPublisher(link, prepare=lambda: ensure_stream(link, STREAM), on_writable=writable.set)
    running = [asyncio.create_task(link.run()), asyncio.create_task(publisher.run())]
    while not publisher.window.is_open:
        await writable.wait()
        writable.clear()
    with Stopwatch(len(sent)) as watch:
        at = 0
        while at < len(sent):
            writable.clear()
            if not publisher.publish(SUBJECT, *sent[at]):
                await writable.wait()
                continue
            at += 1
            if at % TURN == 0:
                await asyncio.sleep(0)
        await publisher.settle(ALL_S)
    publisher.close()
    await link.close(5)
    await asyncio.gather(*running)
    return watch


async def nats_py_acked(url: str, sent: Messages) -> Stopwatch:
    async with nats_py(url) as client:
        jetstream = client.jetstream()
        await jetstream.add_stream(name=STREAM.name, subjects=list(STREAM.subjects), max_bytes=STREAM.max_bytes)
        with Stopwatch(len(sent)) as watch:
            for mark, payload in sent:
                await jetstream.publish_async(SUBJECT, payload, headers={"Nats-Msg-Id": mark}, wait_stall=30)
            await jetstream.publish_async_completed()
    return watch


async def core(url: str, sent: Messages) -> Stopwatch:
    """Without acknowledgement, at most once: what certainty costs more than this."""
    async with link_to(url) as (link, writable):
        with Stopwatch(len(sent)) as watch:
            at = 0
            while at < len(sent):
                if not link.publish(SUBJECT, sent[at][1]):
                    await writable.wait()
                    writable.clear()
                    continue
                at += 1
                if at % TURN == 0:
                    await asyncio.sleep(0)
            expect("flushed", await link.flush(ALL_S), True)
    return watch


async def _measure(name: str, setting: Setting) -> Stopwatch:
    way = {"acked": acked, "nats-py": nats_py_acked, "core": core}[name]
    sent = messages()
    async with nats_py(setting["nats"]) as client:
        jetstream = client.jetstream()
        for stream in await jetstream.streams_info():
            await jetstream.delete_stream(str(stream.config.name))
        watch = await way(setting["nats"], sent)
        if name != "core":
            expect("messages in the stream", (await jetstream.stream_info(STREAM.name)).state.messages, len(sent))
    return watch


CASE: Final = Case(
    "publish with acknowledgement and a message id, until the stream has everything",
    (
        Contender("ours: AckedPublisher", lambda setting: uvloop.run(_measure("acked", setting)).figures()),
        Contender("nats-py, publish_async", lambda setting: uvloop.run(_measure("nats-py", setting)).figures()),
        Contender("core NATS, no stream (floor)", lambda setting: uvloop.run(_measure("core", setting)).figures()),
    ),
    (Figure(CPU, "us/message"), Figure("per_s", "messages/s")),
    server,
)
