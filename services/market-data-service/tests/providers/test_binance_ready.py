"""When a successor is ready: the books its predecessor has, except those that are quiet."""

from collections.abc import Callable
from typing import Any

import pytest

from app.providers.binance.conversation import QUIET_NS
from app.providers.provider import Fetch, Ready


def update(talk: Any, symbol: str) -> None:
    data = {"e": "depthUpdate", "E": 1795350000200, "s": symbol, "U": 71234567902, "u": 71234567930, "b": [], "a": []}
    talk.read({"stream": f"{symbol.lower()}@depth@100ms", "data": data})


def take(talk: Any, symbol: str) -> None:
    talk.snapshot(Fetch("", symbol, 0))


class Readiness:
    """A successor beside a connection that has the books of BTCUSDT and ETHUSDT, both subscribed at 0."""

    def __init__(self, make_talk: Callable[..., Any]) -> None:
        self.old = make_talk("BTCUSDT", "ETHUSDT", "NOSUCHUSDT")
        self.new = make_talk("BTCUSDT", "ETHUSDT", "NOSUCHUSDT", provider=self.old.provider)
        self.wants: list[Any] = []
        for symbol in ("BTCUSDT", "ETHUSDT"):
            update(self.old, symbol)
            take(self.old, symbol)
        self.new.conversation.opened(0, None)
        for request in self.new.sent(0):
            self.new.read({"result": None, "id": request["id"]})

    def at(self, now: int) -> bool:
        self.wants += self.new.turn(now)[1]
        return Ready() in self.wants


@pytest.fixture
def readiness(make_talk: Callable[..., Any]) -> Readiness:
    return Readiness(make_talk)


def test_it_waits_for_a_book_with_updates_until_it_has_it(readiness: Readiness) -> None:
    update(readiness.new, "BTCUSDT")
    assert not readiness.at(0)
    assert not readiness.at(100 * QUIET_NS), "ETHUSDT is quiet; BTCUSDT still wants its snapshot"
    take(readiness.new, "BTCUSDT")
    assert readiness.at(100 * QUIET_NS)


def test_quiet_books_are_given_their_time_and_no_more(readiness: Readiness) -> None:
    assert not readiness.at(0)
    assert not readiness.at(QUIET_NS - 1)
    assert readiness.new.conversation.due <= QUIET_NS
    assert readiness.at(QUIET_NS)


def test_a_book_that_no_connection_has_is_not_waited_for(readiness: Readiness) -> None:
    for symbol in ("BTCUSDT", "ETHUSDT"):
        update(readiness.new, symbol)
        take(readiness.new, symbol)
    assert readiness.at(0)
