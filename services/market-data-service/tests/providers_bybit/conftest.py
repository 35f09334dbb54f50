"""What the tests of Bybit share: a conversation on a clock driven by hand, and frames as Bybit writes them."""

import json
from collections.abc import Callable, Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from app.providers.bybit import Bybit
from app.providers.provider import BookOptions, Fetch, HangUp, Notice, Send
from md_contract.events import Event
from md_contract.units import NS_PER_MS, NS_PER_S

T0_MS = 1_795_350_000_000  # the venue's time at the beginning
T0_NS = T0_MS * NS_PER_MS
MONO_NS = 77 * NS_PER_S  # our monotonic time then


class Line:
    """One connection without a socket: does what the shell does, and keeps what the conversation wanted."""

    def __init__(
        self, provider: Bybit, symbols: Sequence[str] = ("BTCUSDT",), *, depth: int = 20, rate_hz: float = 10.0
    ) -> None:
        self.provider = provider
        self.conversation = provider.converse(symbols, BookOptions(depth, rate_hz))
        self.now = MONO_NS
        self.events: list[Event] = []
        self.sent: list[dict[str, Any]] = []
        self.fetches: list[Fetch] = []
        self.hang_ups: list[str] = []
        self.notices: list[Notice] = []
        self._served = 0

    @property
    def wall(self) -> int:
        return T0_NS + self.now - MONO_NS

    def open(self, reason: str | None = None) -> list[Event]:
        return self._take(self.conversation.opened(self.wall, reason))

    def hear(self, *frames: dict[str, Any] | bytes | str) -> list[Event]:
        """Read frames; return the events that came of them."""
        events: list[Event] = []
        for frame in frames:
            raw = (
                frame if isinstance(frame, bytes) else (frame if isinstance(frame, str) else json.dumps(frame)).encode()
            )
            events += self._take(self.conversation.decode(raw, self.wall))
        return events

    def answer(self, body: dict[str, Any] | bytes, fetch: Fetch | None = None) -> list[Event]:
        """Answer the oldest open fetch, or the one given."""
        fetch = fetch or self.fetches.pop(0)
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._take(self.conversation.fetched(fetch, raw, self.wall))

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
        """Subscription requests sent since the last call, without pings."""
        requests = [message for message in self.sent[self._served :] if message["op"] != "ping"]
        self._served = len(self.sent)
        return requests

    def serve(
        self, reply: Callable[[dict[str, Any]], dict[str, Any]] | None = None, *, seconds: float = 0.1
    ) -> list[dict[str, Any]]:
        """Answer every request until there are none; return them."""
        requests: list[dict[str, Any]] = []
        while True:
            self.pass_time(seconds)
            fresh = self.asked()
            if not fresh:
                return requests
            requests += fresh
            for request in fresh:
                self.hear((reply or spot_ack)(request))

    def _take(self, events: Iterable[Event]) -> list[Event]:
        taken = list(events)
        while self.conversation.due <= self.now:
            taken += self.conversation.on_time(self.now)
            self._do_wanted()
        self.events += taken
        return taken

    def _do_wanted(self) -> None:
        for want in self.conversation.wants:
            match want:
                case Send(frame):
                    self.sent.append(json.loads(frame))
                case Fetch():
                    self.fetches.append(want)
                case HangUp(reason, _):
                    self.hang_ups.append(reason)
                case Notice():
                    self.notices.append(want)
        self.conversation.wants.clear()


def spot_ack(request: dict[str, Any]) -> dict[str, Any]:
    return {
        "success": True,
        "ret_msg": request["op"],
        "conn_id": "d9avt8shteepr00gfc1g-4zd1x",
        "req_id": request["req_id"],
        "op": request["op"],
    }


def linear_ack(request: dict[str, Any]) -> dict[str, Any]:
    return spot_ack(request) | {"ret_msg": ""}


def anonymous_ack(request: dict[str, Any]) -> dict[str, Any]:
    ack = spot_ack(request)
    del ack["req_id"]
    return ack


def refusal(request: dict[str, Any], why: str) -> dict[str, Any]:
    return spot_ack(request) | {"success": False, "ret_msg": why}


def trade(
    trade_id: str,
    *,
    ms: int = 0,
    price: str = "98765.40",
    size: str = "0.004",
    side: str = "Buy",
    seq: int = 98127733012,
) -> dict[str, Any]:
    """One trade of a `publicTrade` frame, `ms` after the beginning."""
    return {"T": T0_MS + ms, "s": "BTCUSDT", "S": side, "v": size, "p": price, "i": trade_id, "BT": False, "seq": seq}


def trades(*rows: Any, symbol: str = "BTCUSDT") -> dict[str, Any]:
    return {"topic": f"publicTrade.{symbol}", "type": "snapshot", "ts": T0_MS + 5, "data": list(rows)}


def book(
    number: int,
    bids: Sequence[tuple[str, str]] = (("100", "1"),),
    asks: Sequence[tuple[str, str]] = (("101", "2"),),
    *,
    depth: int = 50,
    kind: str = "snapshot",
    ms: int = 3,
    symbol: str = "BTCUSDT",
) -> dict[str, Any]:
    return {
        "topic": f"orderbook.{depth}.{symbol}",
        "ts": T0_MS + ms + 2,
        "type": kind,
        "data": {"s": symbol, "b": list(bids), "a": list(asks), "u": number, "seq": 98127733013},
        "cts": T0_MS + ms,
    }


def recent(*rows: Any) -> dict[str, Any]:
    """The answer of `recent-trade` that holds these trades, given oldest first."""
    listed = [
        {
            "execId": row["i"],
            "symbol": row["s"],
            "price": row["p"],
            "size": row["v"],
            "side": row["S"],
            "time": str(row["T"]),
            "isBlockTrade": False,
            "seq": str(row["seq"]),
        }
        for row in rows
    ]
    return {"retCode": 0, "retMsg": "OK", "result": {"category": "spot", "list": listed[::-1]}, "time": T0_MS}


@pytest.fixture(scope="session")
def dial() -> type[Line]:
    return Line


@pytest.fixture(scope="session")
def bybit() -> SimpleNamespace:
    """Frames and answers as Bybit writes them."""
    return SimpleNamespace(
        t0_ns=T0_NS,
        t0_ms=T0_MS,
        spot_ack=spot_ack,
        linear_ack=linear_ack,
        anonymous_ack=anonymous_ack,
        refusal=refusal,
        trade=trade,
        trades=trades,
        book=book,
        recent=recent,
    )
