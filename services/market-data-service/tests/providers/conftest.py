"""Frames as Binance sends them, and a conversation that has been opened."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from app.providers.binance import Binance
from app.providers.binance.conversation import BinanceConversation
from app.providers.provider import BookOptions, Fetch, Send, Want
from md_contract.events import Event

NOW = 1_795_350_001_000_000_000  # a second after the times in the frames

TRADE: dict[str, Any] = {
    "e": "trade",
    "E": 1795350000123,
    "s": "BTCUSDT",
    "t": 5123456789,
    "p": "98765.43000000",
    "q": "0.01250000",
    "T": 1795350000121,
    "m": False,
    "M": True,
}
QUOTE: dict[str, Any] = {
    "u": 71234567890,
    "s": "BTCUSDT",
    "b": "98765.42000000",
    "B": "3.10000000",
    "a": "98765.43000000",
    "A": "0.52000000",
}
DEPTH: dict[str, Any] = {
    "e": "depthUpdate",
    "E": 1795350000200,
    "s": "BTCUSDT",
    "U": 71234567902,
    "u": 71234567930,
    "b": [["98765.42000000", "0.00000000"]],
    "a": [["98766.00000000", "1.25000000"]],
}
SNAPSHOT: dict[str, Any] = {
    "lastUpdateId": 71234567910,
    "bids": [["98765.42000000", "3.10000000"], ["98765.00000000", "1.00000000"]],
    "asks": [["98765.43000000", "0.52000000"]],
}


class Talk:
    """One Binance provider and one conversation, driven by hand."""

    def __init__(self, *symbols: str, provider: Binance | None = None, **books: Any) -> None:
        self.provider = provider or Binance()
        self.conversation: BinanceConversation = self.provider.converse(symbols or ("BTCUSDT",), BookOptions(**books))
        self.now = 0  # monotonic ns, for the tests' own use
        self.ts_recv = NOW

    def read(self, frame: Any) -> Sequence[Event]:
        payload = frame if isinstance(frame, bytes) else json.dumps(frame).encode()
        return self.conversation.decode(payload, self.ts_recv)

    def trade(self, **fields: Any) -> Sequence[Event]:
        return self.read({"stream": "btcusdt@trade", "data": TRADE | fields})

    def quote(self, **fields: Any) -> Sequence[Event]:
        return self.read({"stream": "btcusdt@bookTicker", "data": QUOTE | fields})

    def depth(self, **fields: Any) -> Sequence[Event]:
        return self.read({"stream": "btcusdt@depth@100ms", "data": DEPTH | fields})

    def snapshot(self, fetch: Fetch, **fields: Any) -> Sequence[Event]:
        return self.conversation.fetched(fetch, json.dumps(SNAPSHOT | fields).encode(), NOW)

    def turn(self, now: int) -> tuple[Sequence[Event], list[Want]]:
        """Do what is due at `now` (ns); return the events and the wants."""
        events = self.conversation.on_time(now)
        wants = list(self.conversation.wants)
        self.conversation.wants.clear()
        return events, wants

    def fetches(self, now: int = 0) -> list[Fetch]:
        return [want for want in self.turn(now)[1] if isinstance(want, Fetch)]

    def sent(self, now: int) -> list[Any]:
        return [json.loads(want.frame) for want in self.turn(now)[1] if isinstance(want, Send)]

    @property
    def aside(self) -> dict[str, int]:
        """What was set aside, by reason."""
        return {reason: count for reason, count in self.provider.quarantine.counts.items() if count}


@pytest.fixture
def talk() -> Talk:
    return Talk()


@pytest.fixture(scope="session")
def make_talk() -> Callable[..., Talk]:
    return Talk
