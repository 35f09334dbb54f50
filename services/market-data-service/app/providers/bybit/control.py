"""The control messages of one connection: subscriptions in small groups, and the pings that keep it open."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec

from app.books.pace import NEVER
from app.providers.bybit.wire import Answer
from app.providers.provider import HangUp, Send
from app.providers.requests import Request, Requests
from md_contract.units import NS_PER_MS, NS_PER_S

TOPICS_PER_REQUEST: Final = 10
REQUEST_INTERVAL_NS: Final = 50 * NS_PER_MS
REQUEST_TIMEOUT_NS: Final = 10 * NS_PER_S
PING_INTERVAL_NS: Final = 20 * NS_PER_S
PONG_TIMEOUT_NS: Final = 10 * NS_PER_S
PING: Final = b'{"req_id":"ping","op":"ping"}'

_ALREADY: Final = "already subscribed"


class Fate(StrEnum):
    """What became of a topic that was asked for."""

    JOINED = "joined"
    REFUSED = "refused"
    LEFT = "left"


class Subscriptions:
    """Asks for topics and tells from the answers what became of each. Times are monotonic ns."""

    def __init__(self) -> None:
        self._requests = Requests(interval_ns=REQUEST_INTERVAL_NS, timeout_ns=REQUEST_TIMEOUT_NS)
        self._last_id = 0
        self._leaving: set[int] = set()  # the requests that end a topic
        self._unanswered: dict[int, None] = {}  # the requests on their way, oldest first

    def join(self, topics: Sequence[str]) -> None:
        for start in range(0, len(topics), TOPICS_PER_REQUEST):
            self._ask("subscribe", topics[start : start + TOPICS_PER_REQUEST])

    def leave(self, topic: str) -> None:
        self._leaving.add(self._ask("unsubscribe", (topic,)))

    def answered(self, answer: Answer) -> list[tuple[Fate, str]] | None:
        """Return what the answer says of which topics; None when nobody asked.

        One bad topic fails its whole request, so each topic of a failed request is asked for again on its own.
        """
        request = self._requests.answered(self._id(answer))
        if request is None:
            return None
        del self._unanswered[request.id]
        if request.id in self._leaving:
            self._leaving.discard(request.id)
            return [(Fate.LEFT, request.topics[0])]
        if answer.success or (len(request.topics) == 1 and _ALREADY in answer.ret_msg):
            return [(Fate.JOINED, topic) for topic in request.topics]
        if len(request.topics) == 1:
            return [(Fate.REFUSED, request.topics[0])]
        for topic in request.topics:
            self._ask("subscribe", (topic,))
        return []

    def on_time(self, now: int) -> Send | HangUp | None:
        if request := self._requests.release(now):
            self._unanswered[request.id] = None
            return Send(request.frame)
        if request := self._requests.overdue(now):
            return HangUp(f"no answer to subscription request {request.id}")
        return None

    def settled(self) -> bool:
        return self._requests.settled()

    @property
    def due(self) -> int:
        return self._requests.due

    def _ask(self, op: str, topics: Sequence[str]) -> int:
        self._last_id += 1
        frame = msgspec.json.encode({"req_id": str(self._last_id), "op": op, "args": topics})
        self._requests.ask(Request(self._last_id, frame, tuple(topics)))
        return self._last_id

    def _id(self, answer: Answer) -> int | None:
        """The id of the request; answers come in order, so one that names none belongs to the oldest."""
        if answer.req_id == "":
            return next(iter(self._unanswered), None)
        text = str(answer.req_id)
        return int(text) if text.isdecimal() and len(text) < 10 else None


class Pings:
    """Pings every 20 s from the first call of `on_time`, and hangs up when no pong comes. Times are monotonic ns."""

    def __init__(self) -> None:
        self.due = 0
        self._next = NEVER
        self._deadline = NEVER

    def on_pong(self) -> None:
        self._deadline = NEVER

    def on_time(self, now: int) -> Send | HangUp | None:
        want: Send | HangUp | None = None
        if self._next == NEVER:
            self._next = now + PING_INTERVAL_NS
        elif now >= self._deadline:
            want = HangUp(f"no pong within {PONG_TIMEOUT_NS // NS_PER_S} s of a ping")
            self._deadline = NEVER
        elif now >= self._next:
            want = Send(PING)
            self._next = now + PING_INTERVAL_NS
            self._deadline = now + PONG_TIMEOUT_NS
        self.due = min(self._next, self._deadline)
        return want
