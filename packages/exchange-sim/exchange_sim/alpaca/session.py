"""One client of an Alpaca stream: greeting, login, subscriptions.

Requests and their answers (PROTOCOLS 4.2, 4.3); every answer is an array of one message:

    (on connecting)                                        [{"T":"success","msg":"connected"}]
    {"action":"auth","key":"...","secret":"..."}           [{"T":"success","msg":"authenticated"}]
    {"action":"subscribe","trades":["AAPL"],"bars":["*"]}  [{"T":"subscription","trades":["AAPL"], ...}]
    anything else                                          [{"T":"error","code":400,"msg":"invalid syntax"}]

A subscription is answered with the complete list. A request that fails changes nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from exchange_sim.alpaca.door import Door
from exchange_sim.frame import Frame
from exchange_sim.venue import Close, Habits, Outcome, Variant

NAME: Final = "alpaca"
SHARES: Final = ("trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds", "imbalances")
COINS: Final = ("trades", "quotes", "orderbooks", "bars", "updatedBars", "dailyBars")
ADDED: Final = ("corrections", "cancelErrors")  # with the trades of shares
GREETING: Final = b'[{"T":"success","msg":"connected"}]'
AUTHENTICATED: Final = b'[{"T":"success","msg":"authenticated"}]'
AUTH_TIMEOUT: Final = 404
ERRORS: Final = {
    400: "invalid syntax",
    401: "not authenticated",
    402: "auth failed",
    403: "already authenticated",
    404: "auth timeout",
    405: "symbol limit exceeded",
    406: "connection limit exceeded",
    407: "slow client",
    409: "insufficient subscription",
    410: "invalid subscribe action for this feed",
    500: "internal error",
}
_encode: Final = msgspec.json.Encoder().encode


class RequestError(ValueError):
    """A request that the venue refuses, with the venue's code."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(ERRORS[code])


def error(code: int) -> bytes:
    """Return the message of an error."""
    return _encode([{"T": "error", "code": code, "msg": ERRORS[code]}])


class AlpacaSession:
    """A connection's login and subscriptions, each channel's in the order in which they were made."""

    venue: Final = NAME
    habits: Final = Habits(batches=True)
    variant: Final[Variant] = 0
    greeting: Final = GREETING

    def __init__(
        self,
        feed: str,
        door: Door,
        *,
        has: Callable[[str], bool],
        stream: Callable[[str, str], str],
        first: Callable[[str], bytes | None],
    ) -> None:
        """Open a session.

        Args:
            feed: `crypto`, or one of shares.
            door: lets it in.
            has: tells whether the feed has a symbol; others are acknowledged and stay silent.
            stream: names the stream of a channel and symbol.
            first: returns what a new subscriber of a stream gets at once.
        """
        self._channels = COINS if feed == "crypto" else SHARES
        self._door = door
        self._has = has
        self._stream = stream
        self._first = first
        self._listed: dict[str, list[str]] = {channel: [] for channel in self._channels}
        self._now_s = 0.0
        self.is_in = False

    @property
    def streams(self) -> Iterable[str]:
        listed = {**self._listed, **self._added()}
        return [
            self._stream(channel, symbol)
            for channel, symbols in listed.items()
            for symbol in symbols
            if self._has(symbol)
        ]

    def admit(self, now_s: float) -> Close | None:
        """Admit every frame: the venue counts none."""
        self._now_s = now_s
        return None

    def overdue(self, age_s: float) -> bytes | None:
        """Return what is said, before the connection ends, to a client that has not logged in by this age."""
        return error(AUTH_TIMEOUT) if not self.is_in and age_s >= self._door.login_s else None

    def left(self, now_s: float, *, abruptly: bool) -> None:
        """The connection has ended."""
        self._door.leave(self, now_s, abruptly=abruptly)

    def receive(self, text: bytes) -> Outcome:
        """Answer one request, `admit` having been told when it came."""
        try:
            return self._perform(_request(text))
        except RequestError as refusal:
            is_over = refusal.code == AUTH_TIMEOUT
            return Outcome([error(refusal.code)], close=Close(1008, ERRORS[AUTH_TIMEOUT]) if is_over else None)

    def _perform(self, request: dict[str, Any]) -> Outcome:
        action = request.pop("action", None)
        if action == "auth":
            return Outcome([self._log_in(request)])
        if not self.is_in:
            raise RequestError(401)
        if action not in ("subscribe", "unsubscribe"):
            raise RequestError(400)
        return self._change(request, joins=action == "subscribe")

    def _log_in(self, request: Mapping[str, Any]) -> bytes:
        if self.is_in:
            raise RequestError(403)
        if code := self._door.refused():
            raise RequestError(code)
        if not self._door.knows(request.get("key"), request.get("secret")):
            raise RequestError(402)
        if not self._door.has_feed:
            raise RequestError(409)
        if not self._door.enter(self, self._now_s):
            raise RequestError(406)
        self.is_in = True
        return AUTHENTICATED

    def _change(self, request: Mapping[str, Any], *, joins: bool) -> Outcome:
        listed = {channel: list(symbols) for channel, symbols in self._listed.items()}
        fresh: list[str] = []
        for channel, symbols in request.items():
            if channel not in self._channels:
                raise RequestError(410)
            if not isinstance(symbols, list) or not all(isinstance(symbol, str) and symbol for symbol in symbols):
                raise RequestError(400)
            before = listed[channel]
            others = [symbol for symbol in dict.fromkeys(symbols) if symbol not in before]
            listed[channel] = before + others if joins else [symbol for symbol in before if symbol not in symbols]
            fresh += [self._stream(channel, symbol) for symbol in others if joins and self._has(symbol)]
        limit = self._door.max_symbols
        if limit is not None and any(len(symbols) > limit for symbols in listed.values()):
            raise RequestError(405)
        self._listed = listed
        frames = [Frame(stream, data) for stream in fresh if (data := self._first(stream)) is not None]
        return Outcome([_encode([{"T": "subscription", **listed, **self._added()}])], frames)

    def _added(self) -> dict[str, list[str]]:
        """What comes with the trades without being asked for."""
        return {} if self._channels is COINS else dict.fromkeys(ADDED, self._listed["trades"])


def _request(text: bytes) -> dict[str, Any]:
    try:
        request = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RequestError(400) from None
    if not isinstance(request, dict):
        raise RequestError(400)
    return request
