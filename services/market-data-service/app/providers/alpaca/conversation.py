"""One connection to Alpaca, without the connection: login, subscriptions, and the frames in between."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from app.books.pace import NEVER, Pace
from app.providers.alpaca.books import Depth
from app.providers.alpaca.credentials import HIDDEN
from app.providers.alpaca.errors import RULES, STOP_S, UNKNOWN, Action, Rule
from app.providers.alpaca.feeds import BOOKS
from app.providers.alpaca.login import Login, LoginState
from app.providers.alpaca.market import Market
from app.providers.alpaca.memory import NAME, Memory
from app.providers.alpaca.renewal import Renewal
from app.providers.alpaca.subscriptions import Fate, Outcome, Subscriptions, by_channel
from app.providers.alpaca.wire import (
    IGNORED,
    BookData,
    Cancel,
    CoinTrade,
    Correction,
    Failure,
    Head,
    Listing,
    QuoteData,
    Reader,
    ShareTrade,
    Success,
    read_head,
    read_parts,
)
from app.providers.checks import UNREADABLE, BadFieldError
from app.providers.provider import BookOptions, Fetch, HangUp, Notice, Send, Want
from app.providers.refusals import Refusals
from md_contract.events import BookL2, Event, Status
from md_contract.units import NS_PER_S

REJOIN_INTERVAL_NS: Final = 10 * NS_PER_S  # how often one book may be left and joined again
MAX_ANSWER_CHARACTERS: Final = 200  # of the venue's words in a notice

_Read: TypeAlias = Callable[[Any, int], Sequence[Event]]


class AlpacaConversation:
    """The pure side of one connection: trades, quotes and, on the crypto feed, a book for each symbol."""

    def __init__(self, memory: Memory, symbols: Sequence[str], books: BookOptions) -> None:
        self.due = NEVER
        self.wants: list[Want] = []
        self._memory = memory
        self._symbols = tuple(symbols)
        self._book_depth = books.depth
        self._pace = Pace(int(NS_PER_S / books.rate_hz))
        self._rejoin_pace = Pace(REJOIN_INTERVAL_NS)
        self._login = Login(memory.credentials)
        self._subscriptions = Subscriptions()
        self._refusals = Refusals()
        self.refused = self._refusals.by_symbol
        self._subscribed = False
        self._carried: set[str] = set()  # symbols whose book was joined at some time
        self._hung_up = False
        market = Market(symbols, memory)
        has_books = memory.feed.has_books
        self._depths = {s: Depth(s, memory, self._book_changed) for s in symbols} if has_books else {}
        self._renewal = Renewal(tuple(self._depths))
        self._reader = Reader(memory.numbers.__getitem__, coins=has_books)
        self._reads: dict[type, _Read] = {
            ShareTrade: market.read_share_trade,
            CoinTrade: market.read_coin_trade,
            QuoteData: market.read_quote,
            Correction: market.read_correction,
            Cancel: market.read_cancel,
            BookData: self._read_book,
            Success: self._read_success,
            Failure: self._read_failure,
            Listing: self._read_listing,
            **dict.fromkeys(IGNORED, self._ignore),
        }

    def opened(self, ts_recv: int, reconnect_reason: str | None) -> Sequence[Event]:
        self.due = 0
        if reconnect_reason is None:
            return ()
        return [self._reconnected(symbol, ts_recv, reconnect_reason) for symbol in self._symbols]

    def _reconnected(self, symbol: str, ts_recv: int, reason: str) -> Status:
        ids = self._memory.trade_ids(symbol)
        ids.on_break()
        return Status(NAME, symbol, ts_recv, "reconnect", {"reason": reason, "last_trade_id": ids.last})

    def subscribed(self) -> bool:
        """True once every topic has been answered and one was joined at least, also while one is later joined again."""
        return self._subscribed

    def decode(self, frame: bytes, ts_recv: int) -> Sequence[Event]:
        try:
            messages = self._reader.all(frame)
        except UNREADABLE:
            return self._read_one_by_one(frame, ts_recv)
        reads = self._reads
        events: list[Event] = []
        faults: dict[int, str] = {}
        for index, message in enumerate(messages):
            try:
                events += reads[type(message)](message, ts_recv)
            except BadFieldError as error:
                faults[index] = error.reason
        if faults:
            parts = read_parts(frame)
            for index, reason in faults.items():
                self._set_aside(reason, bytes(parts[index]))
        return events

    def _read_one_by_one(self, frame: bytes, ts_recv: int) -> Sequence[Event]:
        """Read a frame in which something is unreadable: that costs none of the other messages."""
        try:
            parts = read_parts(frame)
        except UNREADABLE:
            self._doubt(None)
            self._set_aside("wrong_shape" if _is_json(frame) else "not_json", frame)
            return ()
        events: list[Event] = []
        for part in parts:
            try:
                message = self._reader.one(part)
                events += self._reads[type(message)](message, ts_recv)
            except BadFieldError as error:
                self._set_aside(error.reason, bytes(part))
            except UNREADABLE:
                self._set_aside(self._odd(part), bytes(part))
        return events

    def _odd(self, part: msgspec.Raw) -> str:
        """Say what is wrong with an unreadable message; if it was a change of a book, that book is no longer known."""
        try:
            head = read_head(part)
        except UNREADABLE:
            head = Head()
        if head.T == "o":
            self._doubt(head.S)
        return "wrong_shape" if head.T in self._reader.tags else "unknown_message"

    def _doubt(self, symbol: str | None) -> None:
        """A change of this book was lost, or of any of them if nobody can tell which."""
        for depth in self._depths.values():
            if symbol in (None, depth.symbol):
                depth.lost()

    def _ignore(self, _message: object, _ts_recv: int) -> Sequence[Event]:
        self._memory.counters.ignored_messages += 1
        return ()

    def _read_book(self, raw: BookData, ts_recv: int) -> Sequence[Event]:
        depth = self._depths.get(raw.S)
        if depth is None:
            raise BadFieldError("unknown_stream")
        return depth.read(raw, ts_recv)

    def _read_success(self, raw: Success, _ts_recv: int) -> Sequence[Event]:
        if raw.msg == "connected":
            self._login.on_greeting()
        elif raw.msg == "authenticated":
            self._logged_in()
        else:
            raise BadFieldError("unknown_message")
        self.due = 0
        return ()

    def _logged_in(self) -> None:
        if self._login.state is not LoginState.IN:
            self._login.on_accepted()
            self._subscriptions.join(self._memory.feed.channels, self._symbols)

    def _read_listing(self, raw: Listing, _ts_recv: int) -> Sequence[Event]:
        self._settle(self._subscriptions.listed(raw.topics()), "not in the venue's list of what is subscribed", "")
        return ()

    def _read_failure(self, raw: Failure, _ts_recv: int) -> Sequence[Event]:
        rule = RULES.get(raw.code, UNKNOWN)
        answer = f"error {raw.code}: {self._shown(raw.msg)}"
        self.due = 0
        match rule.action:
            case _ if self._hung_up:
                pass
            case Action.GO_ON:
                self._logged_in()
            case Action.LOG_IN_AGAIN:
                self._busy(rule, answer)
            case Action.SPLIT | Action.REDUCE:
                self._refused(rule, answer)
            case Action.RECONNECT:
                self._give_up(rule, answer, 0.0)
            case Action.STOP:
                self._give_up(rule, answer, STOP_S)
        return ()

    def _busy(self, rule: Rule, answer: str) -> None:
        self._memory.counters.turned_away += 1
        if self._login.state is LoginState.IN:  # of two connections, the venue ends the one it likes
            self._give_up(rule, answer, 0.0)
            return
        if self._login.tries <= 1:
            self._want(Notice("login refused", {"answer": answer, "why": rule.advice, "next": "trying again here"}))
        self._login.on_busy()

    def _refused(self, rule: Rule, answer: str) -> None:
        outcomes = self._subscriptions.refused(is_full=rule.action is Action.REDUCE)
        if outcomes is not None:
            self._settle(outcomes, answer, rule.advice)
        elif self._login.state is LoginState.IN:
            raise BadFieldError("answer")
        else:  # it is the login that was refused
            self._give_up(RULES[402], answer, STOP_S)

    def _give_up(self, rule: Rule, answer: str, wait_s: float) -> None:
        if wait_s:
            self._memory.counters.turned_away += 1
        if rule.advice:
            next_try = f"trying again in {wait_s / 60:.0f} min" if wait_s else "connecting anew"
            self._want(Notice("refused by the venue", {"answer": answer, "do": rule.advice, "next": next_try}))
        self._say(HangUp(answer, wait_s))

    def _settle(self, outcomes: Sequence[Outcome], answer: str, advice: str) -> None:
        self.due = 0  # what follows may start a timer
        for fate, topics in outcomes:
            books = [symbol for channel, symbol in topics if channel == BOOKS]
            if fate is Fate.JOINED:
                self._carried.update(books)
                for channel, symbol in topics:
                    self._refusals.joined(symbol, channel)
            elif fate is Fate.LEFT:
                for symbol in books:
                    self._depths[symbol].left()
            else:
                self._memory.counters.subscriptions_refused += len(topics)
                for channel, symbol in topics:
                    self._refusals.refused(symbol, channel, answer)
                fields = {channel: ",".join(symbols) for channel, symbols in by_channel(topics).items()}
                self._want(Notice("subscription refused", {**fields, "answer": answer, "do": advice}))
        if not self._subscribed and self._subscriptions.settled():
            self._subscribed = bool(self._subscriptions.carried)
            if not self._subscribed:
                self._say(HangUp("every subscription was refused", STOP_S))

    def fetched(self, fetch: Fetch, body: bytes, ts_recv: int) -> Sequence[Event]:  # noqa: ARG002 - nothing is fetched
        return ()

    def on_time(self, now: int) -> Sequence[Event]:
        for symbol in self._rejoin_pace.ready(now):
            if self._depths[symbol].sync.wants_snapshot():
                self._rejoin(symbol)
        if self._subscribed and (turn := self._renewal.on_time(now)):
            self._rejoin(turn)
        if not self._hung_up:
            self._say(self._login.on_time(now))
        if self._login.state is LoginState.IN:
            self._say(self._subscriptions.on_time(now))
        events = [event for symbol in self._pace.ready(now) if (event := self._top(symbol))]
        self.due = min(self._pace.due, self._rejoin_pace.due, self._control_due())
        return events

    def _control_due(self) -> int:
        if self._hung_up:
            return NEVER
        renewal = self._renewal.due if self._subscribed else NEVER
        return min(self._login.due, self._subscriptions.due, renewal)

    def closed(self) -> Sequence[Event]:
        self.due = NEVER
        return [event for symbol in self._pace.flush() if (event := self._top(symbol))]

    def _rejoin(self, symbol: str) -> None:
        """Leave a book in order to join it again, unless it has never been carried."""
        if symbol in self._carried:
            self._depths[symbol].sync.leaving()
            self._subscriptions.rejoin((BOOKS, symbol))

    def _say(self, want: Send | HangUp | None) -> None:
        if want is None or self._hung_up:
            return
        self._hung_up = isinstance(want, HangUp)
        self._want(want)

    def _book_changed(self, symbol: str) -> None:
        wants_snapshot = self._depths[symbol].sync.wants_snapshot()
        if (self._rejoin_pace if wants_snapshot else self._pace).touch(symbol):
            self.due = 0

    def _top(self, symbol: str) -> BookL2 | None:
        return self._depths[symbol].top(self._book_depth)

    def _set_aside(self, reason: str, frame: bytes) -> None:
        """Count what cannot be used. Until we are logged in it may repeat our keys in any form, and is not kept."""
        quarantine = self._memory.quarantine
        is_safe = self._login.state is LoginState.IN and reason not in quarantine.samples
        if quarantine.add(reason, self._memory.credentials.show(frame) if is_safe else HIDDEN.encode()):
            self._want(Notice("frame set aside", {"reason": reason, "sample": quarantine.samples[reason]}))

    def _shown(self, words: str) -> str:
        return self._memory.credentials.show(words.encode("utf-8", "replace")).decode()[:MAX_ANSWER_CHARACTERS]

    def _want(self, want: Want) -> None:
        self.wants.append(want)
        self.due = 0


def _is_json(frame: bytes) -> bool:
    try:
        msgspec.json.decode(frame, type=msgspec.Raw)
    except UNREADABLE:
        return False
    return True
