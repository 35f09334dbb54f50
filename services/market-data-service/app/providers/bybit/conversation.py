"""One connection to Bybit, without the connection."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias, Union

import msgspec
from msgspec import Struct

from app.books.pace import NEVER, Pace
from app.providers.bybit.backfill import Backfill
from app.providers.bybit.books import Depth, Quotes, TopOfBook
from app.providers.bybit.control import Fate, Pings, Subscriptions
from app.providers.bybit.memory import Memory
from app.providers.bybit.trades import Trades
from app.providers.bybit.wire import (
    UNREADABLE,
    BadFieldError,
    BookFrame,
    TradesFrame,
    read_answer,
    read_fields,
    read_text,
)
from app.providers.provider import BookOptions, Fetch, HangUp, Notice, Send, Want
from app.providers.refusals import Refusals
from md_contract.events import BookL2, Event, Status
from md_contract.units import NS_PER_S

REJOIN_INTERVAL_NS: Final = 10 * NS_PER_S  # how often one topic may be left and joined again

_Reader: TypeAlias = Callable[[Any, int], Sequence[Event]]


class BybitConversation:
    """The pure side of one connection: trades, quotes and a book for each symbol."""

    def __init__(self, memory: Memory, symbols: Sequence[str], books: BookOptions) -> None:
        self.due = NEVER
        self.wants: list[Want] = []
        self._memory = memory
        self._symbols = tuple(symbols)
        self._book_depth = books.depth
        self._pace = Pace(int(NS_PER_S / books.rate_hz))
        self._rejoin_pace = Pace(REJOIN_INTERVAL_NS)
        self._subscriptions = Subscriptions()
        self._refusals = Refusals()
        self.refused = self._refusals.by_symbol
        self._pings = Pings()
        self._backfill = Backfill(memory, self._want, self._set_aside)
        self._opened_ns = 0  # wall clock
        self._wall_offset_ns: int | None = None  # wall clock - monotonic clock
        self._subscribed = False
        self._hung_up = False
        self._carried: set[str] = set()  # topics that were joined
        self._trades = {f"publicTrade.{s}": Trades(s, memory, self._set_aside, self._backfill.ask) for s in symbols}
        self._quotes = {f"orderbook.1.{s}": Quotes(s, memory) for s in symbols}
        self._depths = {f"orderbook.{memory.depth}.{s}": Depth(s, memory, self._book_changed) for s in symbols}
        self._make_decoder()

    def _make_decoder(self) -> None:
        readers: dict[str, _Reader] = {topic: trades.read for topic, trades in self._trades.items()}
        readers |= {topic: quotes.read for topic, quotes in self._quotes.items()}
        readers |= {
            topic: TopOfBook(self._quotes[topic], depth).read if topic in self._quotes else depth.read
            for topic, depth in self._depths.items()
        }
        self._topics = tuple(readers)
        shapes = {
            msgspec.defstruct(
                "Frame", [], bases=(TradesFrame if topic in self._trades else BookFrame,), tag_field="topic", tag=topic
            ): reader
            for topic, reader in readers.items()
        }
        self._readers: dict[type[Struct], _Reader] = dict(shapes)
        self._read: Callable[[bytes], Any] = msgspec.json.Decoder(Union[tuple(shapes)], strict=False).decode  # noqa: UP007 - made of a list

    def opened(self, ts_recv: int, reconnect_reason: str | None) -> Sequence[Event]:
        self._opened_ns = ts_recv
        self._subscriptions.join(self._topics)
        self.due = 0
        if reconnect_reason is None:
            return ()
        return [self._reconnected(symbol, ts_recv, reconnect_reason) for symbol in self._symbols]

    def _reconnected(self, symbol: str, ts_recv: int, reason: str) -> Status:
        log = self._memory.trade_log(symbol)
        log.on_break()
        return Status(self._memory.name, symbol, ts_recv, "reconnect", {"reason": reason, "last_trade_id": log.last_id})

    def subscribed(self) -> bool:
        """True once every topic has been answered, also while one is later joined again."""
        return self._subscribed

    def heard(self, symbol: str) -> int | None:
        """When the symbol's quotes last gave a sign of life (wall-clock ns): the venue promises one every 3 s."""
        return self._quotes[f"orderbook.1.{symbol}"].last_recv

    def decode(self, frame: bytes, ts_recv: int) -> Sequence[Event]:
        try:
            message = self._read(frame)
            return self._readers[type(message)](message, ts_recv)
        except BadFieldError as error:
            self._set_aside(error.reason, frame)
        except UNREADABLE:
            return self._read_other(frame, ts_recv)
        return ()

    def _read_other(self, frame: bytes, ts_recv: int) -> Sequence[Event]:
        """Read what is no market data, or is none that can be understood."""
        try:
            fields = read_fields(frame)
        except UNREADABLE:
            self._set_aside("not_json", frame)
            return ()
        if "topic" in fields:
            return self._read_odd_topic(_text(fields["topic"]), frame, ts_recv)
        if fields.keys() & {"op", "success"}:
            self._read_answer(frame)
        else:
            self._set_aside("unknown_message", frame)
        return ()

    def _read_odd_topic(self, topic: str, frame: bytes, ts_recv: int) -> Sequence[Event]:
        if topic in self._trades:
            return self._trades[topic].read_loose(frame, ts_recv)
        if topic in self._depths:
            self._depths[topic].lost()
        self._set_aside("wrong_shape" if topic in self._topics else "unknown_stream", frame)
        return ()

    def _read_answer(self, frame: bytes) -> None:
        try:
            answer = read_answer(frame)
        except UNREADABLE:
            self._set_aside("wrong_shape", frame)
            return
        if answer.is_pong():
            self._pings.on_pong()
            return
        fates = self._subscriptions.answered(answer)
        if fates is None:
            self._set_aside("answer", frame)
            return
        self.due = 0  # what follows may start a timer
        for fate, topic in fates:
            self._settle(fate, topic, answer.ret_msg)
        self._subscribed = self._subscribed or self._subscriptions.settled()

    def _settle(self, fate: Fate, topic: str, answer: str) -> None:
        if fate is Fate.LEFT:
            self._depths[topic].sync.left()
            self._subscriptions.join([topic])
        elif fate is Fate.JOINED:
            self._carried.add(topic)
            stream, _, symbol = topic.rpartition(".")
            self._refusals.joined(symbol, stream)
            if topic in self._trades:
                self._backfill.joined(self._trades[topic].symbol)
        else:
            self._refused(topic, answer)

    def _refused(self, topic: str, answer: str) -> None:
        stream, _, symbol = topic.rpartition(".")
        self._refusals.refused(symbol, stream, answer)
        self._memory.counters.subscriptions_refused += 1
        self._want(Notice("subscription refused", {"symbol": symbol, "stream": topic, "answer": answer}))
        if topic in self._depths and topic in self._carried:  # it was carried before: it may be again
            self._depths[topic].lost()

    def fetched(self, fetch: Fetch, body: bytes, ts_recv: int) -> Sequence[Event]:
        return self._backfill.fetched(fetch.topic, body, ts_recv)

    def on_time(self, now: int) -> Sequence[Event]:
        if self._wall_offset_ns is None:
            self._wall_offset_ns = self._opened_ns - now
        for symbol in self._rejoin_pace.ready(now):
            self._leave(symbol)
        for want in (self._subscriptions.on_time(now), self._pings.on_time(now)):
            self._say(want)
        events = list(self._backfill.on_time(now, now + self._wall_offset_ns))
        events += [event for symbol in self._pace.ready(now) if (event := self._top(symbol))]
        self.due = min(self._pace.due, self._rejoin_pace.due, self._backfill.due, self._control_due())
        return events

    def _control_due(self) -> int:
        return NEVER if self._hung_up else min(self._subscriptions.due, self._pings.due)

    def closed(self) -> Sequence[Event]:
        self.due = NEVER
        return [event for symbol in self._pace.flush() if (event := self._top(symbol))]

    def _leave(self, symbol: str) -> None:
        """Leave the topic of a broken book, in order to join it again; a snapshot may have mended it meanwhile."""
        topic = f"orderbook.{self._memory.depth}.{symbol}"
        sync = self._depths[topic].sync
        if sync.wants_snapshot():
            sync.leaving()
            self._subscriptions.leave(topic)

    def _say(self, want: Send | HangUp | None) -> None:
        if want is None or self._hung_up:
            return
        self._hung_up = isinstance(want, HangUp)
        self.wants.append(want)

    def _book_changed(self, symbol: str) -> None:
        sync = self._depths[f"orderbook.{self._memory.depth}.{symbol}"].sync
        if (self._rejoin_pace if sync.wants_snapshot() else self._pace).touch(symbol):
            self.due = 0

    def _top(self, symbol: str) -> BookL2 | None:
        return self._depths[f"orderbook.{self._memory.depth}.{symbol}"].top(self._book_depth)

    def _set_aside(self, reason: str, frame: bytes) -> None:
        if self._memory.quarantine.add(reason, frame):
            sample = self._memory.quarantine.samples[reason]
            self._want(Notice("frame set aside", {"reason": reason, "sample": sample}))

    def _want(self, want: Want) -> None:
        self.wants.append(want)
        self.due = 0


def _text(raw: msgspec.Raw) -> str:
    """The text of a JSON string; any other value becomes the empty text."""
    try:
        return read_text(raw)
    except UNREADABLE:
        return ""
