"""What the tests of Alpaca share: a conversation on a clock driven by hand, and a venue that answers as Alpaca does."""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from app.providers.alpaca import Alpaca, Credentials
from app.providers.alpaca.feeds import FeedName
from app.providers.provider import BookOptions, HangUp, Notice, Send
from md_contract.events import Event
from md_contract.units import NS_PER_S

KEY, SECRET = "PKTESTKEY0123456789", "s3cr3t/TestSecret0123456789abcdefghijkl"
T0 = datetime(2026, 11, 20, 15, 51, 44, tzinfo=UTC)
T0_NS = int(T0.timestamp()) * NS_PER_S
MONO_NS = 77 * NS_PER_S  # our monotonic time then
T0_TEXT = "2026-11-20T15:51:44Z"

CONNECTED = [{"T": "success", "msg": "connected"}]
AUTHENTICATED = [{"T": "success", "msg": "authenticated"}]


class Line:
    """One connection without a socket: does what the shell does, and keeps what the conversation wanted."""

    def __init__(self, provider: Alpaca, symbols: Sequence[str], *, depth: int = 20, rate_hz: float = 10.0) -> None:
        self.provider = provider
        self.conversation = provider.converse(symbols, BookOptions(depth, rate_hz))
        self.now = MONO_NS
        self.events: list[Event] = []
        self.frames: list[bytes] = []
        self.hang_ups: list[HangUp] = []
        self.notices: list[Notice] = []
        self._served = 0

    @property
    def wall(self) -> int:
        return T0_NS + self.now - MONO_NS

    @property
    def sent(self) -> list[dict[str, Any]]:
        return [json.loads(frame) for frame in self.frames]

    @property
    def quarantined(self) -> dict[str, int]:
        return {reason: count for reason, count in self.provider.quarantine.counts.items() if count}

    def open(self, reason: str | None = None) -> list[Event]:
        return self._take(self.conversation.opened(self.wall, reason))

    def log_in(self, reason: str | None = None) -> list[Event]:
        """Open, log in, and have everything subscribed."""
        events = self.open(reason)
        self.hear(CONNECTED)
        assert [message["action"] for message in self.asked()] == ["auth"]
        self.hear(AUTHENTICATED)
        self.serve()
        assert self.conversation.subscribed()
        return events

    def hear(self, *frames: Any) -> list[Event]:
        """Read frames, given as bytes, text, or what is to be written as JSON; return the events that came of them."""
        events: list[Event] = []
        for frame in frames:
            raw = frame if isinstance(frame, bytes | str) else json.dumps(frame)
            events += self._take(self.conversation.decode(raw if isinstance(raw, bytes) else raw.encode(), self.wall))
        return events

    def fail(self, code: int, words: str = "no") -> list[Event]:
        return self.hear([{"T": "error", "code": code, "msg": words}])

    def pass_time(self, seconds: float) -> list[Event]:
        """Let time pass from one due moment to the next."""
        end = self.now + int(seconds * NS_PER_S)
        events: list[Event] = []
        while self.conversation.due <= end:
            self.now = max(self.now, self.conversation.due)
            events += self._take(())
        self.now = end
        return events

    def asked(self) -> list[dict[str, Any]]:
        """Messages sent since the last call."""
        fresh = self.sent[self._served :]
        self._served = len(self.frames)
        return fresh

    def serve(self, venue: "Venue | None" = None) -> list[dict[str, Any]]:
        """Have every request answered until there are none; return them."""
        venue = venue or Venue()
        requests: list[dict[str, Any]] = []
        while fresh := self.asked():
            assert len(fresh) == 1, "one request at a time: the venue numbers neither requests nor answers"
            requests += fresh
            self.hear(venue.answer(fresh[0]))
        return requests

    def _take(self, events: Iterable[Event]) -> list[Event]:
        taken = list(events)
        while self.conversation.due <= self.now:
            taken += self.conversation.on_time(self.now)
            for want in self.conversation.wants:
                match want:
                    case Send(frame):
                        self.frames.append(frame)
                    case HangUp():
                        self.hang_ups.append(want)
                    case Notice():
                        self.notices.append(want)
                    case _:
                        raise AssertionError(f"Alpaca needs no {want}")
            self.conversation.wants.clear()
        self.events += taken
        return taken


class Venue:
    """Answers subscription requests with the complete list, as Alpaca does."""

    def __init__(
        self,
        *,
        limit: int | None = None,
        malformed: Iterable[str] = (),
        forgets: Callable[[str, str, int], bool] = lambda channel, symbol, times: False,
    ) -> None:
        self.listed: dict[str, list[str]] = {}
        self._limit = limit  # symbols per channel
        self._malformed = set(malformed)
        self._forgets = forgets  # leaves a symbol out of a channel although it was asked for, so many times
        self._times: dict[tuple[str, str], int] = {}

    def answer(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        action = request["action"]
        wanted = {channel: symbols for channel, symbols in request.items() if channel != "action"}
        if any(symbol in self._malformed for symbols in wanted.values() for symbol in symbols):
            return [{"T": "error", "code": 400, "msg": "invalid syntax"}]
        after = {channel: list(symbols) for channel, symbols in self.listed.items()}
        for channel, symbols in wanted.items():
            listed = after.setdefault(channel, [])
            for symbol in symbols:
                self._times[channel, symbol] = times = self._times.get((channel, symbol), 0) + 1
                if action == "unsubscribe":
                    listed.remove(symbol)
                elif symbol not in listed and not self._forgets(channel, symbol, times):
                    listed.append(symbol)
        if self._limit is not None and any(len(symbols) > self._limit for symbols in after.values()):
            return [{"T": "error", "code": 405, "msg": "symbol limit exceeded"}]
        self.listed = after
        return [{"T": "subscription", **self.listed, "bars": [], "corrections": self.listed.get("trades", [])}]


def share_trade(number: int = 71234, **fields: Any) -> dict[str, Any]:
    trade = {"T": "t", "S": "AAPL", "i": number, "x": "K", "p": 241.37, "s": 25, "c": ["@", "I"], "z": "C"}
    return trade | {"t": T0_TEXT} | fields


def share_quote(**fields: Any) -> dict[str, Any]:
    quote = {"T": "q", "S": "AAPL", "bx": "Q", "bp": 241.36, "bs": 300, "ax": "P", "ap": 241.38, "as": 200}
    return quote | {"c": ["R"], "z": "C", "t": T0_TEXT} | fields


def coin_trade(number: int = 7310045520088123457, **fields: Any) -> dict[str, Any]:
    return {"T": "t", "S": "BTC/USD", "p": 98765.4, "s": 0.0125, "t": T0_TEXT, "i": number, "tks": "B"} | fields


def levels(*pairs: tuple[float, float]) -> list[dict[str, float]]:
    return [{"p": price, "s": size} for price, size in pairs]


def book(
    bids: Sequence[tuple[float, float]] = (), asks: Sequence[tuple[float, float]] = (), **fields: Any
) -> dict[str, Any]:
    return {"T": "o", "S": "BTC/USD", "t": T0_TEXT, "b": levels(*bids), "a": levels(*asks)} | fields


@pytest.fixture(scope="session")
def dial() -> Callable[..., Line]:
    """`dial("crypto", ["BTC/USD"])` is a new connection; give `provider=` for one more of the same."""

    def make(
        feed: FeedName = "iex", symbols: Sequence[str] = ("AAPL",), *, provider: Alpaca | None = None, **options: Any
    ) -> Line:
        return Line(provider or Alpaca(Credentials(KEY, SECRET), feed), symbols, **options)

    return make


@pytest.fixture(scope="session")
def alpaca() -> SimpleNamespace:
    """Frames and answers as Alpaca writes them."""
    return SimpleNamespace(
        key=KEY,
        secret=SECRET,
        t0_ns=T0_NS,
        connected=CONNECTED,
        authenticated=AUTHENTICATED,
        Venue=Venue,
        share_trade=share_trade,
        share_quote=share_quote,
        coin_trade=coin_trade,
        book=book,
    )
