"""The endpoints."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from fastapi import FastAPI, Query, Response
from fastapi.openapi.utils import get_openapi
from prometheus_client import CONTENT_TYPE_LATEST

from md_contract.events import BookL2, Quote, Trade
from md_contract.signals import FeatureVector
from senpai.md_consumer.http.errors import install
from senpai.md_consumer.http.stats import stats
from senpai.md_consumer.http.views import Views

ENDPOINTS: Final = {
    "/health": "Whether the service is ready (200) or not (503), why, and which symbols are tracked",
    "/metrics": "Prometheus metrics",
    "/state/latest?symbol=": "The latest trade, quote and book of a symbol",
    "/features/latest?symbol=": "The features of a symbol as of now, as they are published on senpai.features.{symbol}",
    "/stats": "Queue fill, drops, events per second, gaps, bad input, ledger, publisher",
    "/docs": "This API, to try out (the page loads its looks from the internet; /openapi.json does not)",
}
MAX_SYMBOL_CHARS: Final = 256

Symbol = Annotated[
    str,
    Query(
        min_length=1,
        max_length=MAX_SYMBOL_CHARS,
        description="Canonical symbol in any case: `BTCUSDT`, `BTC/USD`, `AAPL`",
        examples=["BTCUSDT"],
    ),
]
_ERROR: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["error", "hint"],
    "properties": {
        "error": {"type": "string", "examples": ["unknown symbol 'XYZ'"]},
        "hint": {"type": "string"},
        "symbols": {"type": "array", "items": {"type": "string"}, "description": "the tracked symbols"},
    },
}
_STATE: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "symbol": {"type": "string"},
        **{
            name: {"anyOf": [{"$ref": f"#/components/schemas/{cls.__name__}"}, {"type": "null"}]}
            for name, cls in (("trade", Trade), ("quote", Quote), ("book", BookL2))
        },
    },
}


def _answers(description: str, schema: dict[str, Any], *, symbol: bool = True) -> dict[int | str, dict[str, Any]]:
    """The `responses` of one endpoint for OpenAPI."""
    answers: dict[int | str, dict[str, Any]] = {
        200: {"description": description, "content": {"application/json": {"schema": schema}}}
    }
    if symbol:
        for status, why in ((404, "The symbol is not tracked"), (422, "`symbol` is missing or unusable")):
            content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
            answers[status] = {"description": why, "content": content}
    return answers


def _json(body: object, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def create_app(views: Views, metrics: Callable[[], bytes], version: str) -> FastAPI:
    """The application; everything it shows comes from `views` and `metrics`."""
    app = FastAPI(
        title="SenpAI market data consumer",
        version=version,
        summary="Rolling features and signals from normalised market data on NATS.",
        redoc_url=None,
        default_response_class=Response,
    )
    install(app)

    @app.get(
        "/",
        tags=["about"],
        summary="What there is",
        responses=_answers("The endpoints", {"type": "object"}, symbol=False),
    )
    async def index() -> Response:
        return _json({"service": "senpai-md-consumer", "version": version, "endpoints": ENDPOINTS})

    @app.get(
        "/health",
        tags=["about"],
        summary="Readiness and tracked symbols",
        responses=_answers("Ready", {"type": "object"}, symbol=False)
        | {503: {"description": "Not ready; `reasons` says why"}},
    )
    async def health() -> Response:
        body = views.health()
        return _json(body, HTTPStatus.SERVICE_UNAVAILABLE if body["reasons"] else HTTPStatus.OK)

    @app.get("/metrics", tags=["about"], summary="Prometheus metrics")
    async def prometheus() -> Response:
        return Response(metrics(), headers={"content-type": CONTENT_TYPE_LATEST})

    @app.get(
        "/state/latest",
        tags=["market data"],
        summary="Latest trade, quote and book",
        responses=_answers("As received", _STATE),
    )
    async def state(symbol: Symbol) -> Response:
        return _json(views.state(symbol))

    @app.get(
        "/features/latest",
        tags=["market data"],
        summary="Features as of now",
        responses=_answers("A feature message", {"$ref": "#/components/schemas/FeatureVector"}),
    )
    async def features(symbol: Symbol) -> Response:
        return _json(views.features(symbol))

    @app.get(
        "/stats",
        tags=["about"],
        summary="Counters of every part",
        responses=_answers("Counters", {"type": "object"}, symbol=False),
    )
    async def statistics() -> Response:
        return _json(stats(views))

    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # FastAPI's documented way to extend the schema
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's schema with the messages of the contract in it."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        contract = (Trade, Quote, BookL2, FeatureVector)
        _, components = msgspec.json.schema_components(contract, ref_template="#/components/schemas/{name}")
        schema.setdefault("components", {}).setdefault("schemas", {}).update({**components, "Error": _ERROR})
        app.openapi_schema = schema
    return app.openapi_schema
