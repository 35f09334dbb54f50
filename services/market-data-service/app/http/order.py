"""`POST /failover {"to": "bybit"}`: rehearses a switch. For people who hold the token, on this machine by default."""

import hmac
import ipaddress
import time
from typing import Any, Final

import msgspec
from fastapi import Request
from fastapi.responses import JSONResponse
from msgspec import Struct

from app.liveness.failover import RefusedError
from app.liveness.watch import Liveness

MAX_BODY_BYTES: Final = 1024


class OrderRules(Struct, frozen=True):
    """Who may give orders: holders of `token` (None: nobody), from other machines only if `remote`."""

    token: str | None = None
    remote: bool = False


class _Order(Struct):
    to: str


class _TooLongError(ValueError):
    pass


async def carry_out(request: Request, rules: OrderRules, liveness: Liveness) -> JSONResponse:
    """Check who asks, then what is asked, then do it."""
    if (refusal := _refuse(request, rules)) is not None:
        return refusal
    try:
        order = msgspec.json.decode(await _body(request), type=_Order)
    except _TooLongError:
        return _answer(413, "body too long", f"expected at most {MAX_BODY_BYTES} bytes")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _answer(400, "not an order", f'expected a body like {{"to": "{liveness.primary}"}}')
    left = liveness.active
    try:
        liveness.order(order.to.strip().lower(), time.time_ns())
    except RefusedError as error:
        return _answer(409, str(error), "GET /providers shows the state of both providers")
    return JSONResponse({"from": left, "to": liveness.active, "state": liveness.failover.state})


def _refuse(request: Request, rules: OrderRules) -> JSONResponse | None:
    if rules.token is None:
        return _answer(403, "orders are off", "set FAILOVER_TOKEN or FAILOVER_TOKEN_FILE to switch them on")
    if not rules.remote and not _is_loopback(request):
        return _answer(403, "orders are taken from this machine only", "set FAILOVER_REMOTE=true to change that")
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), rules.token.encode()):
        return _answer(401, "wrong or missing token", "send the header Authorization: Bearer TOKEN")
    return None


def _is_loopback(request: Request) -> bool:
    try:
        address = ipaddress.ip_address(request.client.host if request.client else "")
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise _TooLongError
    return body


def _answer(status: int, error: str, hint: str) -> JSONResponse:
    body: dict[str, Any] = {"error": error, "path": "/failover", "hint": hint}
    return JSONResponse(body, status, {"WWW-Authenticate": "Bearer"} if status == 401 else None)
