"""How often each key may speak: at once after a pause, else at its next turn, and the last word is always heard."""

from heapq import heappop, heappush
from typing import Final

NEVER: Final = 2**63 - 1  # a time that does not come


class Pace:
    """Lets each key through at most once per interval, trailing edge included. Times are monotonic ns."""

    def __init__(self, interval_ns: int) -> None:
        self._interval_ns = interval_ns
        self._last: dict[str, int] = {}
        self._touched: list[str] = []  # since the last call of `ready`
        self._waiting: list[tuple[int, str]] = []  # heap of (its turn, key)
        self._known: set[str] = set()  # keys in either of the two

    def touch(self, key: str) -> bool:
        """`key` has something new to say; return False when its turn is already coming."""
        if key in self._known:
            return False
        self._known.add(key)
        self._touched.append(key)
        return True

    def ready(self, now: int) -> list[str]:
        """Return the keys whose turn it is; each has then spoken at `now`."""
        for key in self._touched:
            last = self._last.get(key)
            heappush(self._waiting, (now if last is None else max(now, last + self._interval_ns), key))
        self._touched.clear()
        keys = []
        while self._waiting and self._waiting[0][0] <= now:
            _, key = heappop(self._waiting)
            self._known.discard(key)
            self._last[key] = now
            keys.append(key)
        return keys

    def flush(self) -> list[str]:
        """Return every key that still has something to say, and forget it."""
        keys = [*self._touched, *(key for _, key in sorted(self._waiting))]
        self._touched.clear()
        self._waiting.clear()
        self._known.clear()
        return keys

    @property
    def due(self) -> int:
        """When `ready` next has something to do: 0 is at once, NEVER not at all."""
        if self._touched:
            return 0
        return self._waiting[0][0] if self._waiting else NEVER
