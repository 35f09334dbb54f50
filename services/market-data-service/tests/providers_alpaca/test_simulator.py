"""The provider against the simulator's Alpaca, without a socket between them."""

from typing import Any

import pytest

from exchange_sim.alpaca import Alpaca as Venue
from exchange_sim.alpaca import AlpacaSession, Door
from exchange_sim.frame import Frame
from exchange_sim.market import Execution, MarketModel
from md_contract.events import BookL2, Quote, Status, Trade
from md_contract.units import NS_PER_S


class Wire:
    """Carries texts both ways, and the market's messages to a client that has subscribed."""

    def __init__(self, line: Any, venue: Venue, path: str) -> None:
        session = venue.open(path)
        assert session is not None
        self.line = line
        self.venue = venue
        self.session: AlpacaSession = session
        self._carried = 0

    def open(self, reason: str | None = None) -> None:
        self.line.open(reason)
        self.line.hear(self.session.greeting)
        self.carry()

    def carry(self) -> None:
        """Deliver what the client has sent, and the answers."""
        while self._carried < len(self.line.frames):
            frame = bytes(self.line.frames[self._carried])
            self._carried += 1
            self.session.admit(self.line.now / NS_PER_S)
            outcome = self.session.receive(frame)
            for reply in outcome.replies:
                self.line.hear(reply)
            self.push(outcome.frames)

    def push(self, frames: list[Frame]) -> None:
        for frame in frames:
            if frame.stream in self.session.streams:
                self.line.hear(self.venue.encode(frame, 0))

    def pass_time(self, seconds: float) -> None:
        """Let the client's time pass, carrying what it says."""
        for _ in range(round(seconds * 10)):
            self.line.pass_time(0.1)
            self.carry()


def live(alpaca: Any, symbols: list[str], **door: Any) -> tuple[Venue, MarketModel, Any]:
    model = MarketModel(7, symbols, rate=400)
    venue = Venue(symbols, lambda: Door(key=alpaca.key, secret=alpaca.secret, **door))
    teller = venue.teller(model, lambda _stream: True)
    model.open(alpaca.t0_ns)
    teller.open(alpaca.t0_ns)
    return venue, model, teller


@pytest.mark.parametrize(
    ("feed", "path", "symbol"), [("iex", "/v2/iex", "AAPL"), ("crypto", "/v1beta3/crypto/us", "BTC/USD")]
)
def test_every_trade_arrives_once_and_the_book_is_the_markets(
    dial: Any, alpaca: Any, feed: Any, path: str, symbol: str
) -> None:
    venue, model, teller = live(alpaca, [symbol])
    wire = Wire(dial(feed, [symbol]), venue, path)
    wire.open()
    assert wire.line.conversation.subscribed()
    fills = []
    for event in model.until(alpaca.t0_ns + 10 * NS_PER_S):
        wire.pass_time(max(0.0, (event.ts_ns - wire.line.wall) / NS_PER_S))
        frames: list[Frame] = []
        teller.tell(event, frames)
        wire.push(frames)
        fills += event.fills if isinstance(event, Execution) else []
    wire.pass_time(1)
    trades = [event for event in wire.line.events if isinstance(event, Trade)]
    assert [round(float(trade.price) * 10**8) for trade in trades] == [fill.price for fill in fills]
    assert len({trade.trade_id for trade in trades}) == len(fills) > 100
    assert wire.line.quarantined == {}
    assert any(isinstance(event, Quote) for event in wire.line.events)
    if feed == "crypto":
        (last,) = [event for event in wire.line.events if isinstance(event, BookL2)][-1:]
        for levels, side in ((last.bids, model.book(symbol).bids), (last.asks, model.book(symbol).asks)):
            assert [(round(float(p) * 10**8), round(float(s) * 10**8)) for p, s in levels] == side.top(20)


def test_after_an_abrupt_drop_it_gets_in_again_when_the_venue_has_noticed(dial: Any, alpaca: Any) -> None:
    venue, _, _ = live(alpaca, ["AAPL"])
    first = Wire(dial("iex", ["AAPL"]), venue, "/v2/iex")
    first.open()
    first.session.left(first.line.now / NS_PER_S, abruptly=True)
    second = Wire(dial(provider=first.line.provider), venue, "/v2/iex")
    second.open("connection lost")
    second.pass_time(29)
    assert not second.line.conversation.subscribed()
    second.pass_time(8)
    assert second.line.conversation.subscribed()
    assert second.line.hang_ups == []


def test_a_symbol_limit_is_filled(dial: Any, alpaca: Any) -> None:
    symbols = [f"A{number}" for number in range(40)]
    venue, _, _ = live(alpaca, symbols, max_symbols=30)
    wire = Wire(dial("iex", symbols), venue, "/v2/iex")
    wire.open()
    assert {stream for stream in wire.session.streams if "trades" in stream} == {
        f"alpaca:trades.{s}" for s in symbols[:30]
    }
    assert wire.line.provider.counters.subscriptions_refused == 20


def test_corrections_name_a_trade_that_was_published_and_a_book_begins_again(dial: Any, alpaca: Any) -> None:
    venue, model, teller = live(alpaca, ["AAPL", "BTC/USD"])
    shares = Wire(dial("iex", ["AAPL"]), venue, "/v2/iex")
    coins = Wire(dial("crypto", ["BTC/USD"]), venue, "/v1beta3/crypto/us")
    for wire in (shares, coins):
        wire.open()
    frames: list[Frame] = []
    for event in model.until(alpaca.t0_ns + 2 * NS_PER_S):
        teller.tell(event, frames)
    frames += [teller.cancel_last("AAPL"), teller.correct_last("AAPL"), teller.begin_again("BTC/USD")]
    for wire in (shares, coins):
        wire.push(frames)
        wire.pass_time(1)
    last = [event for event in shares.line.events if isinstance(event, Trade)][-1]
    corrections = [event for event in shares.line.events if isinstance(event, Status)]
    assert [status.detail["trade_id"] for status in corrections] == [last.trade_id] * 2
    assert [status.detail["action"] for status in corrections] == ["cancel", "correct"]
    book = [event for event in coins.line.events if isinstance(event, BookL2)][-1]
    assert round(float(book.bids[0][0]) * 10**8) == model.book("BTC/USD").bids.best()


def test_books_that_are_taken_anew_begin_again(dial: Any, alpaca: Any) -> None:
    venue, _, _ = live(alpaca, ["BTC/USD"])
    wire = Wire(dial("crypto", ["BTC/USD"]), venue, "/v1beta3/crypto/us")
    wire.open()
    wire.pass_time(1)
    wire.line.hear('[{"T":"o","S":"BTC/USD","b":"?"}]')
    wire.pass_time(20)
    before = len(wire.line.events)
    wire.line.hear([alpaca.book([(1, 1)])])
    wire.pass_time(1)
    assert len(wire.line.events) == before + 1
    assert wire.line.provider.counters.books.resyncs == 1
