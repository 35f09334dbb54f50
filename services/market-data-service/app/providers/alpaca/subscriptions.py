"""What one connection carries: asked for request by request, and believed only when the venue lists it.

The venue numbers neither requests nor answers, so one request is on its way at a time. Its answer is either an error or
the complete list of what is subscribed, which is compared with what was asked for.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias

import msgspec

from app.books.pace import NEVER
from app.providers.provider import HangUp, Send
from md_contract.units import NS_PER_S

SYMBOLS_PER_REQUEST: Final = 200
ANSWER_NS: Final = 10 * NS_PER_S

Topic: TypeAlias = tuple[str, str]  # channel, symbol


class Fate(StrEnum):
    """What became of topics that were asked for."""

    JOINED = "joined"
    REFUSED = "refused"
    LEFT = "left"


class Outcome(NamedTuple):
    fate: Fate
    topics: tuple[Topic, ...]


class _Request(NamedTuple):
    topics: tuple[Topic, ...]
    ends: bool = False  # unsubscribes
    again: bool = False  # asks for what an earlier answer left out


class Subscriptions:
    """Asks for topics and tells from the answers what became of each. Times are monotonic ns."""

    def __init__(self) -> None:
        self.carried: set[Topic] = set()
        self._unsent: deque[_Request] = deque()
        self._open: _Request | None = None
        self._deadline = NEVER

    def join(self, channels: Sequence[str], symbols: Sequence[str]) -> None:
        for start in range(0, len(symbols), SYMBOLS_PER_REQUEST):
            share = symbols[start : start + SYMBOLS_PER_REQUEST]
            self._unsent.append(_Request(tuple((channel, symbol) for symbol in share for channel in channels)))

    def rejoin(self, topic: Topic) -> None:
        """Leave a topic in order to join it again."""
        self._unsent.append(_Request((topic,), ends=True))

    def listed(self, listing: Collection[Topic]) -> list[Outcome]:
        """Take the list of what is subscribed now. What it lacks is asked for once more, and then counts as refused."""
        request, self._open, self._deadline = self._open, None, NEVER
        outcomes = []
        if request is not None and request.ends:
            self.carried.difference_update(request.topics)
            self._unsent.appendleft(_Request(request.topics))
            outcomes.append(Outcome(Fate.LEFT, request.topics))
        elif request is not None:
            joined = tuple(topic for topic in request.topics if topic in listing)
            missing = tuple(topic for topic in request.topics if topic not in listing)
            self.carried.update(joined)
            outcomes.append(Outcome(Fate.JOINED, joined))
            if missing and request.again:
                outcomes.append(Outcome(Fate.REFUSED, missing))
            elif missing:
                self._unsent.append(_Request(missing, again=True))
        if lost := tuple(sorted(self.carried.difference(listing))):
            self.carried.difference_update(lost)
            outcomes.append(Outcome(Fate.LEFT, lost))
            self._unsent.append(_Request(lost, again=True))
        return outcomes

    def refused(self, *, is_full: bool) -> list[Outcome] | None:
        """Take an error that answers the open request; return None when there is none.

        The request is asked again in halves until the topic at fault stands alone. When the venue `is_full`, it will
        take no more of that channel; else it is the symbol that it does not understand, on whatever channel.
        """
        request, self._open, self._deadline = self._open, None, NEVER
        if request is None:
            return None
        if request.ends:  # it was no longer carried
            self.carried.difference_update(request.topics)
            self._unsent.appendleft(_Request(request.topics))
            return [Outcome(Fate.LEFT, request.topics)]
        if len(request.topics) > 1:
            middle = len(request.topics) // 2
            self._unsent.appendleft(request._replace(topics=request.topics[middle:]))
            self._unsent.appendleft(request._replace(topics=request.topics[:middle]))
            return []
        topic = request.topics[0]
        part = 0 if is_full else 1
        return [Outcome(Fate.REFUSED, (topic, *self._drop(lambda other: other[part] == topic[part])))]

    def _drop(self, is_hopeless: Callable[[Topic], bool]) -> list[Topic]:
        """Give up topics that were still to be asked for."""
        kept: deque[_Request] = deque()
        dropped: list[Topic] = []
        for request in self._unsent:
            if request.ends:
                kept.append(request)
                continue
            dropped += filter(is_hopeless, request.topics)
            if topics := tuple(topic for topic in request.topics if not is_hopeless(topic)):
                kept.append(request._replace(topics=topics))
        self._unsent = kept
        return dropped

    def on_time(self, now: int) -> Send | HangUp | None:
        if self._open is not None and now >= self._deadline:
            self._deadline = NEVER
            return HangUp(f"no answer to a subscription request within {ANSWER_NS // NS_PER_S} s")
        if self._open is not None or not self._unsent:
            return None
        self._open = self._unsent.popleft()
        self._deadline = now + ANSWER_NS
        return Send(_frame(self._open))

    def settled(self) -> bool:
        """True when everything has been sent and answered."""
        return self._open is None and not self._unsent

    @property
    def due(self) -> int:
        """When `on_time` next has something to say."""
        return 0 if self._open is None and self._unsent else self._deadline


def _frame(request: _Request) -> bytes:
    return msgspec.json.encode({"action": "unsubscribe" if request.ends else "subscribe", **by_channel(request.topics)})


def by_channel(topics: Iterable[Topic]) -> dict[str, list[str]]:
    """The symbols of each channel."""
    symbols: dict[str, list[str]] = {}
    for channel, symbol in topics:
        symbols.setdefault(channel, []).append(symbol)
    return symbols
