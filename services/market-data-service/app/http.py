"""The HTTP side: health, metrics and the ledger, served in the service's own event loop."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from app.bus import Account, Buffer, Bus
from app.feed import Feed
from md_contract.events import TYPE_OF, BookL2, Quote, Trade
from md_contract.units import NS_PER_S
from nats_link import Link

MAX_SILENCE_S: Final = 30.0  # without any market data the service does not call itself ready
MAX_CONNECTIONS: Final = 256

ENDPOINTS: Final = {
    "/health": "200 when ready, 503 when not, with the reasons",
    "/ready": "the same as /health",
    "/livez": "200 while the event loop turns, whatever the exchange and NATS do",
    "/metrics": "Prometheus metrics",
    "/bus-stats": "the ledger: what became of every event, by sink and type",
    "/docs": "these endpoints as OpenAPI",
}
_OUTCOMES: Final = ("received", "delivered", "conflated", "dropped", "spilled", "queued", "difference")


class PortTakenError(OSError):
    """The HTTP address cannot be used."""


@dataclass
class Parts:
    """What the endpoints tell about."""

    symbols: Sequence[str]
    bus: Bus
    feeds: Mapping[str, Feed]  # by provider name
    link: Link | None  # None: the service runs without NATS
    nats_url: str  # fit to be shown
    metrics: Callable[[], bytes]
    stopping: bool = False


def create_app(parts: Parts) -> FastAPI:
    """The endpoints over `parts`; every error is JSON with a hint."""
    app = FastAPI(title="market-data-service", description="Market data from exchanges to NATS.", redoc_url=None)
    app.add_middleware(_HeadIsGet)

    @app.get("/", summary="What there is to see here")
    async def index() -> dict[str, Any]:
        return {"service": "market-data-service", "endpoints": ENDPOINTS}

    @app.get("/health", summary=ENDPOINTS["/health"], responses={503: {"description": "not ready"}})
    @app.get("/ready", summary=ENDPOINTS["/ready"], responses={503: {"description": "not ready"}})
    async def health() -> JSONResponse:
        body = describe_health(parts, time.time_ns())
        return JSONResponse(body, 200 if body["status"] == "ready" else 503)

    @app.get("/livez", summary=ENDPOINTS["/livez"])
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/metrics", summary=ENDPOINTS["/metrics"], response_class=Response)
    async def metrics() -> Response:
        return Response(parts.metrics(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/bus-stats", summary=ENDPOINTS["/bus-stats"])
    async def bus_stats() -> dict[str, Any]:
        return describe_bus(parts.bus, parts.link)

    @app.exception_handler(HTTPException)
    async def refuse(request: Request, error: HTTPException) -> JSONResponse:
        hint = f"try one of {', '.join(ENDPOINTS)}" if error.status_code == 404 else "only GET and HEAD are served"
        body = {"error": str(error.detail).lower(), "path": request.url.path, "hint": hint}
        return JSONResponse(body, error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def fail(request: Request, _error: Exception) -> JSONResponse:
        body = {"error": "internal error", "path": request.url.path, "hint": "the reason is in the service's log"}
        return JSONResponse(body, 500)

    return app


def describe_health(parts: Parts, now_ns: int) -> dict[str, Any]:
    """The body of `/health`: `status` is `ready`, `not_ready` or `stopping`; `reasons` says why in plain words."""
    ages = _event_ages(parts, now_ns)
    reasons = list(_reasons(parts, ages))
    link = parts.link
    return {
        "status": "stopping" if parts.stopping else "not_ready" if reasons else "ready",
        "reasons": reasons,
        "providers": {
            name: {
                "connected": feed.connected,
                "last_frame_age_s": _age_s(feed.last_recv_ns, now_ns),
                "paused": feed.paused,
                "reconnects": feed.reconnects,
                "connections": [
                    {"state": connection.state, "symbols": len(connection.symbols), "last_end": connection.last_end}
                    for connection in feed.connections
                ],
            }
            for name, feed in parts.feeds.items()
        },
        "symbols": {symbol: {"last_event_age_s": age} for symbol, age in ages.items()},
        "excluded": {symbol: why for feed in parts.feeds.values() for symbol, why in feed.excluded.items()},
        "nats": {
            "enabled": link is not None,
            "connected": link is not None and link.connected,
            "url": parts.nats_url if link is not None else None,
            "last_error": link.last_error if link is not None else None,
        },
        "bus": {
            "saturated": parts.bus.saturated,
            "fill_ratio": {buffer.name: round(buffer.fill_ratio, 4) for buffer in parts.bus.buffers},
        },
    }


def _reasons(parts: Parts, ages: Mapping[str, float | None]) -> Iterator[str]:
    if parts.stopping:
        yield "the service is stopping"
    for name, feed in parts.feeds.items():
        if not feed.symbols:
            yield f"nothing to follow: {name} has none of the symbols ({', '.join(feed.excluded)})"
        elif not feed.connected:
            yield f"not connected to {name}; it keeps trying"
    known = [age for age in ages.values() if age is not None]
    if not known:
        yield "no market data has come yet"
    elif min(known) > MAX_SILENCE_S:
        yield f"no market data for {min(known):.0f} s"
    if parts.link is not None and not parts.link.connected:
        yield f"not connected to NATS at {parts.nats_url}; events are kept and it keeps trying"
    for buffer in parts.bus.buffers:
        if buffer.saturated:
            yield f"the buffer of the sink {buffer.name!r} is full: sockets are not read until it has room"


def describe_bus(bus: Bus, link: Link | None) -> dict[str, Any]:
    """The body of `/bus-stats`; every `difference` is 0 or the service has a defect.

    `link` goes on where the sink's `delivered` ends: what the connection to NATS did with the messages it accepted.
    """
    return {
        "saturated": bus.saturated,
        "sinks": {buffer.name: _describe_buffer(buffer) for buffer in bus.buffers},
        "link": None
        if link is None
        else {
            "published": link.published,
            "pending": link.pending_messages,
            "lost_on_disconnect": link.lost_on_disconnect,
            "unconfirmed": link.unconfirmed,
            "refused": link.refused,
        },
    }


def _describe_buffer(buffer: Buffer) -> dict[str, Any]:
    types = {TYPE_OF[cls]: _describe_account(account) for cls, account in buffer.accounts.items()}
    return {
        "capacity": buffer.capacity,
        "fill_ratio": round(buffer.fill_ratio, 4),
        "saturated": buffer.saturated,
        "saturations": buffer.saturations,
        "failures": buffer.failures,
        "total": {outcome: sum(row[outcome] for row in types.values()) for outcome in _OUTCOMES},
        "types": types,
    }


def _describe_account(account: Account) -> dict[str, int]:
    return {outcome: getattr(account, outcome) for outcome in _OUTCOMES}


def _event_ages(parts: Parts, now_ns: int) -> dict[str, float | None]:
    """Seconds since the newest trade, quote or book of each symbol; None before the first."""
    last = [parts.bus.last_recv[cls] for cls in (Trade, Quote, BookL2)]
    return {symbol: _age_s(max(seen.get(symbol, 0) for seen in last), now_ns) for symbol in parts.symbols}


def _age_s(then_ns: int | None, now_ns: int) -> float | None:
    return round(max(now_ns - then_ns, 0) / NS_PER_S, 3) if then_ns else None


class _HeadIsGet:
    """Answers HEAD like GET; the server leaves the body out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)


def listen(host: str, port: int) -> socket.socket:
    """Take the port before anything else starts.

    Raises:
        PortTakenError: somebody else has it, or the address is not ours.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.create_server(address[:2], family=family, backlog=128)
    except OSError as error:
        raise PortTakenError(
            f"HTTP port {port} on {host} cannot be used: {error.strerror or error}; "
            "stop what uses it, or choose another with HTTP_PORT (or HTTP_HOST)"
        ) from None
    listener.setblocking(False)
    return listener


class HttpServer(uvicorn.Server):
    """uvicorn inside a running loop: signals and logging stay with the service."""

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                limit_concurrency=MAX_CONNECTIONS,
                timeout_keep_alive=5,
                timeout_graceful_shutdown=1,
            )
        )
        self._listener = listener

    async def run_until_stopped(self) -> None:
        """Serve until `stop` was called; connections that are still open then have a second to end."""
        await self.serve(sockets=[self._listener])

    def stop(self) -> None:
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
