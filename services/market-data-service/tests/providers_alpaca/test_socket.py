"""The same over a real socket: a server that greets, lets in one at a time, and sends."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import WSMsgType, web
from structlog.testing import capture_logs

from app.feed import Feed
from app.providers.alpaca import Alpaca, Credentials
from md_contract.events import Event, Quote, Status, Trade


class Server:
    """Alpaca's side of `v2/iex`, for one client at a time; `busy` logins are turned away first."""

    def __init__(self, alpaca: Any, *, busy: int = 0) -> None:
        self.heard: list[dict[str, Any]] = []
        self.socket: web.WebSocketResponse | None = None
        self.busy = busy
        self._alpaca = alpaca
        self._transport: Any = None

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._transport = request.transport
        await socket.send_json(self._alpaca.connected)
        venue = self._alpaca.Venue()
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                continue
            self.heard.append(heard := json.loads(message.data))
            if heard["action"] != "auth":
                await socket.send_json(venue.answer(heard))
                self.socket = socket
            elif self.busy:
                self.busy -= 1
                await socket.send_json([{"T": "error", "code": 406, "msg": "connection limit exceeded"}])
            elif (heard["key"], heard["secret"]) == (self._alpaca.key, self._alpaca.secret):
                await socket.send_json(self._alpaca.authenticated)
            else:
                await socket.send_json([{"T": "error", "code": 402, "msg": "auth failed"}])
        return socket

    async def send(self, *messages: Any) -> None:
        assert self.socket is not None
        await self.socket.send_json(messages)

    async def cut(self) -> None:
        """End the connection without a word."""
        assert self.socket is not None
        self.socket = None
        self._transport.abort()


@asynccontextmanager
async def running(server: Server, secret: str, symbols: list[str]) -> AsyncIterator[SimpleNamespace]:
    app = web.Application()
    app.router.add_get("/v2/iex", server.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    events: list[Event] = []
    provider = Alpaca(Credentials(server._alpaca.key, secret), "iex")
    address = f"{host}:{port}"
    feed = Feed(provider, symbols, publish=events.append, ws_url=f"ws://{address}", rest_url=f"http://{address}")
    task = asyncio.create_task(feed.run())
    try:
        yield SimpleNamespace(feed=feed, events=events)
    finally:
        await feed.stop()
        await task
        await runner.cleanup()


async def test_it_logs_in_subscribes_and_publishes_and_comes_back_after_a_cut(
    alpaca: Any, eventually: Callable[..., Awaitable[None]]
) -> None:
    server = Server(alpaca, busy=1)
    with capture_logs() as logs:
        async with running(server, alpaca.secret, ["AAPL"]) as run:
            await eventually(lambda: run.feed.connected)
            await server.send(alpaca.share_trade(1), alpaca.share_quote())
            await eventually(lambda: len(run.events) == 2)
            await server.cut()
            await eventually(lambda: server.socket is not None)
            await server.send(alpaca.share_trade(2))
            await eventually(lambda: len(run.events) == 5)
    kinds = [event.kind if isinstance(event, Status) else type(event) for event in run.events]
    assert kinds == [Trade, Quote, "reconnect", "gap", Trade]
    assert [message["action"] for message in server.heard] == ["auth", "auth", "subscribe", "auth", "subscribe"]
    assert alpaca.secret not in str(logs)
    assert alpaca.key not in str(logs)


async def test_wrong_keys_are_tried_once_and_said(alpaca: Any, eventually: Callable[..., Awaitable[None]]) -> None:
    server = Server(alpaca)
    with capture_logs() as logs:
        async with running(server, "the-wrong-one", ["AAPL"]) as run:
            await eventually(lambda: any(log["event"].startswith("connection") and "reason" in log for log in logs))
            assert not run.feed.connected
            (connection,) = run.feed.connections
            await eventually(lambda: connection.next_attempt_ns is not None)
            assert connection.next_attempt_ns - time.time_ns() == pytest.approx(600 * 10**9, rel=0.1)
            assert connection.last_end == "error 402: auth failed"
    assert [message["action"] for message in server.heard] == ["auth"]
    (advice,) = (log["do"] for log in logs if "do" in log)
    assert "ALPACA_API_KEY" in advice
    (ended,) = (log for log in logs if log.get("reason") == "error 402: auth failed")
    assert ended["next_attempt_in_s"] == pytest.approx(600)
    assert "the-wrong-one" not in str(logs)
