"""The endpoints."""

import time
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from app.http.describe import Parts, describe_bus, describe_health, describe_providers
from app.http.order import carry_out
from service_http import HeadIsGet

ENDPOINTS: Final = {
    "/health": "200 when ready, 503 when not, with the reasons",
    "/ready": "the same as /health",
    "/livez": "200 while the event loop turns, whatever the exchange and NATS do",
    "/providers": "which provider is active, since when and why, and the health of each",
    "/metrics": "Prometheus metrics",
    "/bus-stats": "the ledger: what became of every event, by sink and type",
    "/docs": "these endpoints, to try out",
}
ORDERS: Final = {"/failover": 'POST {"to": "bybit"} makes that provider the active one; needs the token'}
ABOUT: Final = "about"
PROVIDERS: Final = "providers"
NUMBERS: Final = "numbers"


def create_app(parts: Parts) -> FastAPI:
    """The endpoints over `parts`; every error is JSON with a hint."""
    app = FastAPIOffline(redoc_url=None, title="market-data-service", description="Market data from exchanges to NATS.")
    app.add_middleware(HeadIsGet)

    @app.get("/", tags=[ABOUT], summary="What there is to see here")
    async def index() -> dict[str, Any]:
        return {"service": "market-data-service", "endpoints": ENDPOINTS, "orders": ORDERS}

    @app.get("/health", tags=[ABOUT], summary=ENDPOINTS["/health"], responses={503: {"description": "not ready"}})
    @app.get("/ready", tags=[ABOUT], summary=ENDPOINTS["/ready"], responses={503: {"description": "not ready"}})
    async def health() -> JSONResponse:
        body = describe_health(parts, time.time_ns())
        return JSONResponse(body, 200 if body["status"] == "ready" else 503)

    @app.get("/livez", tags=[ABOUT], summary=ENDPOINTS["/livez"])
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/providers", tags=[PROVIDERS], summary=ENDPOINTS["/providers"])
    async def providers() -> dict[str, Any]:
        return describe_providers(parts, time.time_ns())

    @app.post("/failover", tags=[PROVIDERS], summary=ORDERS["/failover"], responses={409: {"description": "not now"}})
    async def failover(request: Request) -> JSONResponse:
        return await carry_out(request, parts.orders, parts.liveness)

    @app.get("/metrics", tags=[NUMBERS], summary=ENDPOINTS["/metrics"], response_class=Response)
    async def metrics() -> Response:
        return Response(parts.metrics(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/bus-stats", tags=[NUMBERS], summary=ENDPOINTS["/bus-stats"])
    async def bus_stats() -> dict[str, Any]:
        return describe_bus(parts.bus, parts.link, parts.stream, parts.storage)

    @app.exception_handler(HTTPException)
    async def refuse(request: Request, error: HTTPException) -> JSONResponse:
        body = {"error": str(error.detail).lower(), "path": request.url.path, "hint": _hint(request, error.status_code)}
        return JSONResponse(body, error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def fail(request: Request, _error: Exception) -> JSONResponse:
        body = {"error": "internal error", "path": request.url.path, "hint": "the reason is in the service's log"}
        return JSONResponse(body, 500)

    return app


def _hint(request: Request, status: int) -> str:
    if status == 404:
        return f"try one of {', '.join(ENDPOINTS)}"
    return ORDERS.get(request.url.path, "only GET and HEAD are served here")
