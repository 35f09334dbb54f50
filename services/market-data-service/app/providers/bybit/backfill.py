"""Asks, after a break, for the trades that may have been missed: `GET /v5/market/recent-trade`."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from app.providers.bybit.alarms import Alarms
from app.providers.bybit.memory import Memory
from app.providers.bybit.wire import (
    AGGRESSOR,
    DAY_NS,
    EARLIEST_NS,
    UNREADABLE,
    PastTrade,
    read_past_trade,
    read_reply,
    trade_fault,
)
from app.providers.provider import Fetch
from md_contract.events import Event, Trade
from md_contract.units import NS_PER_MS, NS_PER_S

LIMITS: Final = {"spot": 60, "linear": 1000}  # the most trades the venue lists
WEIGHT: Final = 1
MAX_TRIES: Final = 5  # lists that were unreadable or ended too early, per symbol and connection
QUIET_NS: Final = NS_PER_S  # how long the first trade of the stream is waited for
TIMEOUT_NS: Final = 120 * NS_PER_S  # for one list, the shell's own retries included


class Backfill:
    """Fills what is owed in the trade logs of one connection's symbols, and says what could not be filled.

    The list is best asked for when the stream has just resumed: it then reaches back as far as it can and overlaps the
    stream. Only where no trade comes is it asked for all the same.

    `want` takes a `Fetch`; `set_aside` a reason and what cannot be used. Times in `now` are monotonic ns.
    """

    def __init__(self, memory: Memory, want: Callable[[Fetch], None], set_aside: Callable[[str, bytes], None]) -> None:
        self._memory = memory
        self._want = want
        self._set_aside = set_aside
        self._tries: dict[str, int] = {}
        self._quiet = Alarms(QUIET_NS)
        self._overdue = Alarms(TIMEOUT_NS)  # set while an answer is to come

    def joined(self, symbol: str) -> None:
        """The symbol's trades come from now on; ask for the earlier ones, unless nothing is owed."""
        if self._memory.trade_log(symbol).owed is not None:
            self._quiet.set(symbol)

    def ask(self, symbol: str) -> None:
        """Ask for the symbol's latest trades, unless nothing is owed or the answer is still to come."""
        if self._memory.trade_log(symbol).owed is None or symbol in self._overdue:
            return
        self._overdue.set(symbol)
        category = self._memory.category
        path = f"/v5/market/recent-trade?category={category}&symbol={symbol}&limit={LIMITS[category]}"
        self._want(Fetch(path, symbol, WEIGHT))

    def fetched(self, symbol: str, body: bytes, ts_recv: int) -> Sequence[Event]:
        self._overdue.clear(symbol)
        latest = self._latest(symbol, body, ts_recv)
        if not latest:
            return self._again(symbol, ts_recv)
        filling = self._memory.trade_log(symbol).fill(latest, ts_recv)
        events: list[Event] = list(filling.trades)
        self._memory.counters.backfilled_trades += len(events)
        if filling.hole:
            events.insert(0, self._memory.gap(symbol, ts_recv, filling.hole, len(events)))
        return [*events, *self._again(symbol, ts_recv)] if filling.is_behind else events

    def on_time(self, now: int, ts_recv: int) -> Sequence[Event]:
        """Ask where no trade has come, and give up what was not answered in time. `ts_recv` stamps the events."""
        for symbol in self._quiet.ring(now):
            self.ask(symbol)
        return [event for symbol in self._overdue.ring(now) for event in self._give_up(symbol, ts_recv)]

    @property
    def due(self) -> int:
        return min(self._quiet.due, self._overdue.due)

    def _again(self, symbol: str, ts_recv: int) -> Sequence[Event]:
        tries = self._tries[symbol] = self._tries.get(symbol, 0) + 1
        if tries < MAX_TRIES:
            self.ask(symbol)
            return ()
        return self._give_up(symbol, ts_recv)

    def _give_up(self, symbol: str, ts_recv: int) -> Sequence[Event]:
        hole = self._memory.trade_log(symbol).give_up()
        return (self._memory.gap(symbol, ts_recv, hole, 0),) if hole else ()

    def _latest(self, symbol: str, body: bytes, ts_recv: int) -> list[Trade]:
        """The trades of the answer, oldest first; empty when there is nothing to be had of it."""
        try:
            reply = read_reply(body)
        except UNREADABLE:
            self._set_aside("wrong_shape", body)
            return []
        if reply.retCode != 0:
            self._set_aside("wrong_shape", body)
            return []
        rows = []
        for row in reversed(reply.result.rows):  # the venue lists the latest first
            try:
                raw = read_past_trade(row)
            except UNREADABLE:
                self._set_aside("wrong_shape", bytes(row))
            else:
                if self._is_usable(raw, symbol, ts_recv):
                    rows.append(raw)
        rows.sort(key=_order)
        return [self._trade(raw, ts_recv) for raw in rows]

    def _is_usable(self, raw: PastTrade, symbol: str, ts_recv: int) -> bool:
        decimals = self._memory.decimals
        ts_event = raw.time * NS_PER_MS
        if (
            decimals[raw.price] > 0.0
            and decimals[raw.size] >= 0.0
            and EARLIEST_NS <= ts_event <= ts_recv + DAY_NS
            and "\0" not in raw.execId
            and raw.symbol == symbol
        ):
            return True
        fault = "symbol" if raw.symbol != symbol else trade_fault(decimals, raw.price, raw.size, ts_event, ts_recv)
        self._set_aside(fault, msgspec.json.encode(raw))
        return False

    def _trade(self, raw: PastTrade, ts_recv: int) -> Trade:
        ts_event = raw.time * NS_PER_MS
        side = AGGRESSOR.get(raw.side)
        return Trade(
            self._memory.name, raw.symbol, ts_recv, raw.price, raw.size, raw.execId, side, ts_event, backfill=True
        )


def _order(raw: PastTrade) -> tuple[int, int]:
    return raw.time, raw.seq
