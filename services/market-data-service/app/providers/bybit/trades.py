"""One `publicTrade` topic."""

from collections.abc import Callable, Sequence

import msgspec

from app.providers.bybit.memory import Memory
from app.providers.bybit.trade_log import Known
from app.providers.bybit.wire import (
    AGGRESSOR,
    DAY_NS,
    EARLIEST_NS,
    UNREADABLE,
    TradeData,
    TradesFrame,
    read_loose_trades,
    read_trade,
    trade_fault,
)
from md_contract.events import Event, Trade
from md_contract.units import NS_PER_MS


class Trades:
    """Turns one symbol's trades into events, each trade on its own: one that is unusable costs no other.

    `set_aside` is given a reason and the unusable trade; `on_resumed` is told the symbol when the first trade after a
    break has come and the trades before it must be asked for.
    """

    def __init__(
        self,
        symbol: str,
        memory: Memory,
        set_aside: Callable[[str, bytes], None],
        on_resumed: Callable[[str], None],
    ) -> None:
        self.symbol = symbol
        self._name = memory.name
        self._decimals = memory.decimals
        self._counters = memory.counters
        self._log = memory.trade_log(symbol)
        self._set_aside = set_aside
        self._on_resumed = on_resumed

    def read(self, frame: TradesFrame, ts_recv: int) -> Sequence[Event]:
        return self._take(frame.data, ts_recv)

    def read_loose(self, frame: bytes, ts_recv: int) -> Sequence[Event]:
        """Read a frame in which some trade has the wrong shape."""
        try:
            rows = read_loose_trades(frame).data
        except UNREADABLE:
            self._set_aside("wrong_shape", frame)
            return ()
        trades = []
        for row in rows:
            try:
                trades.append(read_trade(row))
            except UNREADABLE:
                self._set_aside("wrong_shape", bytes(row))
        return self._take(trades, ts_recv)

    def _take(self, rows: Sequence[TradeData], ts_recv: int) -> Sequence[Event]:
        log, decimals = self._log, self._decimals
        latest = ts_recv + DAY_NS
        trades = []
        for raw in rows:
            symbol, price, size, trade_id = raw.s, raw.p, raw.v, raw.i
            ts_event = raw.T * NS_PER_MS
            if not (
                decimals[price] > 0.0
                and decimals[size] >= 0.0
                and EARLIEST_NS <= ts_event <= latest
                and "\0" not in trade_id
                and symbol == self.symbol
            ):
                self._set_aside(self._fault(raw, ts_recv), msgspec.json.encode(raw))
                continue
            is_new = log.take(trade_id, ts_event, ts_recv)
            if is_new:
                side = AGGRESSOR.get(raw.S)
                trades.append(Trade(self._name, symbol, ts_recv, price, size, trade_id, side, ts_event))
            else:
                self._counters.duplicate_trades += 1
            if log.owed is not None and log.resumed is None:
                self._resume(Known(trade_id, ts_event), is_new)
        return trades

    def _resume(self, first: Known, is_new: bool) -> None:
        if self._log.on_resumed(first, is_new=is_new):
            self._on_resumed(self.symbol)

    def _fault(self, raw: TradeData, ts_recv: int) -> str:
        if raw.s != self.symbol:
            return "symbol"
        return trade_fault(self._decimals, raw.p, raw.v, raw.T * NS_PER_MS, ts_recv)
