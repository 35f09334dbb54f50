"""Two hundred reconnects at random instants in a busy market: every trade is accounted for.

The truth is what the invented market traded, noted before the exchange has made a frame or an answer of it.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.feed import Clock, Feed, Patience
from app.providers.binance import Binance
from app.providers.provider import Limits
from exchange_sim import ExchangeSim, MarketModel
from exchange_sim.binance import rest
from exchange_sim.fixed import format_fixed
from exchange_sim.market import Execution
from md_contract.events import Event, Quote, Status, Trade

SYMBOLS = ("BTCUSDT", "ETHUSDT")
RATE = 5_000.0  # trades and changes of the best quote a second
NO_DELAY = Clock(uniform=lambda: 0.0)  # full jitter at its luckiest: every attempt is made at once
PATIENCE = Patience(overlap_s=0.02, ready_within_s=2.0)
NO_LIMITS = Limits(connects_per_5_min=1_000_000, rest_weight_per_min=10_000_000)

Blow = Callable[[ExchangeSim], object]
BLOWS: list[tuple[Blow, float]] = [  # what happens, and how long at most until the next thing does
    (lambda sim: sim.drop(), 0.08),  # TCP reset
    (lambda sim: sim.drop(1001, "going away"), 0.08),
    (lambda sim: sim.drop(1012, "service restart"), 0.08),
    (lambda sim: sim.server_shutdown(then_close=True), 0.08),
    (lambda sim: sim.server_shutdown(), 0.25),  # about as long as a replacement takes
]


class WatchedMarket(MarketModel):
    """A market whose every trade is noted: symbol and id -> price, size, side, time."""

    def __init__(self) -> None:
        super().__init__(seed=11, symbols=SYMBOLS, rate=RATE)
        self.trades: dict[tuple[str, int], tuple[str, str, str, int]] = {}

    def until(self, now_ns: int) -> Iterator[Any]:
        for event in super().until(now_ns):
            if isinstance(event, Execution):
                side = "sell" if event.buyer_is_maker else "buy"
                for fill in event.fills:
                    what = (format_fixed(fill.price), format_fixed(fill.size), side, event.ts_ns // 1_000_000)
                    self.trades[event.symbol, fill.trade_id] = what
            yield event


class Scene:
    """A busy market, and a feed on it."""

    def __init__(self, market: WatchedMarket, sim: ExchangeSim, feed: Feed, events: list[Event]) -> None:
        self.market = market
        self.sim = sim
        self.feed = feed
        self.events = events

    @property
    def connections_made(self) -> int:
        return self.feed.reconnects + self.feed.rotations

    async def suffer(self, count: int, seed: int) -> None:
        """Go through so many changes of connection, each at a random instant."""
        rng = random.Random(seed)
        while self.connections_made < count:
            blow, most_s = rng.choice(BLOWS)
            blow(self.sim)
            await asyncio.sleep(rng.uniform(0.0, most_s))

    def of(self, symbol: str, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind) and event.symbol == symbol]

    def gaps(self, symbol: str) -> list[tuple[int, int]]:
        return [(s.detail["from"], s.detail["to"]) for s in self.of(symbol, Status) if s.kind == "gap"]

    def check(self, symbol: str) -> int:
        """Compare what was published with what was traded; return how many trades are missing."""
        published = self.of(symbol, Trade)
        ids = [int(trade.trade_id) for trade in published]
        assert len(ids) == len(set(ids)), "no trade twice"
        lost = [number for first, last in self.gaps(symbol) for number in range(first, last + 1)]
        assert len(lost) == len(set(lost)), "no trade reported as lost twice"
        assert set(range(min(ids), max(ids) + 1)) - set(ids) == set(lost)
        for trade in published:
            what = (trade.price, trade.size, trade.side, trade.ts_event // 1_000_000)
            assert what == self.market.trades[symbol, int(trade.trade_id)]
        numbers = [int(trade.trade_id) for trade in published if not trade.backfill]
        assert numbers == sorted(numbers), "what the stream brings goes out in its order"
        return len(lost)


@pytest.fixture
def busy_market(monkeypatch: pytest.MonkeyPatch, until: Any) -> Any:
    monkeypatch.setattr(rest, "WEIGHT_LIMIT", 10**9)  # a day's reconnects in seconds need a day's budget

    @asynccontextmanager
    async def open_market() -> AsyncIterator[Scene]:
        market = WatchedMarket()
        events: list[Event] = []
        provider = Binance()
        provider.limits = NO_LIMITS
        async with ExchangeSim(market) as sim:
            feed = Feed(
                provider,
                SYMBOLS,
                publish=events.append,
                ws_url=sim.ws_url,
                rest_url=sim.rest_url,
                book_depth=2,
                clock=NO_DELAY,
                patience=PATIENCE,
            )
            running = asyncio.create_task(feed.run())
            await until(lambda: feed.connected)
            yield Scene(market, sim, feed, events)
            await feed.stop()
            await running

    return open_market


async def test_with_a_history_to_ask_not_one_trade_is_lost_or_doubled(busy_market: Any, until: Any) -> None:
    async with busy_market() as scene:
        await scene.suffer(200, seed=1)
        backfill = scene.feed.provider.errands
        await until(lambda: scene.feed.connected and not backfill.pending)
    for symbol in SYMBOLS:
        assert scene.check(symbol) == 0
        quotes = scene.of(symbol, Quote)
        assert len(quotes) > 100
    assert scene.feed.rotations > 10
    assert scene.feed.reconnects > 100
    assert scene.feed.counters.backfilled_trades > 0
    assert scene.feed.connections[0].failures == 0


async def test_without_one_the_missing_ranges_are_exactly_those_that_are_told(busy_market: Any, until: Any) -> None:
    async with busy_market() as scene:
        scene.sim.fail_rest(500, count=100_000)
        await scene.suffer(40, seed=2)
        await until(lambda: scene.feed.connected)
    assert sum(scene.check(symbol) for symbol in SYMBOLS) == scene.feed.counters.missing_trades > 0
    assert scene.feed.counters.backfilled_trades == 0
