"""What is kept of each kind of event, as columns in event order."""

from array import array
from collections.abc import Callable
from math import log, log1p
from typing import Final

from md_contract.units import NS_PER_S
from senpai.md_consumer.plausible import JUMP, is_near
from senpai.md_consumer.window import Clock, Series

LATEST_QUOTE_NS: Final = 10 * NS_PER_S  # a quote that comes later than this, out of order, is too late for any window


class Trades(Series):
    """Trades: price, size in base units, side of the aggressor (1 buyer, -1 seller, 0 unknown), price * size, and the
    log return from the trade before (first of all: 0).
    """

    __slots__ = ("log_return", "notional", "on_jump", "on_misfit", "price", "side", "size")

    def __init__(self, clock: Clock) -> None:
        self.on_jump: Callable[[float, float], None] = _say_nothing  # a price far from the one before: (before, price)
        self.on_misfit: Callable[[], None] = _say_nothing  # a price put in far from both its neighbours
        self.price: array[float] = array("d")
        self.size: array[float] = array("d")
        self.side: array[int] = array("b")
        self.notional: array[float] = array("d")
        self.log_return: array[float] = array("d")
        super().__init__(clock, self.price, self.size, self.side, self.notional, self.log_return)

    def append(self, ts: int, price: float, size: float, side: int) -> None:
        """Add a trade that is not older than the last one."""
        prices = self.price
        if prices:
            before = prices[-1]
            change = (price - before) / before
            if -JUMP < change < JUMP:
                self.log_return.append(log1p(change))
            else:
                self.log_return.append(log_return(before, price))
                self.on_jump(before, price)
        else:
            self.began = ts
            self.log_return.append(0.0)
        self.ts.append(ts)
        prices.append(price)
        self.size.append(size)
        self.side.append(side)
        self.notional.append(price * size)

    def _relink(self, index: int) -> None:
        prices = self.price
        misfit = len(prices) > 1
        for i in (index, index + 1):
            if 0 < i < len(prices):
                self.log_return[i] = log_return(prices[i - 1], prices[i])
                misfit = misfit and not is_near(prices[i], prices[i - 1])
        if misfit:
            self.on_misfit()


class Delays(Series):
    """Events of any kind that carry a time of their own, and their `ts_recv - ts_event` in ns."""

    __slots__ = ("delay_ns",)

    def __init__(self, clock: Clock) -> None:
        self.delay_ns: array[int] = array("q")
        super().__init__(clock, self.delay_ns)

    def push(self, ts: int, delay_ns: int) -> None:
        """Add an event, before younger ones if need be."""
        times = self.ts
        if ts != self.clock.now and times and ts < times[-1]:
            self.insert(ts, delay_ns)
        else:
            times.append(ts)
            self.delay_ns.append(delay_ns)


class Quotes(Series):
    """Quotes: bid, bid size, ask, ask size (a price of 0 is a side that is not there), and the order flow of each.

    They are in order of arrival, and those that carry a time of their own are in the order of that.
    """

    __slots__ = ("_last", "ask", "ask_size", "bid", "bid_size", "flow")

    def __init__(self, clock: Clock) -> None:
        self.bid: array[float] = array("d")
        self.bid_size: array[float] = array("d")
        self.ask: array[float] = array("d")
        self.ask_size: array[float] = array("d")
        self.flow: array[float] = array("d")
        self._last = (0.0, 0.0, 0.0, 0.0)  # the youngest
        super().__init__(clock, self.bid, self.bid_size, self.ask, self.ask_size, self.flow)
        self.window(LATEST_QUOTE_NS)  # what a late quote is put into

    def append(self, ts: int, bid: float, bid_size: float, ask: float, ask_size: float) -> None:
        """Add a quote that came after all others; its time may be a guess, so it may have to be moved up to theirs."""
        times, last = self.ts, self._last
        self._last = now = (bid, bid_size, ask, ask_size)
        if times:
            if ts < times[-1]:  # noqa: PLR1730  # a call for every quote would cost more
                ts = times[-1]
            self.flow.append(order_flow(last, now))
        else:
            self.began = ts
            self.flow.append(0.0)
        times.append(ts)
        self.bid.append(bid)
        self.bid_size.append(bid_size)
        self.ask.append(ask)
        self.ask_size.append(ask_size)

    def put_back(self, ts: int, bid: float, bid_size: float, ask: float, ask_size: float) -> bool:
        """Add a quote that came after younger ones, in its place; return whether it was in time."""
        before_restart = self.began is None or (self.restarted and ts < self.began)
        if before_restart or ts <= self.clock.now - LATEST_QUOTE_NS:
            return False
        self.insert(ts, bid, bid_size, ask, ask_size, 0.0)
        return True

    def _relink(self, index: int) -> None:
        for i in (index, index + 1):
            if 0 < i < len(self.ts):
                self.flow[i] = order_flow(self._at(i - 1), self._at(i))
        self._last = self._at(-1)

    def _at(self, index: int) -> tuple[float, float, float, float]:
        return self.bid[index], self.bid_size[index], self.ask[index], self.ask_size[index]


def _say_nothing(*_: float) -> None:
    """What is done about a price that is far from its neighbours while nobody cares."""


def log_return(before: float, after: float) -> float:
    """ln(after / before), right to the last digits also where the two are nearly equal."""
    change = (after - before) / before
    return log1p(change) if change > -0.5 else log(after / before)


def order_flow(before: tuple[float, float, float, float], now: tuple[float, float, float, float]) -> float:
    """What a quote (bid, bid size, ask, ask size) adds to the balance of demand and supply at the best prices.

    At a higher bid all of its size is new demand, at a lower one all of the old size is gone, at the same price it is
    the difference; mirrored for the ask, which is supply. 0 where either quote lacks a side.
    """
    bid_before, bid_size_before, ask_before, ask_size_before = before
    bid, bid_size, ask, ask_size = now
    if not (bid_before and ask_before and bid and ask):
        return 0.0
    demand = bid_size if bid > bid_before else -bid_size_before if bid < bid_before else bid_size - bid_size_before
    supply = ask_size if ask < ask_before else -ask_size_before if ask > ask_before else ask_size - ask_size_before
    return demand - supply
