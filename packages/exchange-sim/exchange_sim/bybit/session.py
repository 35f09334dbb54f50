"""One client of Bybit's public stream server: its requests and its subscriptions.

Requests and their answers on spot, and what differs on linear (PROTOCOLS 3.3):

    {"req_id":"s1","op":"subscribe","args":["publicTrade.BTCUSDT"]}
    {"success":true,"ret_msg":"subscribe","conn_id":"...","req_id":"s1","op":"subscribe"}    linear: "ret_msg":""
    {"success":false,"ret_msg":"error:handler not found,topic:orderbook.500.BTCUSDT", ...}   nothing of it is subscribed
    {"req_id":"p1","op":"ping"}
    {"success":true,"ret_msg":"pong","conn_id":"...","op":"ping"}                            linear: with "req_id"

Spot leaves an absent `req_id` out of the answer, linear writes it as an empty text. What the venue says to a request
that it cannot understand, or with too many characters, is not documented: those texts are invented.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from exchange_sim.bybit.oddities import BadAck, Oddities
from exchange_sim.bybit.topics import NAME, stream_of
from exchange_sim.frame import Frame
from exchange_sim.venue import Close, Habits, OpenDoor, Outcome, Variant

MAX_SPOT_ARGS: Final = 10  # in one request
MAX_CHARACTERS: Final = 21_000  # of all topics of a connection, as a JSON list
_encode: Final = msgspec.json.Encoder().encode


class RequestError(ValueError):
    """A request that the venue refuses, in the venue's words."""


class BybitSession(OpenDoor):
    """A connection's subscriptions, kept in the order in which they were made."""

    venue: Final = NAME
    habits: Final = Habits(idles=True)
    variant: Final[Variant] = 0

    def __init__(
        self,
        category: str,
        conn_id: str,
        *,
        has: Callable[[str], bool],
        first: Callable[[str], bytes | None],
        now_ms: Callable[[], int],
        oddities: Oddities,
    ) -> None:
        """`has` tells whether there is a topic, `first` returns what a new subscriber of a topic gets at once."""
        self._category = category
        self._conn_id = conn_id
        self._has = has
        self._first = first
        self._now_ms = now_ms
        self._oddities = oddities
        self._topics: dict[str, None] = {}

    @property
    def streams(self) -> Iterable[str]:
        return [stream_of(self._category, topic) for topic in self._topics]

    def admit(self, _now_s: float) -> Close | None:
        """Admit every frame: the venue counts none."""
        return None

    def receive(self, text: bytes) -> Outcome:
        """Answer one request."""
        op, req_id = "", ""
        try:
            request = _request(text)
            op, req_id = str(request.get("op", "")), str(request.get("req_id", ""))
            if op == "ping":
                return Outcome([self._pong(req_id)])
            if op == "unsubscribe":
                for topic in _topics(request):
                    self._topics.pop(topic, None)
                return Outcome([self._answer(True, self._done(op), op, req_id)])
            if op == "subscribe":
                return self._subscribe(_topics(request), req_id)
        except RequestError as error:
            return Outcome([self._answer(False, str(error), op, req_id)])
        return Outcome([self._answer(False, "error:invalid op", op, req_id)])

    def _subscribe(self, topics: list[str], req_id: str) -> Outcome:
        self._check(topics)
        bad = self._oddities.bad_acks.popleft() if self._oddities.bad_acks else None
        if bad is BadAck.REFUSED:
            raise RequestError("error:internal error")
        if bad is BadAck.MISSING:
            return Outcome()
        answer = self._answer(
            True, self._done("subscribe"), "subscribe", "another" if bad is BadAck.FOREIGN else req_id
        )
        if bad is BadAck.HOLLOW:
            return Outcome([answer])
        self._topics |= dict.fromkeys(topics)
        frames = [
            Frame(stream_of(self._category, topic), data)
            for topic in topics
            if (data := self._first(topic)) is not None
        ]
        if bad is BadAck.CUT:
            answer = answer[: len(answer) // 2]
        return Outcome([answer], frames, frames_first=bad is BadAck.LATE)

    def _check(self, topics: list[str]) -> None:
        if self._category == "spot" and len(topics) > MAX_SPOT_ARGS:
            raise RequestError(f"args size >{MAX_SPOT_ARGS}")
        if len(_encode([*self._topics, *topics])) > MAX_CHARACTERS:
            raise RequestError(f"args length >{MAX_CHARACTERS}")
        asked: set[str] = set()
        for topic in topics:
            if not self._has(topic):
                raise RequestError(f"error:handler not found,topic:{topic}")
            if topic in self._topics or topic in asked:
                raise RequestError(f"error:already subscribed,topic:{topic}")
            asked.add(topic)

    def _done(self, op: str) -> str:
        return op if self._category == "spot" else ""

    def _pong(self, req_id: str) -> bytes:
        if self._oddities.option_pongs:
            return _encode({"args": [str(self._now_ms())], "op": "pong"})
        return self._answer(True, "pong", "ping", "" if self._category == "spot" else req_id)

    def _answer(self, success: bool, message: str, op: str, req_id: str) -> bytes:
        answer: dict[str, object] = {"success": success, "ret_msg": message, "conn_id": self._conn_id}
        if req_id or self._category != "spot":
            answer["req_id"] = req_id
        return _encode({**answer, "op": op})


def _request(text: bytes) -> dict[str, Any]:
    try:
        request = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RequestError("error:invalid json") from None
    if not isinstance(request, dict):
        raise RequestError("error:invalid request")
    return request


def _topics(request: dict[str, Any]) -> list[str]:
    topics = request.get("args")
    if not isinstance(topics, list) or not topics or not all(isinstance(topic, str) for topic in topics):
        raise RequestError("Params Error")
    return topics
