"""Errors as JSON: `error` says what is wrong, `hint` what to do next; never a trace."""

from http import HTTPStatus
from typing import Final

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from senpai.md_consumer.http.bodies import Error
from senpai.md_consumer.http.endpoints import ENDPOINTS
from senpai.md_consumer.stream import TooManyListenersError

MAX_SHOWN: Final = 64  # characters of what the caller sent


class UnknownSymbolError(LookupError):
    """A symbol of which no event has come."""

    def __init__(self, symbol: str, tracked: list[str]) -> None:
        self.symbol = symbol
        self.tracked = tracked
        super().__init__(f"unknown symbol {symbol[:MAX_SHOWN]!r}")

    @property
    def hint(self) -> str:
        if self.tracked:
            return "take one of `symbols`; a symbol is known from its first event on"
        return "no event has come yet: is market-data-service running, with NATS_ENABLED=true and the same NATS?"


class BadQueryError(ValueError):
    """A query parameter that cannot be used."""

    def __init__(self, parameter: str, found: str, hint: str) -> None:
        self.hint = hint
        super().__init__(f"{parameter}: {found[:MAX_SHOWN]!r} is none")


class BadParameterError(ValueError):
    """A query parameter that an endpoint does not have, or that is given more than once."""

    def __init__(self, what: str, parameter: str, hint: str) -> None:
        self.hint = hint
        super().__init__(f"{what}: {parameter[:MAX_SHOWN]!r}")


def check_parameters(request: Request) -> None:
    """Refuse what an endpoint would pass over in silence. Raises `BadParameterError`."""
    takes = [parameter.alias for parameter in request.scope["route"].dependant.query_params]
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if name not in takes:
            raise BadParameterError("unknown parameter", name, f"{request.url.path} takes {', '.join(takes)}")
        if given.count(name) > 1:
            instead = f"with commas between: {name}=BTCUSDT,ETHUSDT" if name == "symbols" else "or ask once for each"
            raise BadParameterError("given more than once", name, f"give it once, {instead}")


def as_json(body: object, status: HTTPStatus = HTTPStatus.OK, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(body), status, headers, media_type="application/json")


async def _on_unknown_symbol(_: Request, error: Exception) -> Response:
    known = error if isinstance(error, UnknownSymbolError) else UnknownSymbolError("", [])
    return as_json(Error(str(known), known.hint, symbols=known.tracked), HTTPStatus.NOT_FOUND)


async def _on_bad_query(_: Request, error: Exception) -> Response:
    hint = error.hint if isinstance(error, BadQueryError | BadParameterError) else "see /docs"
    return as_json(Error(str(error), hint), HTTPStatus.UNPROCESSABLE_ENTITY)


async def _on_bad_request(request: Request, error: Exception) -> Response:
    details = error.errors() if isinstance(error, RequestValidationError) else []
    what = "; ".join(f"{detail['loc'][-1]}: {detail['msg']}" for detail in details)
    parameter = "symbols" if "symbols" in what else "symbol"
    hint = f"try {request.url.path}?{parameter}=BTCUSDT"
    return as_json(Error(what, hint), HTTPStatus.UNPROCESSABLE_ENTITY)


async def _on_crowd(_: Request, error: Exception) -> Response:
    hint = "try again later, or read senpai.> from NATS, which takes many readers"
    return as_json(Error(str(error), hint), HTTPStatus.SERVICE_UNAVAILABLE, {"retry-after": "5"})


async def _on_http_error(request: Request, error: Exception) -> Response:
    status = HTTPStatus(error.status_code) if isinstance(error, HTTPException) else HTTPStatus.BAD_REQUEST
    body = Error(f"{status.phrase.lower()}: {request.method} {request.url.path[:MAX_SHOWN]}", "see /docs")
    if status is HTTPStatus.NOT_FOUND:
        body.hint, body.endpoints = "take one of `endpoints`; /docs describes them", list(ENDPOINTS)
    elif status is HTTPStatus.METHOD_NOT_ALLOWED:
        body.hint = "everything here is read with GET or HEAD"
    headers = dict(error.headers) if isinstance(error, HTTPException) and error.headers else None
    return as_json(body, status, headers)


async def _on_fault(_: Request, __: Exception) -> Response:
    body = Error("a fault in the service", "its log has the trace; please report it")
    return as_json(body, HTTPStatus.INTERNAL_SERVER_ERROR)


def install(app: FastAPI) -> None:
    """Make every error of the app JSON."""
    app.add_exception_handler(UnknownSymbolError, _on_unknown_symbol)
    app.add_exception_handler(BadQueryError, _on_bad_query)
    app.add_exception_handler(BadParameterError, _on_bad_query)
    app.add_exception_handler(TooManyListenersError, _on_crowd)
    app.add_exception_handler(RequestValidationError, _on_bad_request)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Exception, _on_fault)
