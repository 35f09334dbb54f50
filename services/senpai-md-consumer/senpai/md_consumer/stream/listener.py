"""One reader of the stream and what waits for it, as server-sent events."""

import json
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

FEATURES: Final = "features"
SIGNALS: Final = "signals"
ALERTS: Final = "alerts"
KINDS: Final = (FEATURES, SIGNALS, ALERTS)

PIECE_BYTES: Final = 65_536  # about as much as uvicorn buffers before it waits for the client


class Wish(NamedTuple):
    """What a reader wants to hear; `symbols` None: of all symbols."""

    kinds: frozenset[str]
    symbols: frozenset[str] | None

    def wants(self, kind: str, symbol: str | None) -> bool:
        """Whether a message belongs to it. One that is about no symbol in particular is about all of them."""
        return kind in self.kinds and (symbol is None or self.symbols is None or symbol in self.symbols)


class Listener:
    """What waits for one reader: the latest features of each symbol, and every signal and alert.

    Features of a symbol that were not taken yet give way to newer ones (`conflated`). Signals and alerts are never left
    out: when more than `bound` of them wait, the reader is too slow and is told so by the last event.
    """

    def __init__(self, wish: Wish, bound: int, wake: Callable[[], None]) -> None:
        self.wish = wish
        self.sent = 0
        self.conflated = 0
        self.over = False  # nothing more is added
        self._bound = bound
        self._wake = wake
        self._features: dict[str, bytes] = {}
        self._messages: deque[tuple[str, bytes]] = deque()
        self._last_words = b""

    def put_features(self, subject: str, payload: bytes) -> None:
        """Newer features of a symbol; they keep its place in the row, so that no busy symbol holds up another."""
        self.conflated += subject in self._features
        self._features[subject] = payload
        self._wake()

    def put(self, kind: str, payload: bytes) -> bool:
        """A signal or an alert; false when there is no room for it."""
        if len(self._messages) >= self._bound:
            return False
        self._messages.append((kind, payload))
        self._wake()
        return True

    def end(self, why: str, hint: str) -> None:
        """Add nothing more; what waits is still taken, and then `why` as the event `closed`."""
        if not self.over:
            self.over = True
            self._last_words = b"event: closed\ndata: %b\n\n" % json.dumps({"why": why, "hint": hint}).encode()
            self._wake()

    def take(self) -> bytes:
        """The next events, about PIECE_BYTES of them, signals and alerts first; empty when nothing waits."""
        pieces: list[bytes] = []
        size = 0
        while size < PIECE_BYTES and (self._messages or self._features):
            if self._messages:
                kind, payload = self._messages.popleft()
            else:
                kind, payload = FEATURES, self._features.pop(next(iter(self._features)))
            self.sent += 1
            pieces.append(b"id: %d\nevent: %b\ndata: %b\n\n" % (self.sent, kind.encode(), payload))
            size += len(payload)
        if not pieces:
            last, self._last_words = self._last_words, b""
            return last
        return b"".join(pieces)
