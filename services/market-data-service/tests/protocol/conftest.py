"""The simulator on a real socket, the feed of a venue on it, and the truth: what the invented market did."""

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.feed import Clock, Feed, Patience
from app.providers import ProviderOptions, make_provider
from app.providers.alpaca import Credentials
from exchange_sim import ExchangeSim, MarketModel
from exchange_sim.market import Execution
from exchange_sim.script import Script
from md_contract.events import BookL2, Event, Status, Trade

DEPTH = 5
QUICK = Patience(base_s=0.02, cap_s=0.05, overlap_s=0.1, ready_within_s=5.0)


class WatchedMarket(MarketModel):
    """Notes every trade, and the best levels after every change of a book, before the exchange tells of them."""

    def __init__(self, symbols: list[str], rate: float) -> None:
        super().__init__(seed=3, symbols=symbols, rate=rate)
        self.fills: dict[str, list[tuple[int, int]]] = {symbol: [] for symbol in symbols}  # id, price
        self.tops: dict[str, set[Any]] = {symbol: set() for symbol in symbols}
        self._levels: dict[str, tuple[dict[int, int], dict[int, int]]] = {}

    def open(self, now_ns: int) -> None:
        super().open(now_ns)
        for symbol in self.symbols:
            book = self.book(symbol)
            self._levels[symbol] = dict(book.bids.top(len(book.bids))), dict(book.asks.top(len(book.asks)))
            self._note_top(symbol)

    def until(self, now_ns: int) -> Iterator[Any]:
        for event in super().until(now_ns):
            if isinstance(event, Execution):
                self.fills[event.symbol] += [(fill.trade_id, fill.price) for fill in event.fills]
            else:
                bids, asks = self._levels[event.symbol]
                for change in event.changes:
                    side = bids if change.is_bid else asks
                    if change.size:
                        side[change.price] = change.size
                    else:
                        side.pop(change.price, None)
                self._note_top(event.symbol)
            yield event

    def _note_top(self, symbol: str) -> None:
        bids, asks = self._levels[symbol]
        best_bids = tuple(heapq.nlargest(DEPTH, bids.items()))
        best_asks = tuple(heapq.nsmallest(DEPTH, asks.items()))
        self.tops[symbol].add((best_bids, best_asks))


def fixed(text: str) -> int:
    """A decimal as the market counts it: in units of 1e-8."""
    return round(float(text) * 10**8)


class Scene:
    """A market, the exchange, and a feed at work on it."""

    def __init__(self, market: Any, sim: ExchangeSim, feed: Feed, events: list[Event]) -> None:
        self.market = market
        self.sim = sim
        self.feed = feed
        self.events = events

    def of(self, kind: type, symbol: str | None = None) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind) and symbol in (None, event.symbol)]

    def statuses(self, kind: str) -> list[Any]:
        return [status for status in self.of(Status) if status.kind == kind]

    def trade_ids(self, symbol: str) -> list[int]:
        return [int(trade.trade_id) for trade in self.of(Trade, symbol)]

    def check_trades_by_id(self, symbol: str) -> None:
        """Every trade from the first to the last, once, at its price."""
        ids = self.trade_ids(symbol)
        assert sorted(ids) == list(range(min(ids), max(ids) + 1))
        prices = dict(self.market.fills[symbol])
        assert all(fixed(trade.price) == prices[int(trade.trade_id)] for trade in self.of(Trade, symbol))

    def check_trades_in_order(self, symbol: str) -> None:
        """Opaque ids: the prices are an unbroken stretch of those that were traded, and no id comes twice."""
        trades = self.of(Trade, symbol)
        assert len({trade.trade_id for trade in trades}) == len(trades) > 0
        found = [fixed(trade.price) for trade in trades]
        truth = [price for _, price in self.market.fills[symbol]]
        assert any(truth[start : start + len(found)] == found for start in range(len(truth) - len(found) + 1))

    def check_books(self, symbol: str) -> None:
        """Every book that was published is one that the market once had."""
        books = self.of(BookL2, symbol)
        assert books
        for book in books:
            sides = [tuple((fixed(price), fixed(size)) for price, size in side) for side in (book.bids, book.asks)]
            assert tuple(sides) in self.market.tops[symbol]

    @property
    def set_aside(self) -> dict[str, int]:
        return {reason: count for reason, count in self.feed.quarantined.items() if count}


@pytest.fixture
def until() -> Callable[..., Any]:
    """`await until(condition)`: wait for a condition, at most 10 s."""

    async def wait(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - conditions on the other side of a socket wake nobody
                await asyncio.sleep(0.002)

    return wait


@pytest.fixture
def play() -> Callable[..., Any]:
    """`async with play("binance", "BTCUSDT") as scene`: a market or a script, the exchange, and the feed on it.

    `sim` holds options of the exchange, `before` is called with it before the feed starts.
    """

    @asynccontextmanager
    async def run(
        provider: str,
        *symbols: str,
        market: list[str] | None = None,
        rate: float = 200.0,
        script: Script | None = None,
        sim: dict[str, Any] | None = None,
        before: Callable[[ExchangeSim], object] = lambda _: None,
        options: dict[str, Any] | None = None,
        patience: Patience = QUICK,
        clock: Clock | None = None,
    ) -> AsyncIterator[Scene]:
        source = script or WatchedMarket(market or list(symbols), rate)
        events: list[Event] = []
        chosen = ProviderOptions(alpaca_credentials=Credentials("key", "secret"), **(options or {}))
        async with ExchangeSim(source, **(sim or {})) as exchange:
            before(exchange)
            feed = Feed(
                make_provider(provider, chosen),
                symbols,
                publish=events.append,
                ws_url=exchange.ws_url,
                rest_url=exchange.rest_url,
                book_depth=DEPTH,
                book_rate_hz=50.0,
                clock=clock or Clock(uniform=lambda: 0.02),
                patience=patience,
            )
            task = asyncio.create_task(feed.run())
            try:
                yield Scene(source, exchange, feed, events)
            finally:
                async with asyncio.timeout(5):
                    await feed.stop()
                    await task

    return run
