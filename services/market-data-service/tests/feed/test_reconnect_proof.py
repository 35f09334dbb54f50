"""Two hundred reconnects at random instants in a busy market: every trade is accounted for.

The truth is what the invented market traded, noted before the exchange has made a frame or an answer of it.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import accumulate, pairwise
from typing import Any

import pytest

from app.feed import Clock, Feed, Patience
from app.providers.binance import Binance, backfill, holes
from app.providers.provider import Limits
from exchange_sim import ExchangeSim, MarketModel
from exchange_sim.binance import rest
from exchange_sim.fixed import format_fixed
from exchange_sim.market import Execution
from md_contract.events import Event, Quote, Status, Trade
from md_contract.units import NS_PER_S

SYMBOLS = ("BTCUSDT", "ETHUSDT")
ASKED_FOR = 10_000  # trades of one hole, the youngest; what is older is told as a gap at once
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
    """A busy market, and a feed on it. How long a hole is depends on the machine, what becomes of it does not."""

    def __init__(
        self, market: WatchedMarket, sim: ExchangeSim, feed: Feed, events: list[Event], until: Callable[..., Any]
    ) -> None:
        self.market = market
        self.sim = sim
        self.feed = feed
        self.events = events
        self._until = until

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

    async def replace(self) -> None:
        """Have the connection replaced, however long that takes."""
        made = self.connections_made
        self.sim.server_shutdown()
        await self._until(lambda: self.connections_made > made and self.feed.connected)

    def of(self, symbol: str, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind) and event.symbol == symbol]

    def gaps(self, symbol: str) -> list[tuple[int, int]]:
        return [(s.detail["from"], s.detail["to"]) for s in self.of(symbol, Status) if s.kind == "gap"]

    def streamed(self, symbol: str) -> list[int]:
        """The ids of the trades that the stream brought, in the order in which they went out."""
        return [int(trade.trade_id) for trade in self.of(symbol, Trade) if not trade.backfill]

    def late(self, symbol: str) -> set[int]:
        """Of those, the ones that came after younger ones: of two connections, the older one may lag behind."""
        ids = self.streamed(symbol)
        return {number for number, newest in zip(ids, accumulate(ids, max), strict=True) if number < newest}

    def beyond_asking(self, symbol: str) -> list[tuple[int, int]]:
        """The part of each jump of the stream that is too long to be asked for: empty where no hole was that long."""
        newest = list(accumulate(self.streamed(symbol), max))
        return [(a + 1, b - 1 - ASKED_FOR) for a, b in pairwise(newest) if b - a - 1 > ASKED_FOR]

    def check(self, symbol: str) -> int:
        """Compare what was published with what was traded; return how many trades were told as missing."""
        published = self.of(symbol, Trade)
        ids = [int(trade.trade_id) for trade in published]
        assert len(ids) == len(set(ids)), "no trade twice"
        lost = [number for first, last in self.gaps(symbol) for number in range(first, last + 1)]
        assert len(lost) == len(set(lost)), "no trade reported as lost twice"
        assert set(range(min(ids), max(ids) + 1)) - set(ids) == set(lost) - self.late(symbol)
        for trade in published:
            what = (trade.price, trade.size, trade.side, trade.ts_event // 1_000_000)
            assert what == self.market.trades[symbol, int(trade.trade_id)]
        return len(lost)

    def check_order(self) -> None:
        """What the stream brings goes out in its order, except what was counted as late."""
        assert sum(len(self.late(symbol)) for symbol in SYMBOLS) == self.feed.counters.late_trades


@pytest.fixture
def busy_market(monkeypatch: pytest.MonkeyPatch, until: Any) -> Any:
    monkeypatch.setattr(rest, "WEIGHT_LIMIT", 10**9)  # a day's reconnects in seconds need a day's budget
    monkeypatch.setattr(backfill, "MAX_HOLES", 10**6)  # and a starved machine a day's time to fill them
    for module in (backfill, holes):
        monkeypatch.setattr(module, "DEADLINE_NS", 86_400 * NS_PER_S)

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
            yield Scene(market, sim, feed, events, until)
            await feed.stop()
            await running

    return open_market


async def test_with_a_history_to_ask_not_one_trade_is_lost_or_doubled(busy_market: Any, until: Any) -> None:
    async with busy_market() as scene:
        await scene.suffer(200, seed=1)
        while scene.feed.rotations <= 10:
            await scene.replace()
        errands = scene.feed.provider.errands
        await until(lambda: scene.feed.connected and not errands.pending)
    scene.check_order()
    for symbol in SYMBOLS:
        scene.check(symbol)
        assert scene.gaps(symbol) == scene.beyond_asking(symbol)
        quotes = scene.of(symbol, Quote)
        assert len(quotes) > 100
    assert scene.feed.rotations > 10
    assert scene.feed.reconnects > 100
    assert scene.feed.counters.backfilled_trades > 0
    assert scene.feed.connections[0].failures == 0


async def test_of_a_hole_too_long_to_be_asked_for_the_older_part_alone_is_missing(busy_market: Any, until: Any) -> None:
    async with busy_market() as scene:
        busy = SYMBOLS[0]
        await until(lambda: all(scene.of(symbol, Trade) for symbol in SYMBOLS))
        scene.sim.refuse()
        scene.sim.drop()
        await until(lambda: not scene.feed.connected)
        last = scene.market.last_trade_id(busy)
        scene.sim.burst(busy, ASKED_FOR + 2_000)
        await until(lambda: (busy, last + ASKED_FOR + 2_000) in scene.market.trades)  # nobody has heard of it
        scene.sim.refuse(False)
        errands = scene.feed.provider.errands
        await until(lambda: scene.feed.reconnects and scene.feed.counters.gaps and not errands.pending)
    assert scene.check(busy) >= 2_000
    for symbol in SYMBOLS:
        scene.check(symbol)
        assert scene.gaps(symbol) == scene.beyond_asking(symbol)
    scene.check_order()


async def test_without_one_the_missing_ranges_are_exactly_those_that_are_told(busy_market: Any, until: Any) -> None:
    async with busy_market() as scene:
        scene.sim.fail_rest(500, count=100_000)
        await scene.suffer(40, seed=2)
        await until(lambda: scene.feed.connected)
    scene.check_order()
    assert sum(scene.check(symbol) for symbol in SYMBOLS) == scene.feed.counters.missing_trades > 0
    assert scene.feed.counters.backfilled_trades == 0
