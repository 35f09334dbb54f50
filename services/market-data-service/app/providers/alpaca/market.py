"""Trades, quotes, and the corrections of trades, to events."""

from collections.abc import Sequence
from typing import Final

from app.providers.alpaca.memory import NAME, Memory
from app.providers.alpaca.wire import Cancel, CoinTrade, Correction, QuoteData, ShareTrade
from app.providers.checks import MAX_ID, BadFieldError
from md_contract.events import Event, Quote, Side, Status, Trade

AGGRESSOR: Final[dict[str, Side]] = {"B": "buy", "S": "sell"}  # the taker's side
CANCELS: Final = {"C": "cancel", "E": "error"}


class Market:
    """The symbols of one connection. Every reader raises `BadFieldError` when the message cannot be used."""

    def __init__(self, symbols: Sequence[str], memory: Memory) -> None:
        self._memory = memory
        self._ids = {symbol: memory.trade_ids(symbol) for symbol in symbols}

    def read_share_trade(self, raw: ShareTrade, ts_recv: int) -> Sequence[Event]:
        return self._trade(raw, self._share_id(raw.x, raw.i, raw.t), None, ts_recv)

    def read_coin_trade(self, raw: CoinTrade, ts_recv: int) -> Sequence[Event]:
        if not 0 <= raw.i <= MAX_ID:
            raise BadFieldError("trade_id")
        return self._trade(raw, str(raw.i), AGGRESSOR.get(raw.tks), ts_recv)

    def read_quote(self, raw: QuoteData, ts_recv: int) -> Sequence[Event]:
        memory, numbers = self._memory, self._memory.numbers
        self._expect_ours(raw.S)
        bid, bid_size = numbers.read(raw.bp, "price"), numbers.size(raw.bs)  # 0: that side of the market is empty
        ask, ask_size = numbers.read(raw.ap, "price"), numbers.size(raw.as_)
        ts_event = memory.ts_event(raw.t, ts_recv)
        if not (bid.value and ask.value and bid_size.value and ask_size.value):
            memory.counters.one_sided_quotes += 1
            return ()
        if bid.value > ask.value:
            memory.counters.crossed_quotes += 1
        return (Quote(NAME, raw.S, ts_recv, bid.text, bid_size.text, ask.text, ask_size.text, ts_event),)

    def read_correction(self, raw: Correction, ts_recv: int) -> Sequence[Event]:
        numbers = self._memory.numbers
        detail = {
            "action": "correct",
            "trade_id": self._share_id(raw.x, raw.oi, raw.t),
            "price": numbers.price(raw.op).text,
            "size": numbers.size(raw.os).text,
            "new_trade_id": self._share_id(raw.x, raw.ci, raw.t),
            "new_price": numbers.price(raw.cp).text,
            "new_size": numbers.size(raw.cs).text,
        }
        return self._correction(raw, detail, ts_recv)

    def read_cancel(self, raw: Cancel, ts_recv: int) -> Sequence[Event]:
        numbers = self._memory.numbers
        detail = {
            "action": CANCELS.get(raw.a, "cancel"),
            "trade_id": self._share_id(raw.x, raw.i, raw.t),
            "price": numbers.price(raw.p).text,
            "size": numbers.size(raw.s).text,
        }
        return self._correction(raw, detail, ts_recv)

    def _trade(self, raw: ShareTrade | CoinTrade, trade_id: str, side: Side | None, ts_recv: int) -> Sequence[Event]:
        memory, symbol = self._memory, raw.S
        self._expect_ours(symbol)
        price, size = memory.numbers.price(raw.p), memory.numbers.size(raw.s)
        ts_event = memory.ts_event(raw.t, ts_recv)
        ids = self._ids[symbol]
        before = ids.last
        if not ids.take(trade_id, ts_recv):
            memory.counters.duplicate_trades += 1
            return ()
        trade = Trade(NAME, symbol, ts_recv, price.text, size.text, trade_id, side, ts_event)
        if not ids.broken:
            return (trade,)
        ids.broken = False
        memory.counters.gaps += 1
        detail = {"from": before, "to": trade_id, "missing": None, "backfilled": 0}
        return (Status(NAME, symbol, ts_recv, "gap", detail, ts_event), trade)

    def _correction(self, raw: Correction | Cancel, detail: dict[str, str], ts_recv: int) -> Sequence[Event]:
        self._expect_ours(raw.S)
        status = Status(NAME, raw.S, ts_recv, "correction", detail, self._memory.ts_event(raw.t, ts_recv))
        self._memory.counters.corrections += 1
        return (status,)

    def _share_id(self, exchange: str, number: int, time: str) -> str:
        """An id that no other trade of the symbol has: the venue's own begins anew on every exchange and day."""
        if not 0 <= number <= MAX_ID or not exchange.isascii() or not exchange.isprintable():
            raise BadFieldError("trade_id")
        return f"{self._memory.times[time[:19]].trading_day}:{exchange}:{number}"

    def _expect_ours(self, symbol: str) -> None:
        if symbol not in self._ids:
            raise BadFieldError("unknown_stream")
