"""The market model as Bybit tells of it: trades as they happen, each order book at its own pace."""

from collections.abc import Callable, Mapping
from typing import Final

from exchange_sim.bybit import text
from exchange_sim.bybit.record import Record
from exchange_sim.bybit.shown import ShownBook
from exchange_sim.bybit.text import BookView, TradeRow
from exchange_sim.bybit.topics import CATEGORIES, PUSH_MS, BookTopic, trade_stream
from exchange_sim.frame import Frame
from exchange_sim.market import BookUpdate, Instrument, MarketEvent, MarketModel

_NS_PER_MS: Final = 1_000_000
_BEAT_MS: Final = 10
_BEAT_NS: Final = _BEAT_MS * _NS_PER_MS
SENT_AFTER_MS: Final = 1  # the venue sends a trade (ts) this long after it was made (T)


class BybitTeller:
    """Tells of a market model. Only what somebody is subscribed to is written."""

    def __init__(
        self, model: MarketModel, instruments: Mapping[str, Instrument], is_wanted: Callable[[str], bool]
    ) -> None:
        """`is_wanted` tells whether anybody listens to a stream."""
        self._model = model
        self._is_wanted = is_wanted
        self._records = {symbol: Record(what) for symbol, what in instruments.items()}
        self._now_ns = 0
        self._beat = 0  # number of the next beat, in steps of 10 ms since the epoch
        self.shown: dict[str, ShownBook] = {}

    @property
    def now_ms(self) -> int:
        return self._now_ns // _NS_PER_MS

    def open(self, now_ns: int) -> None:
        """Take the books as the market opens."""
        self._now_ns = now_ns
        self._beat = now_ns // _BEAT_NS + 1
        for symbol, record in self._records.items():
            record.open(self._model.book(symbol), now_ns)

    def next_ns(self) -> int | None:
        """Return when an order book may speak next."""
        return self._beat * _BEAT_NS if self.shown else None

    def tell(self, event: MarketEvent, frames: list[Frame]) -> None:
        """Write of an event, if the venue trades its symbol."""
        record = self._records.get(event.symbol)
        if record is None:
            return
        if isinstance(event, BookUpdate):
            record.update(event)
            return
        ticks = record.trade(event)
        for category in CATEGORIES:
            stream = trade_stream(category, event.symbol)
            if self._is_wanted(stream):
                sent_ms = event.ts_ns // _NS_PER_MS + SENT_AFTER_MS
                rows = record.last_order(category, ticks)
                frames += [Frame(stream, data) for data in text.trades(category, event.symbol, rows, sent_ms)]

    def pass_time(self, until_ns: int, frames: list[Frame]) -> None:
        """Let the order books speak at every beat up to and including `until_ns`."""
        self._now_ns = max(self._now_ns, until_ns)
        last = until_ns // _BEAT_NS
        if last < self._beat:
            return
        for stream in [stream for stream in self.shown if not self._is_wanted(stream)]:
            del self.shown[stream]
        if self.shown:
            for beat in range(self._beat, last + 1):
                self._speak(beat, frames)
        self._beat = last + 1

    def _speak(self, beat: int, frames: list[Frame]) -> None:
        now_ns = beat * _BEAT_NS
        for stream, shown in self.shown.items():
            if beat * _BEAT_MS % PUSH_MS[shown.topic.depth]:
                continue
            data = self._show(shown, now_ns) or shown.repeat(now_ns)
            if data is not None:
                frames.append(Frame(stream, data))

    def _show(self, shown: ShownBook, now_ns: int) -> bytes | None:
        record, depth = self._records[shown.topic.symbol], shown.topic.depth
        book = record.book
        if shown.seen == book.update_id:
            return None
        return shown.show(book.bids.top(depth), book.asks.top(depth), book.update_id, record.made_ns, now_ns)

    def book(self, topic: BookTopic) -> BookView:
        """Return a topic's book as its subscribers have it, as it is now when there are none."""
        shown = self.shown.get(topic.stream)
        if shown is None or not self._is_wanted(topic.stream):
            shown = ShownBook(topic, self._records[topic.symbol].digits[topic.category], self._now_ns)
            self._show(shown, self._now_ns)
            self.shown[topic.stream] = shown
        return shown.view(self._now_ns)

    def trades(self, category: str, symbol: str, limit: int) -> list[TradeRow]:
        """Return up to `limit` latest trades, the latest first."""
        return self._records[symbol].latest(category, limit)
