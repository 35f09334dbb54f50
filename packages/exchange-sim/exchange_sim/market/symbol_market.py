"""The market of one symbol: orders come, trade, rest and go, around a fair price.

Every arrival is either an aggressive order, which takes levels from the other side in one or several trades, or a
change of resting orders. After it the quotes follow the fair price, so the book is never crossed or empty.
"""

import math
import random
from collections.abc import Iterable
from typing import Final
from zlib import crc32

from exchange_sim.book import Book, Change, Side, Top
from exchange_sim.market.arrivals import STRIDE_S, Arrivals
from exchange_sim.market.chance import generator
from exchange_sim.market.events import BookUpdate, Execution, Fill, MarketEvent
from exchange_sim.market.fair_price import FairPrice, Move
from exchange_sim.market.instruments import Instrument

_NS_PER_S: Final = 1_000_000_000
_IDS_BEGAN_NS: Final = 1_704_067_200 * _NS_PER_S  # 2024-01-01
_NS_PER_TRADE_ID: Final = 100_000
_NS_PER_UPDATE_ID: Final = 10_000
_MIN_LEVELS: Final = 110
_USUAL_LEVELS: Final = 145
_MAX_LEVELS: Final = 180
_MOVE_BOOST: Final = 4.0  # arrivals while the price moves, against calm
_MOVE_SIZE: Final = 3.0  # size of a trade while the price moves, against calm
_AGGRESSIVE: Final = 0.16
_AGGRESSIVE_IN_MOVE: Final = 0.3
_WITH_THE_MOVE: Final = 0.85
_MORE_FILLS: Final = 0.6  # chance of one more trade of the same order
_MAX_SWEEP: Final = 3  # levels that one order may take
_LOG_SIGMA: Final = 1.7
MEAN_FILLS: Final = 1 / (1 - _MORE_FILLS)
EVENTS_PER_ARRIVAL: Final = 1.45  # trades and changes of the best quote, moves included, as measured


class SymbolMarket:
    """Book, trades and time of one symbol. All randomness comes from `rng`; the same calls give the same events."""

    def __init__(
        self,
        what: Instrument,
        rng: random.Random,
        rate: float,
        *,
        moves: Iterable[Move] | None = None,
        wander: float = 1.0,
    ) -> None:
        """`rate`: trades and quote changes a second, on average; `moves`, `wander`: see `FairPrice`."""
        self._what = what
        self._rng = rng
        self._fair = FairPrice(generator(rng.getrandbits(64)), moves, wander)
        arrivals = max(rate, 0.001) / EVENTS_PER_ARRIVAL
        self._arrivals = Arrivals(generator(rng.getrandbits(64)), arrivals)
        self._move_size = _MOVE_SIZE * self._size_factor(arrivals)
        self._band = max(what.tick, what.price // 100_000)
        self._gap = max(what.tick, what.price // 500_000)  # mean distance of two levels
        self._t_s = 0.0
        self._next_s: float | None = None
        self.trade_id = 0  # of the last trade
        self.book = Book()
        self._opened_ns = 0
        self._changes: list[Change] = []
        self._top = self._fill()

    def open(self, opened_ns: int) -> None:
        """Say when time began. Ids begin where even a busy market of the same name, opened earlier, cannot be yet."""
        self._opened_ns = opened_ns
        self.trade_id = (opened_ns - _IDS_BEGAN_NS) // _NS_PER_TRADE_ID
        own = crc32(self._what.symbol.encode()) % 10_000 * 10**8  # no two symbols near each other, as at the venues
        self.book.update_id = own + (opened_ns - _IDS_BEGAN_NS) // _NS_PER_UPDATE_ID

    def next_s(self) -> float:
        """Return the time of the next arrival, in seconds since the market opened."""
        while self._next_s is None:
            boost = _MOVE_BOOST if self._fair.direction(self._t_s) else 1.0
            self._next_s = self._arrivals.after(self._t_s, boost)
            self._t_s = self._t_s + STRIDE_S if self._next_s is None else self._next_s
        return self._next_s

    def step(self) -> list[MarketEvent]:
        """Let the next arrival happen. Returns what came of it, in order."""
        t_s = self.next_s()
        self._next_s = None
        ts_ns = self._opened_ns + int(t_s * _NS_PER_S)
        fair = int(self._what.price * self._fair.at(t_s))
        direction = self._fair.direction(t_s)
        events: list[MarketEvent] = []
        if self._rng.random() < (_AGGRESSIVE_IN_MOVE if direction else _AGGRESSIVE):
            events.append(self._take(ts_ns, fair, direction))
        else:
            self._rest()
        self._follow(fair)
        self._replenish(self.book.bids, is_bid=True)
        self._replenish(self.book.asks, is_bid=False)
        if self._changes:
            events.append(self._update(ts_ns))
        return events

    def burst(self, ts_ns: int, count: int) -> Execution:
        """Let a buyer trade `count` times one lot with somebody who is not in the book."""
        first_id, price = self.trade_id + 1, self.book.asks.best()
        self.trade_id += count
        fills = [Fill(first_id + number, price, self._what.lot) for number in range(count)]
        return Execution(self._what.symbol, ts_ns, buyer_is_maker=False, fills=fills)

    def _size_factor(self, arrivals: float) -> float:
        """Make trades larger in a market so quiet that even a move would trade next to nothing."""
        trades = arrivals * _MOVE_BOOST * _AGGRESSIVE_IN_MOVE * MEAN_FILLS * 5
        expected = trades * _MOVE_SIZE * self._what.trade_size / 10**8
        return max(1.0, 4 / expected)

    def _fill(self) -> Top:
        what = self._what
        bid = (what.price - 1) // what.tick * what.tick
        for is_bid, start, step in ((True, bid, -1), (False, bid + what.tick, 1)):
            price = start
            for _ in range(_USUAL_LEVELS):
                self._set(is_bid, price, self._level_size())
                price += step * self._distance()
        self._changes.clear()
        top = self.book.top()
        assert top is not None  # noqa: S101 - both sides were filled above
        return top

    def _set(self, is_bid: bool, price: int, size: int) -> None:
        (self.book.bids if is_bid else self.book.asks).set(price, size)
        self._changes.append(Change(is_bid, price, size))

    def _update(self, ts_ns: int) -> BookUpdate:
        first_id = self.book.update_id + 1
        self.book.update_id += len(self._changes)
        top = self.book.top()
        changed = top if top != self._top else None
        self._top = top or self._top
        changes, self._changes = self._changes, []
        return BookUpdate(self._what.symbol, ts_ns, first_id, self.book.update_id, changes, changed)

    def _take(self, ts_ns: int, fair: int, direction: int) -> Execution:
        """Let one aggressive order trade, up to three levels deep and never far from where it began."""
        bid, ask = self.book.bids.best(), self.book.asks.best()
        lean = 0.5 + 0.2 * max(-1.0, min(1.0, (2 * fair - bid - ask) / (4 * self._band)))
        chance = _WITH_THE_MOVE if direction > 0 else 1 - _WITH_THE_MOVE if direction < 0 else lean
        buyer_is_maker = self._rng.random() >= chance
        side = self.book.bids if buyer_is_maker else self.book.asks
        fills: list[Fill] = []
        began, taken = side.best(), 0
        while taken < _MAX_SWEEP and (not fills or self._rng.random() < _MORE_FILLS):
            price = side.best()
            if abs(price - began) > self._band:
                break
            resting = side.sizes[price]
            size = min(resting, self._trade_size(self._move_size if direction else 1.0))
            self.trade_id += 1
            fills.append(Fill(self.trade_id, price, size))
            self._set(buyer_is_maker, price, resting - size)
            taken += resting == size
        return Execution(self._what.symbol, ts_ns, buyer_is_maker, fills)

    def _rest(self) -> None:
        """Place, change or withdraw a resting order, mostly at the best prices."""
        is_bid = self._rng.random() < 0.5
        side = self.book.bids if is_bid else self.book.asks
        chance = self._rng.random()
        if chance < 0.6:
            self._set(is_bid, side.best(), self._level_size())
            return
        behind = side.price_at(min(len(side) - 1, 1 + int(self._rng.expovariate(0.05))))
        if chance < 0.75:
            self._set(is_bid, behind, self._level_size())
        elif len(side) > _USUAL_LEVELS:
            self._set(is_bid, behind, 0)
        else:
            away = self._what.tick * math.ceil(self._rng.expovariate(0.05) * self._gap / self._what.tick)
            self._set(is_bid, side.best() + (-away if is_bid else away), self._level_size())

    def _follow(self, fair: int) -> None:
        """Move the quotes to a fair price that has left them, and close a spread that trades have opened."""
        tick = self._what.tick
        bid, ask = self.book.bids.best(), self.book.asks.best()
        spread = tick * (1 if self._rng.random() < 0.92 else self._rng.randint(2, 4))
        if fair > ask + self._band:
            self._quote(fair // tick * tick, fair // tick * tick + spread)
        elif fair < bid - self._band:
            self._quote(fair // tick * tick - spread, fair // tick * tick)
        elif ask - bid > spread and (self._rng.random() < 0.7 or ask - bid > 2 * self._band):
            if 2 * fair > bid + ask:
                self._quote(ask - spread, ask)
            else:
                self._quote(bid, bid + spread)

    def _quote(self, bid: int, ask: int) -> None:
        for is_bid, side, price in ((True, self.book.bids, bid), (False, self.book.asks, ask)):
            for beyond in side.better_than(price):
                self._set(is_bid, beyond, 0)
            if price not in side.sizes:
                self._set(is_bid, price, self._level_size())

    def _replenish(self, side: Side, *, is_bid: bool) -> None:
        while len(side) < _MIN_LEVELS:
            price = side.worst() + (-1 if is_bid else 1) * self._distance()
            self._set(is_bid, price, self._level_size())
        while len(side) > _MAX_LEVELS:
            self._set(is_bid, side.worst(), 0)

    def _distance(self) -> int:
        return self._what.tick * max(1, round(self._rng.expovariate(self._what.tick / self._gap)))

    def _trade_size(self, factor: float) -> int:
        mean = self._what.trade_size * factor
        return self._lots(mean * self._rng.lognormvariate(-_LOG_SIGMA * _LOG_SIGMA / 2, _LOG_SIGMA))

    def _level_size(self) -> int:
        return self._lots(self._what.level_size * self._rng.expovariate(1.0))

    def _lots(self, size: float) -> int:
        lot = self._what.lot
        return lot * max(1, math.ceil(size / lot))
