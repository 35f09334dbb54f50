"""NATS: publishing the events of many symbols."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import uvloop

from cases._market import events
from cases._nats import frame, link_to, nats_py, send_raw, server
from harness.case import CPU, Case, Contender, Figure, Setting, Stopwatch, expect
from md_contract.codec import encode
from md_contract.events import TYPE_OF
from md_contract.subjects import event_subject

MESSAGES: Final = 100_000
TURN: Final = 64
ALL_S: Final = 30.0

Messages = list[tuple[str, bytes]]


def messages() -> Messages:
    """Subject and payload of each."""
    return [(event_subject(TYPE_OF[type(event)], event.symbol), encode(event)) for event in events(MESSAGES)]


async def through_link(url: str, sent: Messages) -> Stopwatch:
    async with link_to(url) as (link, writable):
        with Stopwatch(len(sent)) as watch:
            at = 0
            while at < len(sent):
                until = min(at + TURN, len(sent))
                while at < until and link.publish(*sent[at]):
                    at += 1
                if at < until:
                    await writable.wait()
                    writable.clear()
                await asyncio.sleep(0)
            expect("flushed", await link.flush(ALL_S), True)
    return watch


async def through_nats_py(url: str, sent: Messages) -> Stopwatch:
    async with nats_py(url) as client:
        with Stopwatch(len(sent)) as watch:
            for subject, payload in sent:
                await client.publish(subject, payload)
            await client.flush(ALL_S)  # type: ignore[arg-type]  # its own hint says int, and it takes any number
    return watch


async def through_socket(url: str, sent: Messages) -> Stopwatch:
    framed = frame(sent)
    with Stopwatch(len(sent)) as watch:
        await asyncio.to_thread(send_raw, url, framed)
    return watch


def run(way: Callable[[str, Messages], Awaitable[Stopwatch]], setting: Setting) -> dict[str, float]:
    """First see that everything arrives, in order; then time it with nobody listening."""

    async def both() -> Stopwatch:
        sent, heard = messages(), []
        few = sent[:2_000]
        async with link_to(setting["nats"], {"md.events.>": lambda subject, data: heard.append((subject, data))}) as (
            listener,
            _,
        ):
            await listener.flush(ALL_S)
            await way(setting["nats"], few)
            async with asyncio.timeout(ALL_S):
                while len(heard) < len(few):
                    await listener.flush(ALL_S)
        expect("messages delivered, in their order", heard == few, True)
        return await way(setting["nats"], sent)

    return uvloop.run(both()).figures()


def _contender(name: str, way: Callable[[str, Messages], Awaitable[Stopwatch]]) -> Contender:
    return Contender(name, lambda setting: run(way, setting))


CASE: Final = Case(
    "publish to NATS, until the server has read it",
    (
        _contender("ours: nats_link", through_link),
        _contender("nats-py", through_nats_py),
        _contender("plain socket, framed beforehand (ceiling)", through_socket),
    ),
    (Figure(CPU, "us/message"), Figure("per_s", "messages/s")),
    server,
)
