"""One connection to Binance, without the connection."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias, Union

import msgspec
from msgspec import Struct

from app.books.diff_sync import Snapshot
from app.books.pace import NEVER, Pace
from app.providers.binance.backfill import Backfill
from app.providers.binance.memory import Memory
from app.providers.binance.streams import NAME, Depth, Quotes, Trades
from app.providers.binance.wire import (
    DepthData,
    QuoteData,
    TradeData,
    read_answer,
    read_fields,
    read_snapshot,
    read_text,
)
from app.providers.checks import UNREADABLE, BadFieldError
from app.providers.provider import BookOptions, Fetch, HangUp, Notice, Ready, Replace, Send, Want
from app.providers.refusals import Refusals
from app.providers.requests import Request, Requests
from md_contract.events import BookL2, Event, Status
from md_contract.units import NS_PER_S

STREAMS_PER_REQUEST: Final = 200
REQUEST_INTERVAL_NS: Final = NS_PER_S // 3  # leaves room for ping and pong in the 5 messages a second
REQUEST_TIMEOUT_NS: Final = 10 * NS_PER_S
SNAPSHOT_WEIGHTS: Final = {100: 5, 500: 25, 1000: 50, 5000: 250}  # levels a side -> price
SNAPSHOT_ROOM: Final = 50  # times the published depth, so that the market may move before a snapshot is outgrown

QUIET_NS: Final = 2 * NS_PER_S  # from the subscription; a busy book changes every 100 ms
REFUSED_WAIT_S: Final = 60.0  # before a venue that has refused every stream is asked again

_Reader: TypeAlias = Callable[[Any, int], Sequence[Event]]


class BinanceConversation:
    """The pure side of one connection: trades, quotes and a book for each symbol."""

    def __init__(self, memory: Memory, backfill: Backfill, symbols: Sequence[str], books: BookOptions) -> None:
        self.due = NEVER
        self.wants: list[Want] = []
        self._memory = memory
        self._backfill = backfill
        self._symbols = tuple(symbols)
        self._depth = books.depth
        self._snapshot_limit = _snapshot_limit(books.depth)
        self._pace = Pace(int(NS_PER_S / books.rate_hz))
        self._requests = Requests(interval_ns=REQUEST_INTERVAL_NS, timeout_ns=REQUEST_TIMEOUT_NS)
        self._request_id = 0
        self._refusals = Refusals()
        self.refused = self._refusals.by_symbol
        self._opened = False
        self._accepted = 0  # streams
        self._ready = False
        self._unready = set(symbols)  # whose book may have to be waited for
        self._quiet_at: int | None = None  # monotonic: what has had no update by then is quiet
        self._is_quiet = False
        memory.generation += 1
        self._books = {symbol: Depth(symbol, memory.generation, memory, self._after_book) for symbol in symbols}
        self._streams = self._make_streams()
        shapes = {
            msgspec.defstruct("Frame", [("data", data)], tag_field="stream", tag=name, gc=False): reader
            for name, (data, reader) in self._streams.items()
        }
        self._readers: dict[type[Struct], _Reader] = dict(shapes)
        self._read: Callable[[bytes], Any] = msgspec.json.Decoder(Union[tuple(shapes)]).decode  # noqa: UP007 - made of a list

    def _make_streams(self) -> dict[str, tuple[type[Struct], _Reader]]:
        streams: dict[str, tuple[type[Struct], _Reader]] = {}
        for symbol in self._symbols:
            name = symbol.lower()
            streams[f"{name}@trade"] = (TradeData, Trades(symbol, self._memory, self._backfill).read)
            streams[f"{name}@bookTicker"] = (QuoteData, Quotes(symbol, self._memory).read)
            streams[f"{name}@depth@100ms"] = (DepthData, self._books[symbol].read)
        return streams

    def opened(self, ts_recv: int, reconnect_reason: str | None) -> Sequence[Event]:
        self._opened = True
        for symbol in self._symbols:
            self._memory.quote_mark(symbol).opened()
        names = tuple(self._streams)
        for start in range(0, len(names), STREAMS_PER_REQUEST):
            self._subscribe(names[start : start + STREAMS_PER_REQUEST])
        if reconnect_reason is None:
            return ()
        return [self._reconnected(symbol, ts_recv, reconnect_reason) for symbol in self._symbols]

    def _reconnected(self, symbol: str, ts_recv: int, reason: str) -> Status:
        last = self._memory.sequence(symbol).last
        detail = {"reason": reason, "last_trade_id": None if last is None else str(last)}
        return Status(NAME, symbol, ts_recv, "reconnect", detail)

    def subscribed(self) -> bool:
        return self._opened and self._accepted > 0 and self._requests.settled()

    def decode(self, frame: bytes, ts_recv: int) -> Sequence[Event]:
        try:
            message = self._read(frame)
            return self._readers[type(message)](message.data, ts_recv)
        except BadFieldError as error:
            self._set_aside(error.reason, frame)
        except UNREADABLE:
            self._read_other(frame)
        return ()

    def _read_other(self, frame: bytes) -> None:
        """Read what is no market data, or is none that can be understood."""
        try:
            fields = read_fields(frame)
        except UNREADABLE:
            self._set_aside("not_json", frame)
            return
        if "stream" in fields and "data" in fields:
            self._read_odd_stream(_text(fields["stream"]), frame)
        elif ("id" in fields and fields.keys() & {"result", "code", "error"}) or {"code", "msg"} <= fields.keys():
            self._read_answer(frame)
        elif "e" in fields and _text(fields["e"]) == "serverShutdown":
            self._want(Replace("serverShutdown"))
        else:
            self._set_aside("unknown_message", frame)

    def _read_odd_stream(self, name: str, frame: bytes) -> None:
        if name == "!serverShutdown":
            self._want(Replace("serverShutdown"))
        elif name in self._streams:
            symbol, _, kind = name.partition("@")
            if kind.startswith("depth"):
                self._books[symbol.upper()].sync.on_lost()
            self._set_aside("wrong_shape", frame)
        else:
            self._set_aside("unknown_stream", frame)

    def _read_answer(self, frame: bytes) -> None:
        try:
            answer = read_answer(frame)
        except UNREADABLE:
            self._set_aside("wrong_shape", frame)
            return
        request = self._requests.answered(answer.id)
        failure = answer.failure()
        if request is None:
            self._set_aside("answer", frame)
        elif not failure:
            self._accepted += len(request.topics)
        elif len(request.topics) > 1:  # one bad name fails them all: find it
            middle = len(request.topics) // 2
            self._subscribe(request.topics[:middle])
            self._subscribe(request.topics[middle:])
        else:
            self._refused(request.topics[0], failure)
        self._see_whether_ready()
        self.due = 0

    def _refused(self, name: str, failure: str) -> None:
        self._memory.counters.subscriptions_refused += 1
        self._want(Notice("subscription refused", {"stream": name, "answer": failure}))
        symbol, _, kind = name.partition("@")
        self._refusals.refused(symbol.upper(), kind, failure)
        if kind.startswith("depth"):
            self._unready.discard(symbol.upper())
        if self._requests.settled() and not self._accepted:
            self._want(HangUp("every stream was refused", REFUSED_WAIT_S))

    def _see_whether_ready(self) -> None:
        """A successor is ready when it has every book that its predecessor has, except those that are quiet."""
        if self._ready or not self.subscribed():
            return
        self._unready = {symbol for symbol in self._unready if self._books[symbol].is_missed(quiet=self._is_quiet)}
        if not self._unready:
            self._ready = True
            self._want(Ready())

    def fetched(self, fetch: Fetch, body: bytes, ts_recv: int) -> Sequence[Event]:
        book = self._books[fetch.topic]
        live = False
        try:
            raw = read_snapshot(body)
            bids, asks = book.changes(raw.bids), book.changes(raw.asks)
        except (*UNREADABLE, BadFieldError):
            self._set_aside("snapshot", body)
            book.sync.on_snapshot_unreadable()
        else:
            live = book.sync.on_snapshot(Snapshot(raw.lastUpdateId, bids, asks, self._snapshot_limit, ts_recv))
        if live:
            self._unready.discard(fetch.topic)
            self._see_whether_ready()
        self._after_book(fetch.topic, live)
        return ()

    def on_time(self, now: int) -> Sequence[Event]:
        if request := self._requests.release(now):
            self.wants.append(Send(request.frame))
        if request := self._requests.overdue(now):
            self.wants.append(HangUp(f"no answer to subscription request {request.id}"))
        events = [event for symbol in self._pace.ready(now) if (event := self._top(symbol))]
        self.due = min(self._pace.due, self._requests.due, self._wait_for_quiet(now))
        return events

    def _wait_for_quiet(self, now: int) -> int:
        """Return when it is known which books are quiet; NEVER when nobody needs to know."""
        if self._ready or self._is_quiet or not self.subscribed():
            return NEVER
        if self._quiet_at is None:
            self._quiet_at = now + QUIET_NS
        if now < self._quiet_at:
            return self._quiet_at
        self._is_quiet = True
        self._see_whether_ready()
        return NEVER

    def closed(self) -> Sequence[Event]:
        events = [event for symbol in self._pace.flush() if (event := self._top(symbol))]
        for symbol, book in self._books.items():
            book.closed()
            if self._opened:
                self._memory.quote_mark(symbol).closed()
        self._opened = False
        self.due = NEVER
        return events

    def _after_book(self, symbol: str, changed: bool) -> None:
        book = self._books[symbol]
        if changed and book.owns() and self._pace.touch(symbol):
            self.due = 0
        sync = book.sync
        if sync.wants_snapshot():
            sync.asked()
            limit = self._snapshot_limit
            path = f"/api/v3/depth?symbol={symbol}&limit={limit}"
            self._want(Fetch(path, symbol, SNAPSHOT_WEIGHTS[limit]))

    def _top(self, symbol: str) -> BookL2 | None:
        book = self._books[symbol].top(self._depth)
        self._after_book(symbol, changed=False)
        return book

    def _subscribe(self, names: Sequence[str]) -> None:
        self._request_id += 1
        frame = msgspec.json.encode({"method": "SUBSCRIBE", "params": names, "id": self._request_id})
        self._requests.ask(Request(self._request_id, frame, tuple(names)))
        self.due = 0

    def _set_aside(self, reason: str, frame: bytes) -> None:
        if self._memory.quarantine.add(reason, frame):
            sample = self._memory.quarantine.samples[reason]
            self._want(Notice("frame set aside", {"reason": reason, "sample": sample}))

    def _want(self, want: Want) -> None:
        self.wants.append(want)
        self.due = 0


def _snapshot_limit(depth: int) -> int:
    return next((limit for limit in SNAPSHOT_WEIGHTS if limit >= SNAPSHOT_ROOM * depth), max(SNAPSHOT_WEIGHTS))


def _text(raw: msgspec.Raw) -> str:
    """The text of a JSON string; any other value becomes the empty text."""
    try:
        return read_text(raw)
    except UNREADABLE:
        return ""
