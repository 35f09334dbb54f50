"""The stream to one client: server-sent events until it goes, falls behind, or the service stops."""

import asyncio
import json
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from senpai.md_consumer.stream import Hub, Listener, Wish

HEARTBEAT_S: Final = 15.0  # silence after which a comment shows that the connection lives
RETRY_MS: Final = 2_000  # after which a browser connects again


class EventStream(Response):
    """What matches `wish`, from now on.

    Raises, before anything is sent:
        TooManyListenersError: the hub takes no more readers.
    """

    media_type = "text/event-stream"

    def __init__(self, hub: Hub, wish: Wish, unknown: list[str], heartbeat_s: float = HEARTBEAT_S) -> None:
        """`unknown`: symbols of the wish of which no event has come yet."""
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._hub = hub
        self._wish = wish
        self._unknown = unknown
        self._heartbeat_s = heartbeat_s

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        news = asyncio.Event()
        listener = self._hub.join(self._wish, news.set)
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async with asyncio.TaskGroup() as tasks:
                watch = tasks.create_task(_watch(receive, listener), name="stream client")
                await self._write(listener, news, send)
                watch.cancel()
        finally:
            self._hub.leave(listener)

    async def _write(self, listener: Listener, news: asyncio.Event, send: Send) -> None:
        piece = self._opening()
        while piece or not listener.over:
            if piece:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            elif not await self._is_news(news):
                await send({"type": "http.response.body", "body": b": alive\n\n", "more_body": True})
            news.clear()
            piece = listener.take()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _is_news(self, news: asyncio.Event) -> bool:
        """Wait for something to send; false when it is time for a sign of life."""
        try:
            async with asyncio.timeout(self._heartbeat_s):
                await news.wait()
        except TimeoutError:
            return False
        return True

    def _opening(self) -> bytes:
        wish = self._wish
        symbols = None if wish.symbols is None else sorted(wish.symbols)
        told = {"types": sorted(wish.kinds), "symbols": symbols, "unknown": self._unknown}
        return b"retry: %d\nevent: open\ndata: %b\n\n" % (RETRY_MS, json.dumps(told).encode())


async def _watch(receive: Receive, listener: Listener) -> None:
    """End the stream when the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
    listener.end("the client has gone", "connect again")
