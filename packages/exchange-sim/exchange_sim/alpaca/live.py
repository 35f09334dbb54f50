"""The market model as Alpaca tells of it: trades of one order in one array, quotes and books as they change."""

from collections.abc import Callable, Collection
from typing import Final

from exchange_sim.alpaca import text
from exchange_sim.alpaca.streams import feed_of, stream_of
from exchange_sim.frame import Frame
from exchange_sim.market import Execution, Fill, MarketEvent, MarketModel

_CORRECTED_IDS: Final = 50_000_000  # from a trade's id to that of the one in its place, which nothing else has


class AlpacaTeller:
    """Tells of a market model. Only what somebody is subscribed to is written."""

    def __init__(self, model: MarketModel, symbols: Collection[str], is_wanted: Callable[[str], bool]) -> None:
        """`is_wanted` tells whether anybody listens to a stream."""
        self._model = model
        self._symbols = frozenset(symbols)
        self._is_wanted = is_wanted
        self._now_ns = 0
        self.last_fill: dict[str, Fill] = {}

    def open(self, now_ns: int) -> None:
        """Note when the market opens."""
        self._now_ns = now_ns

    def next_ns(self) -> int | None:
        """Nothing speaks without an event."""
        return None

    def pass_time(self, until_ns: int, frames: list[Frame]) -> None:  # noqa: ARG002 - nothing speaks at fixed times
        self._now_ns = max(self._now_ns, until_ns)

    def tell(self, event: MarketEvent, frames: list[Frame]) -> None:
        """Write of an event, if the venue trades its symbol."""
        self._now_ns = max(self._now_ns, event.ts_ns)
        symbol, ts_ns = event.symbol, event.ts_ns
        if symbol not in self._symbols:
            return
        is_coin = feed_of(symbol) == "crypto"
        if isinstance(event, Execution):
            self.last_fill[symbol] = event.fills[-1]
            if is_coin:
                maker = event.buyer_is_maker
                rows = [text.coin_trade(symbol, fill, ts_ns, buyer_is_maker=maker) for fill in event.fills]
            else:
                rows = [text.share_trade(symbol, fill, ts_ns) for fill in event.fills]
            self._add(frames, "trades", symbol, lambda: b",".join(rows))
            return
        top = event.top
        if top is not None:
            write = text.coin_quote if is_coin else text.share_quote
            self._add(frames, "quotes", symbol, lambda: write(symbol, top, ts_ns))
        if is_coin:
            bids = [(change.price, change.size) for change in event.changes if change.is_bid]
            asks = [(change.price, change.size) for change in event.changes if not change.is_bid]
            self._add(frames, "orderbooks", symbol, lambda: text.book(symbol, bids, asks, ts_ns, whole=False))

    def whole_book(self, symbol: str) -> bytes:
        """Return the message that a book begins with."""
        book = self._model.book(symbol)
        bids, asks = book.bids.top(len(book.bids)), book.asks.top(len(book.asks))
        return text.book(symbol, bids, asks, self._now_ns, whole=True)

    def cancel_last(self, symbol: str) -> Frame:
        """Take the last trade of a share back. Raises KeyError when it has not traded."""
        return Frame(stream_of("cancelErrors", symbol), text.cancel(symbol, self.last_fill[symbol], self._now_ns))

    def correct_last(self, symbol: str) -> Frame:
        """Replace the last trade of a share by one of twice the size. Raises KeyError when it has not traded."""
        old = self.last_fill[symbol]
        new = old._replace(trade_id=old.trade_id + _CORRECTED_IDS, size=2 * old.size)
        return Frame(stream_of("corrections", symbol), text.correction(symbol, old, new, self._now_ns))

    def begin_again(self, symbol: str) -> Frame:
        """Send the whole book of a coin in the middle of its stream."""
        return Frame(stream_of("orderbooks", symbol), self.whole_book(symbol))

    def _add(self, frames: list[Frame], channel: str, symbol: str, write: Callable[[], bytes]) -> None:
        stream = stream_of(channel, symbol)
        if self._is_wanted(stream):
            frames.append(Frame(stream, write()))
