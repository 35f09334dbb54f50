"""Errors as JSON: `error` says what is wrong, `hint` what to do next; never a trace."""

from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

HINTS: Final = {
    HTTPStatus.NOT_FOUND: "GET / lists what there is",
    HTTPStatus.METHOD_NOT_ALLOWED: "everything here is read with GET",
}
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


def _error(status: HTTPStatus, error: str, hint: str, symbols: list[str] | None = None) -> JSONResponse:
    tracked = {} if symbols is None else {"symbols": symbols}
    return JSONResponse({"error": error, "hint": hint, **tracked}, status)


async def _on_unknown_symbol(_: Request, error: Exception) -> JSONResponse:
    known = error if isinstance(error, UnknownSymbolError) else UnknownSymbolError("", [])
    return _error(HTTPStatus.NOT_FOUND, str(known), known.hint, known.tracked)


async def _on_bad_request(request: Request, error: Exception) -> JSONResponse:
    details = error.errors() if isinstance(error, RequestValidationError) else []
    what = "; ".join(f"{detail['loc'][-1]}: {detail['msg']}" for detail in details)
    return _error(HTTPStatus.UNPROCESSABLE_ENTITY, what, f"try {request.url.path}?symbol=BTCUSDT")


async def _on_http_error(request: Request, error: Exception) -> JSONResponse:
    status = HTTPStatus(error.status_code) if isinstance(error, HTTPException) else HTTPStatus.BAD_REQUEST
    shown = f"{status.phrase.lower()}: {request.method} {request.url.path[:MAX_SHOWN]}"
    return _error(status, shown, HINTS.get(status, "see /docs"))


async def _on_fault(_: Request, __: Exception) -> JSONResponse:
    what = "a fault in the service"
    return _error(HTTPStatus.INTERNAL_SERVER_ERROR, what, "its log has the trace; please report it")


def install(app: FastAPI) -> None:
    """Make every error of the app JSON."""
    app.add_exception_handler(UnknownSymbolError, _on_unknown_symbol)
    app.add_exception_handler(RequestValidationError, _on_bad_request)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Exception, _on_fault)
