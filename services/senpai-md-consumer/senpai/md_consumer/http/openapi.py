"""The description of the API: a schema and examples for every answer of every endpoint."""

from typing import Any, Final, TypeAlias

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from md_contract.signals import Alert, FeatureVector
from senpai.md_consumer.http import bodies
from senpai.md_consumer.http.examples import EVENT_STREAM, EXAMPLES, METRICS

Answers: TypeAlias = dict[int | str, dict[str, Any]]

JSON: Final = "application/json"
REF: Final = "#/components/schemas/{name}"
TYPES: Final = (
    *(bodies.Index, bodies.Health, bodies.Ready, bodies.Symbols, bodies.State, bodies.Signals, bodies.Stats),
    *(bodies.Error, FeatureVector, Alert),
)

DESCRIPTION: Final = """\
Everything here is read with GET or HEAD. Times are integer nanoseconds since 1970, UTC; prices and sizes of events are
the venue's own decimal text. Every error is JSON with `error` and `hint`. There are no CORS headers: pages of other
origins cannot read this.

`/stream` is a stream of server-sent events. Its first event is `open`, then `features`, `signals` and `alerts` follow,
each with the message of the same name on NATS as its data. A comment comes after 15 s of silence. Features of a symbol
that a client has not read yet give way to newer ones (a hole in their `seq`); signals and alerts do not: a client that
lets 1,000 of them wait gets `closed` as its last event, as everybody does when the service stops. Nothing is sent
again: after a new connection, `/signals/latest` and `/features/latest` tell what was missed.
"""

_NOT_READY: Final = "Not ready; `reasons` says why"
_UNKNOWN: Final = "The symbol is not tracked; `symbols` are"
_UNUSABLE: Final = "A parameter is missing or cannot be used"
_FAULT: Final = "A fault in the service; its log has the trace"


def _answer(why: str, body: type, *examples: str) -> dict[str, Any]:
    shown = {name: {"value": msgspec.to_builtins(EXAMPLES[name])} for name in examples}
    schema = {"$ref": REF.format(name=body.__name__)}
    return {"description": why, "content": {JSON: {"schema": schema, "examples": shown}}}


def _answers(why: str, body: type, *examples: str) -> Answers:
    return {200: _answer(why, body, *examples), 500: _answer(_FAULT, bodies.Error, "fault")}


def _of_symbol(why: str, body: type, *examples: str) -> Answers:
    not_found = _answer(_UNKNOWN, bodies.Error, "unknown symbol", "no symbol yet")
    return _answers(why, body, *examples) | {404: not_found, 422: _answer(_UNUSABLE, bodies.Error, "no symbol")}


def _text(why: str, kind: str, example: str) -> Answers:
    content = {kind: {"schema": {"type": "string"}, "examples": {"text": {"value": example}}}}
    return {200: {"description": why, "content": content}, 500: _answer(_FAULT, bodies.Error, "fault")}


ANSWERS: Final[dict[str, Answers]] = {
    "/": _answers("The endpoints", bodies.Index, "index"),
    "/health": _answers("It works", bodies.Health, "healthy") | {503: _answer(_NOT_READY, bodies.Health, "unhealthy")},
    "/ready": _answers("It may be used", bodies.Ready, "ready") | {503: _answer(_NOT_READY, bodies.Ready, "not ready")},
    "/metrics": _text("In Prometheus' text format", "text/plain", METRICS),
    "/symbols": _answers("The tracked symbols, by name", bodies.Symbols, "symbols"),
    "/state/latest": _of_symbol("As received", bodies.State, "state", "state at first"),
    "/features/latest": _of_symbol("A feature message", FeatureVector, "features"),
    "/signals/latest": _of_symbol("Newest first", bodies.Signals, "signals", "no signals"),
    "/stream": _text("Until you go", "text/event-stream", EVENT_STREAM)
    | {
        422: _answer(_UNUSABLE, bodies.Error, "unknown type"),
        503: _answer("The stream has 64 readers already", bodies.Error, "crowd"),
    },
    "/stats": _answers("Counters since the start", bodies.Stats, "stats"),
}


def schema_of(app: FastAPI) -> dict[str, Any]:
    """FastAPI's schema with the messages of the contract in it."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            description=app.description,
            routes=app.routes,
            tags=[{"name": "market data"}, {"name": "about"}],
        )
        for path, answers in ANSWERS.items():  # put in here because FastAPI would leave every null out of the examples
            schema["paths"][path]["get"]["responses"] = {str(status): answer for status, answer in answers.items()}
        _, components = msgspec.json.schema_components(TYPES, ref_template=REF)
        schema["components"] = {"schemas": components}
        app.openapi_schema = schema
    return app.openapi_schema
