"""Recorded Bybit frames: sent again as they were, with the books and trades kept for new subscribers and REST calls.

Shallower order books that the tape does not hold are made from a deeper one that it does, after each of its frames.
"""

import re
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Final

import msgspec

from exchange_sim.bybit.record import RECENT_TRADES
from exchange_sim.bybit.shown import ShownBook
from exchange_sim.bybit.survey import Survey, as_frame
from exchange_sim.bybit.text import BookView, Digits, Level, TradeRow
from exchange_sim.bybit.topics import PUSH_MS, BookTopic, book_topic, trade_stream
from exchange_sim.fixed import parse_fixed
from exchange_sim.frame import Frame
from exchange_sim.tape import Recorded

_NS_PER_MS: Final = 1_000_000
_TIMES: Final = re.compile(rb'("(?:ts|cts|T|timestamp|start|end)":"?)(\d{13})(?=[",}])')


class _BookData(msgspec.Struct, gc=False):
    b: list[Level]
    a: list[Level]
    u: int
    seq: int = 0


class _BookMessage(msgspec.Struct, gc=False):
    type: str
    ts: int
    data: _BookData
    cts: int | None = None


class _TradeData(msgspec.Struct, gc=False):
    i: str
    p: str
    v: str
    S: str
    T: int
    seq: int = 0


class _TradeMessage(msgspec.Struct, gc=False):
    ts: int
    data: list[_TradeData]


_decode_book: Final = msgspec.json.Decoder(_BookMessage, strict=False).decode
_decode_trades: Final = msgspec.json.Decoder(_TradeMessage, strict=False).decode


class _RecordedBook:
    """One recorded `orderbook` topic, rebuilt from its frames."""

    def __init__(self) -> None:
        self._sides: tuple[dict[int, Level], dict[int, Level]] = ({}, {})
        self.update_id = 0
        self.seq = 0
        self.made_ms = 0

    def apply(self, message: _BookMessage) -> None:
        data = message.data
        if message.type == "snapshot" or data.u == 1:
            self._sides = ({}, {})
        for side, levels in zip(self._sides, (data.b, data.a), strict=True):
            for price, size in levels:
                if parse_fixed(size):
                    side[parse_fixed(price)] = (price, size)
                else:
                    side.pop(parse_fixed(price), None)
        self.update_id, self.seq = data.u, data.seq
        self.made_ms = message.ts if message.cts is None else message.cts

    def view(self, sent_ms: int) -> BookView:
        bids, asks = (
            [side[price] for price in prices] for side, prices in zip(self._sides, self._prices(), strict=True)
        )
        return BookView(bids, asks, self.update_id, self.seq, sent_ms, self.made_ms)

    def best(self, depth: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Return the best levels of bids and asks, prices and sizes in 10^-8."""
        bids, asks = (
            [(price, parse_fixed(side[price][1])) for price in prices[:depth]]
            for side, prices in zip(self._sides, self._prices(), strict=True)
        )
        return bids, asks

    def _prices(self) -> tuple[list[int], list[int]]:
        bids, asks = self._sides
        return sorted(bids, reverse=True), sorted(asks)


class BybitPlayer:
    """Plays a surveyed tape. Every recorded frame comes out once, in the tape's order; nothing comes between two of
    them but what shallower books say after a frame of a deeper one.
    """

    def __init__(self, survey: Survey, is_wanted: Callable[[str], bool]) -> None:
        self._survey = survey
        self._is_wanted = is_wanted
        self._digits = {
            (category, symbol): Digits(category, what)
            for category, instruments in survey.instruments.items()
            for symbol, what in instruments.items()
        }
        self._books: dict[BookTopic, _RecordedBook] = {}
        self._trades: dict[str, deque[TradeRow]] = defaultdict(lambda: deque(maxlen=RECENT_TRADES))
        self.now_ms = 0
        self.shown: dict[str, ShownBook] = {}
        self.unreadable = 0  # frames that were sent but could not be kept

    def play(self, recorded: Recorded, offset_ms: int) -> list[Frame]:
        """Return what to send for one recorded text."""
        frame = as_frame(recorded)
        if frame is None:
            return []
        if offset_ms:
            data = _TIMES.sub(lambda found: found[1] + b"%d" % (int(found[2]) + offset_ms), frame.data)
            frame = Frame(frame.stream, data)
        frames = [frame]
        try:
            self._keep(frame, frames)
        except (msgspec.DecodeError, ValueError):
            self.unreadable += 1
        return frames

    def _keep(self, frame: Frame, frames: list[Frame]) -> None:
        topic = book_topic(frame.stream)
        if topic is not None:
            message = _decode_book(frame.data)
            self.now_ms = message.ts
            self._books.setdefault(topic, _RecordedBook()).apply(message)
            self._show(topic, frames)
        elif ":publicTrade." in frame.stream:
            trades = _decode_trades(frame.data)
            self.now_ms = trades.ts
            self._trades[frame.stream].extend(
                TradeRow(row.i, row.p, row.v, row.S, row.T, row.seq) for row in trades.data
            )

    def _show(self, deep: BookTopic, frames: list[Frame]) -> None:
        """Let the books speak that are made from this one."""
        now_ns = self.now_ms * _NS_PER_MS
        for depth in PUSH_MS:
            topic = deep._replace(depth=depth)
            if self._is_wanted(topic.stream) and self._origin(topic) == deep:
                shown = self._shown(topic)
                data = self._say(shown, deep) or shown.repeat(now_ns)
                if data is not None:
                    frames.append(Frame(topic.stream, data))

    def _shown(self, topic: BookTopic) -> ShownBook:
        if topic.stream not in self.shown:
            digits = self._digits[topic.category, topic.symbol]
            self.shown[topic.stream] = ShownBook(topic, digits, self.now_ms * _NS_PER_MS)
        return self.shown[topic.stream]

    def _say(self, shown: ShownBook, deep: BookTopic) -> bytes | None:
        book = self._books[deep]
        bids, asks = book.best(shown.topic.depth)
        return shown.show(bids, asks, book.seq, book.made_ms * _NS_PER_MS, self.now_ms * _NS_PER_MS)

    def _origin(self, topic: BookTopic) -> BookTopic | None:
        """Return the recorded topic that a book which was not recorded is made from."""
        if topic.stream in self._survey.streams:
            return None
        deeper = (topic._replace(depth=depth) for depth in PUSH_MS if depth > topic.depth)
        return next((deep for deep in deeper if deep.stream in self._survey.streams), None)

    def book(self, topic: BookTopic) -> BookView | None:
        """Return a topic's book as its subscribers have it; None before its first frame."""
        if topic in self._books:
            return self._books[topic].view(self.now_ms)
        deep = self._origin(topic)
        if deep is None or deep not in self._books:
            return None
        if not self._is_wanted(topic.stream):
            self.shown.pop(topic.stream, None)
            self._say(self._shown(topic), deep)
        return self._shown(topic).view(self.now_ms * _NS_PER_MS)

    def trades(self, category: str, symbol: str, limit: int) -> list[TradeRow]:
        """Return up to `limit` latest trades, the latest first."""
        latest = self._trades.get(trade_stream(category, symbol), ())
        return [row for row, _ in zip(reversed(latest), range(limit), strict=False)]
