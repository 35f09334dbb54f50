"""One client of Binance's stream server: its requests, its subscriptions, its limit of control messages.

Requests and their answers (PROTOCOLS 2.3):

    {"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":17}     {"result":null,"id":17}
    {"method":"LIST_SUBSCRIPTIONS","id":19}                       {"result":["btcusdt@trade"],"id":19}
    {"method":"SET_PROPERTY","params":["combined",true],"id":20}  {"result":null,"id":20}
    {"method":"GET_PROPERTY","params":["combined"],"id":21}       {"result":true,"id":21}

A well-formed name of a stream that does not exist is acknowledged like any other, and stays silent.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, Literal, TypeAlias

import msgspec

from exchange_sim.venue import Close, Habits, OpenDoor, Outcome, Variant

ErrorShape: TypeAlias = Literal["documented", "wrapped"]

NAME: Final = "binance"
HABITS: Final = Habits(pings=True, ages=True)
COMBINED: Final[Variant] = 1
MICROSECONDS: Final[Variant] = 2
MAX_STREAMS: Final = 1024
MESSAGES_PER_SECOND: Final = 5

_STREAM: Final = re.compile(r"(?:[^@\s/!]+@|!)[^\s/@]+(?:@[^\s/@]+)*")
_TEXT_ID: Final = re.compile(r"[A-Za-z0-9]{1,36}")
_encode: Final = msgspec.json.Encoder().encode


class RequestError(ValueError):
    """A request that the venue refuses, with the venue's code."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(message)


def is_stream(name: object) -> bool:
    """Tell whether a name could be a stream's: `<symbol>@<kind>` or `!<kind>`."""
    return isinstance(name, str) and _STREAM.fullmatch(name) is not None


class BinanceSession(OpenDoor):
    """A connection's subscriptions, kept in the order in which they were made."""

    venue: Final = NAME
    habits: Final = HABITS

    def __init__(
        self, streams: Iterable[str], *, combined: bool, microseconds: bool, error_shape: ErrorShape = "documented"
    ) -> None:
        self._streams = dict.fromkeys(streams)
        self._combined = combined
        self._microseconds = microseconds
        self._error_shape = error_shape
        self._recent: deque[float] = deque(maxlen=MESSAGES_PER_SECOND)

    @property
    def streams(self) -> Iterable[str]:
        return self._streams.keys()

    @property
    def variant(self) -> Variant:
        return (COMBINED if self._combined else 0) | (MICROSECONDS if self._microseconds else 0)

    def admit(self, now_s: float) -> Close | None:
        """Count a frame; the sixth within a second ends the session."""
        if len(self._recent) == MESSAGES_PER_SECOND and now_s - self._recent[0] < 1:
            return Close(1008, "Too many requests")
        self._recent.append(now_s)
        return None

    def receive(self, text: bytes) -> Outcome:
        """Answer one request."""
        request_id: int | str | None = None
        try:
            request = _request(text)
            request_id = _request_id(request)
            answer = _encode({"result": self._perform(request), "id": request_id})
        except RequestError as error:
            answer = self._refusal(error, request_id)
        return Outcome([answer])

    def _refusal(self, error: RequestError, request_id: int | str | None) -> bytes:
        if self._error_shape == "wrapped":
            return _encode({"error": {"code": error.code, "msg": error.message}, "id": request_id})
        return _encode({"code": error.code, "msg": error.message, "id": request_id})

    def _perform(self, request: dict[str, Any]) -> object:
        if "method" not in request:
            raise RequestError(2, "Invalid request: missing field `method`")
        method = request["method"]
        if not isinstance(method, str) or method not in _METHODS:
            known = ", ".join(f"`{name}`" for name in _METHODS)
            raise RequestError(2, f"Invalid request: unknown variant `{method}`, expected one of {known}")
        return _METHODS[method](self, request.get("params"))

    def _subscribe(self, params: object) -> None:
        names = _stream_names(params)
        wanted = self._streams | dict.fromkeys(names)
        if len(wanted) > MAX_STREAMS:
            raise RequestError(2, f"Invalid request: too many streams, the limit is {MAX_STREAMS} a connection")
        self._streams = wanted

    def _unsubscribe(self, params: object) -> None:
        for name in _stream_names(params):
            self._streams.pop(name, None)

    def _list(self, params: object) -> list[str]:
        if params:
            raise RequestError(2, "Invalid request: too many parameters")
        return list(self._streams)

    def _set_property(self, params: object) -> None:
        if not isinstance(params, list) or len(params) != 2:
            raise RequestError(2, "Invalid request: expected a property name and its value")
        _check_property(params[0])
        if not isinstance(params[1], bool):
            raise RequestError(1, "Invalid value type: expected Boolean")
        self._combined = params[1]

    def _get_property(self, params: object) -> bool:
        if not isinstance(params, list) or not params:
            raise RequestError(2, "Invalid request: property name must be a string")
        if len(params) > 1:
            raise RequestError(2, "Invalid request: too many parameters")
        _check_property(params[0])
        return self._combined


_METHODS: Final[dict[str, Callable[[BinanceSession, object], object]]] = {
    "SUBSCRIBE": BinanceSession._subscribe,
    "UNSUBSCRIBE": BinanceSession._unsubscribe,
    "LIST_SUBSCRIPTIONS": BinanceSession._list,
    "SET_PROPERTY": BinanceSession._set_property,
    "GET_PROPERTY": BinanceSession._get_property,
}


def _request(text: bytes) -> dict[str, Any]:
    try:
        request = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(3, f"Invalid JSON: {error}") from None
    if not isinstance(request, dict):
        raise RequestError(2, "Invalid request: expected an object")
    return request


def _request_id(request: dict[str, Any]) -> int | str | None:
    value = request.get("id")
    whole = isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
    if value is None or whole or (isinstance(value, str) and _TEXT_ID.fullmatch(value)):
        return value
    raise RequestError(
        2, "Invalid request: request ID must be a signed 64-bit integer, alphanumeric text up to 36 long, or null"
    )


def _stream_names(params: object) -> list[str]:
    if not isinstance(params, list):
        raise RequestError(2, "Invalid request: missing field `params`")
    for name in params:
        if not is_stream(name):
            raise RequestError(2, "Invalid request: invalid stream")
    return params


def _check_property(name: object) -> None:
    if not isinstance(name, str):
        raise RequestError(2, "Invalid request: property name must be a string")
    if name != "combined":
        raise RequestError(0, "Unknown property")
