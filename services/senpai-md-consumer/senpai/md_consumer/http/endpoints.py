"""What there is, in one line each: shown at `/`, in /docs and where a path was not found."""

from typing import Final

ENDPOINTS: Final = {
    "/health": "200 or 503: whether the service is alive and connected, why not, and which symbols are tracked",
    "/ready": "200 or 503: whether it may be used now",
    "/metrics": "Prometheus metrics",
    "/symbols": "Every tracked symbol with its provider, the age of its last event, and whether it is warm or stale",
    "/state/latest?symbol=": "The latest trade, quote and book of a symbol",
    "/features/latest?symbol=": "The features of a symbol as of now, as they are published on senpai.features.{symbol}",
    "/signals/latest?symbol=": "The last signals of a symbol, and whether they are still valid",
    "/stream?symbols=&types=": "Features, signals and alerts as they are published (server-sent events)",
    "/stats": "Queue fill, drops, events per second, gaps, bad input, ledger, publisher",
    "/docs": "This API, to try out",
}
