"""A venue on this machine: Binance's WebSocket and REST behaviour, scripted by the test."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)

from app.feed import Clock, Feed
from app.providers import make_provider
from md_contract.events import Event


class Client(WSListener):
    """The venue's end of one connection."""

    def __init__(self, venue: "Venue") -> None:
        self.venue = venue
        self.transport: Any = None
        self.requests: list[dict[str, Any]] = []
        self.pongs: list[bytes] = []
        self.pings = 0
        self.close_code: int | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self.venue.clients.append(self)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.transport = None

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind is WSMsgType.TEXT:
            request = json.loads(frame.get_payload_as_bytes())
            self.requests.append(request)
            for answer in self.venue.answer(request):
                self.send(answer)
        elif kind is WSMsgType.PONG:
            self.pongs.append(frame.get_payload_as_bytes())
        elif kind is WSMsgType.PING:
            self.pings += 1
            if self.venue.answers_pings:
                transport.send_pong(frame.get_payload_as_bytes())
        elif kind is WSMsgType.CLOSE:
            self.close_code = frame.get_close_code().value
            transport.disconnect()

    def send(self, *frames: Any) -> None:
        """Send text frames; what is no bytes becomes JSON."""
        for frame in frames:
            payload = frame if isinstance(frame, bytes) else json.dumps(frame).encode()
            self.transport.send(WSMsgType.TEXT, payload)

    @property
    def names(self) -> list[str]:
        return [name for request in self.requests for name in request["params"]]


class Venue:
    """Listens on 127.0.0.1; everything it does can be replaced by the test."""

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self.answer: Callable[[dict[str, Any]], list[Any]] = lambda request: [{"result": None, "id": request["id"]}]
        self.answers_pings = True
        self.handshake: Callable[[], WSUpgradeResponse | None] = lambda: None  # a refusal, or None to accept
        self.rest: dict[str, Callable[[dict[str, list[str]]], Any]] = {"/api/v3/exchangeInfo": lambda _: _listing()}
        self.rest_calls: list[str] = []
        self.port = 0
        self._server: Any = None

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def rest_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await ws_create_server(self._route, "127.0.0.1", self.port, enable_auto_pong=False)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self.drop_clients()

    def _route(self, request: WSUpgradeRequest) -> Any:
        url = urlsplit(request.path.decode())
        if url.path in {"/stream", "/ws"}:
            refusal = self.handshake()
            return WSUpgradeResponseWithListener(refusal, None) if refusal is not None else Client(self)
        self.rest_calls.append(request.path.decode())
        give = self.rest.get(url.path)
        if give is None:
            return None
        body = give(parse_qs(url.query))
        if isinstance(body, WSUpgradeResponse):
            return WSUpgradeResponseWithListener(body, None)
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        return WSUpgradeResponseWithListener(WSUpgradeResponse.create_ok_response(payload), None)

    @property
    def client(self) -> Client:
        """The newest connection."""
        return self.clients[-1]

    def refuse(self, status: int, **headers: str) -> Callable[..., WSUpgradeResponse]:
        """A REST answer or a handshake answer of that HTTP status."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return lambda *_: WSUpgradeResponse.create_error_response(status, b"no", named)

    def drop_clients(self) -> None:
        """Cut every connection without a word."""
        for client in self.clients:
            if client.transport is not None:
                client.transport.disconnect(graceful=False)

    def close_clients(self, code: int = 1001) -> None:
        for client in self.clients:
            if client.transport is not None:
                client.transport.send_close(WSCloseCode(code))
                client.transport.disconnect()


def _listing() -> dict[str, Any]:
    return {"symbols": [{"symbol": name, "status": "TRADING"} for name in ("BTCUSDT", "ETHUSDT", "BNBUSDT")]}


class Running:
    """A feed at work, and what it has published."""

    def __init__(self, feed: Feed, events: list[Event]) -> None:
        self.feed = feed
        self.events = events

    def of(self, *types: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, types)]


@pytest.fixture(scope="session")
def make_venue() -> Callable[[], Venue]:
    return Venue


@pytest.fixture
async def venue() -> AsyncIterator[Venue]:
    venue = Venue()
    await venue.start()
    yield venue
    await venue.stop()


@pytest.fixture
def until() -> Callable[..., Any]:
    """`await until(condition)`: wait for a condition, at most as long as a starved machine may take."""

    async def wait(condition: Callable[[], object], timeout_s: float = 50) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():  # noqa: ASYNC110 - conditions on the other side of a socket wake nobody
                await asyncio.sleep(0.002)

    return wait


@pytest.fixture
def run_feed(venue: Venue) -> Callable[..., Any]:
    """`async with run_feed("BTCUSDT") as running`: a feed on the venue, with short waits between attempts."""

    @contextlib.asynccontextmanager
    async def run(*symbols: str, **options: Any) -> AsyncIterator[Running]:
        events: list[Event] = []
        options.setdefault("clock", Clock(uniform=lambda: 0.02))
        usual: dict[str, Any] = {"publish": events.append, "ws_url": venue.ws_url, "rest_url": venue.rest_url}
        feed = Feed(make_provider("binance"), symbols, **(usual | options))
        task = asyncio.create_task(feed.run())
        try:
            yield Running(feed, events)
        finally:
            async with asyncio.timeout(5):
                await feed.stop()
                await task
        assert [t for t in asyncio.all_tasks() if t is not asyncio.current_task()] == []

    return run


@pytest.fixture
def trade() -> Callable[..., dict[str, Any]]:
    def make(trade_id: int, symbol: str = "BTCUSDT", **fields: Any) -> dict[str, Any]:
        data = {"e": "trade", "E": 1795350000123, "s": symbol, "t": trade_id, "p": "98765.43000000", "q": "0.01250000"}
        data |= {"T": 1700000000000 + trade_id, "m": False, "M": True}
        return {"stream": f"{symbol.lower()}@trade", "data": data | fields}

    return make
