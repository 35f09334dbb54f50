"""The endpoints."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import Depends, FastAPI, Query, Response
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST

from senpai.md_consumer.http import openapi
from senpai.md_consumer.http.bodies import Health, Index, Ready
from senpai.md_consumer.http.endpoints import ENDPOINTS
from senpai.md_consumer.http.errors import as_json, check_parameters, install
from senpai.md_consumer.http.sse import EventStream
from senpai.md_consumer.http.stats import stats
from senpai.md_consumer.http.views import Views
from service_http import HeadIsGet

NAME: Final = "senpai-md-consumer"
MAX_SYMBOL_CHARS: Final = 256
MAX_SYMBOLS_CHARS: Final = 8_192

ABOUT: Final = "about"
MARKET: Final = "market data"

Symbol = Annotated[
    str,
    Query(
        min_length=1,
        max_length=MAX_SYMBOL_CHARS,
        description="Canonical symbol in any case: `BTCUSDT`, `BTC/USD`, `AAPL`",
        openapi_examples={"BTCUSDT": {"value": "BTCUSDT"}},
    ),
]
SymbolList = Annotated[
    str,
    Query(max_length=MAX_SYMBOLS_CHARS, description="Symbols with commas between; empty: all", examples=["BTCUSDT"]),
]
TypeList = Annotated[
    str,
    Query(
        max_length=MAX_SYMBOL_CHARS,
        description="Of `features`, `signals`, `alerts`, with commas between; empty: all",
        examples=["signals,alerts"],
    ),
]


def create_app(views: Views, metrics: Callable[[], bytes], version: str) -> FastAPI:
    """The application; everything it shows comes from `views` and `metrics`."""
    app = FastAPIOffline(
        redoc_url=None,
        title="SenpAI market data consumer",
        version=version,
        summary="Rolling features and signals from normalised market data on NATS.",
        description=openapi.DESCRIPTION,
        default_response_class=Response,
        swagger_ui_parameters={"defaultModelsExpandDepth": 0, "displayRequestDuration": True},
    )
    app.add_middleware(HeadIsGet)
    install(app)
    _add_about(app, views, metrics, version)
    _add_market_data(app, views)
    app.openapi = lambda: openapi.schema_of(app)  # type: ignore[method-assign]  # FastAPI's documented way to extend it
    return app


def _add_about(app: FastAPI, views: Views, metrics: Callable[[], bytes], version: str) -> None:
    def get(path: str, summary: str) -> Callable[[Callable[..., object]], Callable[..., object]]:
        return app.get(path, tags=[ABOUT], summary=summary)

    @get("/", "What there is")
    async def index() -> Response:
        return as_json(Index(NAME, version, ENDPOINTS))

    @get("/health", "Whether it works, why not, and which symbols are tracked")
    async def health() -> Response:
        return _by_status(views.health())

    @get("/ready", "Whether it may be used now")
    async def ready() -> Response:
        return _by_status(views.ready())

    @get("/metrics", "Prometheus metrics")
    async def prometheus() -> Response:
        return Response(metrics(), headers={"content-type": CONTENT_TYPE_LATEST})

    @get("/stats", "Counters of every part")
    async def statistics() -> Response:
        return as_json(stats(views))


def _add_market_data(app: FastAPI, views: Views) -> None:
    def get(path: str, summary: str) -> Callable[[Callable[..., object]], Callable[..., object]]:
        return app.get(path, tags=[MARKET], summary=summary, dependencies=[Depends(check_parameters)])

    @app.get("/symbols", tags=[MARKET], summary="Tracked symbols")
    async def symbols() -> Response:
        return as_json(await views.symbols())

    @get("/state/latest", "Latest trade, quote and book")
    async def state(symbol: Symbol) -> Response:
        return as_json(views.state(symbol))

    @get("/features/latest", "Features as of now")
    async def features(symbol: Symbol) -> Response:
        return as_json(views.features(symbol))

    @get("/signals/latest", "Last signals, and whether they are still valid")
    async def signals(symbol: Symbol) -> Response:
        return as_json(views.signals(symbol))

    @get("/stream", "Features, signals and alerts as they come")
    async def stream(symbols: SymbolList = "", types: TypeList = "") -> Response:
        """An answer without an end, which this page cannot show: `curl -N "http://HOST:PORT/stream?symbols=BTCUSDT"`."""
        return EventStream(views.hub, *views.wish(symbols, types))


def _by_status(body: Health | Ready) -> Response:
    return as_json(body, HTTPStatus.SERVICE_UNAVAILABLE if body.reasons else HTTPStatus.OK)
