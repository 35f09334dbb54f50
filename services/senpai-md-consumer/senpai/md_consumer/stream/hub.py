"""Who follows the stream, and who hears what."""

from collections.abc import Callable
from typing import Final

from md_contract import codec
from md_contract.subjects import ALERTS as ALERTS_SUBJECT
from md_contract.subjects import FEATURES as FEATURES_SUBJECT
from md_contract.subjects import SIGNALS as SIGNALS_SUBJECT
from md_contract.subjects import unescape
from senpai.md_consumer.stream.listener import ALERTS, FEATURES, SIGNALS, Listener, Wish

MAX_LISTENERS: Final = 64
MAX_WAITING: Final = 1_000  # signals and alerts for one reader

_KINDS: Final = {FEATURES_SUBJECT: FEATURES, SIGNALS_SUBJECT: SIGNALS}  # by what stands before the symbol


class TooManyListenersError(RuntimeError):
    """The stream has as many readers as it takes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(f"the stream has {limit} readers, which is all it takes")


class Hub:
    """Hands what is published to those who want to hear it; while nobody does, it is not even asked."""

    def __init__(self, max_listeners: int = MAX_LISTENERS, max_waiting: int = MAX_WAITING) -> None:
        self.max_listeners = max_listeners
        self.listeners: set[Listener] = set()
        self.joined = 0
        self.refused = 0  # readers beyond the limit
        self.too_slow = 0  # readers that were closed because they did not keep up
        self._max_waiting = max_waiting
        self._sent = 0  # by those who have left
        self._conflated = 0
        self._routes: dict[str, tuple[Listener, ...]] = {}  # by subject; made anew when somebody comes or goes

    @property
    def sent(self) -> int:
        """Messages that readers have taken, all readers together."""
        return self._sent + sum(listener.sent for listener in self.listeners)

    @property
    def conflated(self) -> int:
        """Feature messages that gave way to newer ones, all readers together."""
        return self._conflated + sum(listener.conflated for listener in self.listeners)

    def join(self, wish: Wish, wake: Callable[[], None]) -> Listener:
        """A new reader; `wake` is called when something waits for it.

        Raises:
            TooManyListenersError: there are `max_listeners` already.
        """
        if len(self.listeners) >= self.max_listeners:
            self.refused += 1
            raise TooManyListenersError(self.max_listeners)
        listener = Listener(wish, self._max_waiting, wake)
        self.joined += 1
        self.listeners.add(listener)
        self._routes.clear()
        return listener

    def leave(self, listener: Listener) -> None:
        """The reader is gone. Twice is as good as once."""
        if listener in self.listeners:
            self.listeners.discard(listener)
            self._routes.clear()
            self._sent += listener.sent
            self._conflated += listener.conflated

    def offer(self, subject: str, payload: bytes) -> None:
        """A message that was published."""
        if subject == ALERTS_SUBJECT:
            symbol = codec.decode_alert(payload).symbol
            for listener in self.listeners:
                if listener.wish.wants(ALERTS, symbol):
                    self._put(listener, ALERTS, payload)
            return
        listeners = self._routes.get(subject)
        if listeners is None:
            listeners = self._routes[subject] = self._route(subject)
        if listeners and subject.startswith(FEATURES_SUBJECT):
            for listener in listeners:
                if not listener.over:
                    listener.put_features(subject, payload)
        else:
            for listener in listeners:
                self._put(listener, SIGNALS, payload)

    def close(self, why: str, hint: str) -> None:
        """End every reader's stream."""
        for listener in self.listeners:
            listener.end(why, hint)

    def _route(self, subject: str) -> tuple[Listener, ...]:
        prefix, _, token = subject.rpartition(".")
        kind = _KINDS.get(prefix)
        if kind is None:
            return ()
        symbol = unescape(token)
        return tuple(listener for listener in self.listeners if listener.wish.wants(kind, symbol))

    def _put(self, listener: Listener, kind: str, payload: bytes) -> None:
        if not listener.over and not listener.put(kind, payload):
            self.too_slow += 1
            listener.end(
                f"too slow: {self._max_waiting} signals and alerts were waiting to be read, and there is one more",
                "connect again and read faster, or ask for fewer symbols; GET /signals/latest has the last signals",
            )
