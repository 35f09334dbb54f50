"""NATS: receiving the events of many symbols, sent by a plain socket in the same process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import uvloop
from nats.aio.msg import Msg

from cases._nats import frame, link_to, nats_py, send_raw, server
from cases.link_publish import ALL_S, messages
from harness.case import CPU, Case, Contender, Figure, Setting, Stopwatch, expect

Handler = Callable[[str, bytes], None]
Listening = AbstractAsyncContextManager[Callable[[], Awaitable[object]]]


@asynccontextmanager
async def with_link(url: str, handler: Handler) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    async with link_to(url, {"md.events.>": handler}) as (link, _):
        yield lambda: link.flush(ALL_S)


@asynccontextmanager
async def with_nats_py(url: str, handler: Handler) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    async def on_message(message: Msg) -> None:
        handler(message.subject, message.data)

    async with nats_py(url) as client:
        await client.subscribe("md.events.>", cb=on_message, pending_msgs_limit=-1, pending_bytes_limit=-1)
        yield client.flush


def run(listen: Callable[[str, Handler], Listening], setting: Setting) -> dict[str, float]:
    """Everything that was sent must arrive, once and in order."""

    async def receive() -> Stopwatch:
        sent, heard = messages(), []
        framed = frame(sent)
        async with listen(setting["nats"], lambda subject, data: heard.append((subject, data))) as flush:
            await flush()
            with Stopwatch(len(sent)) as watch:
                await asyncio.to_thread(send_raw, setting["nats"], framed)
                async with asyncio.timeout(ALL_S):
                    while len(heard) < len(sent):
                        await flush()
        expect("messages delivered, in their order", heard == sent, True)
        return watch

    return uvloop.run(receive()).figures()


CASE: Final = Case(
    "receive from NATS, up to the handler",
    (
        Contender("ours: nats_link", lambda setting: run(with_link, setting)),
        Contender("nats-py, callback", lambda setting: run(with_nats_py, setting)),
    ),
    (Figure(CPU, "us/message"), Figure("per_s", "messages/s")),
    server,
)
