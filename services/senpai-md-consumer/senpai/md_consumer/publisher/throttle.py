"""How often each symbol may be published; the last state of a burst always is. Pure: time is an argument."""

from heapq import heappop, heappush

from md_contract.units import NS_PER_S


class Throttle:
    """At most `rate_hz` per key; what is touched meanwhile comes due when its time is up, oldest first.

    A key that has come due goes behind all that came due before it, so no busy key holds up another. One number,
    `next_due`, is all that a timer has to know, however many keys there are.
    """

    def __init__(self, rate_hz: float) -> None:
        self.interval_ns = round(NS_PER_S / rate_hz)
        self._last: dict[str, int] = {}
        self._waiting: set[str] = set()
        self._due: list[tuple[int, int, str]] = []  # a heap of (when, order of arrival, key)
        self._arrivals = 0

    def __len__(self) -> int:
        """Keys that wait to be published."""
        return len(self._waiting)

    @property
    def next_due(self) -> int | None:
        """When the next key comes due; None when none waits."""
        return self._due[0][0] if self._due else None

    def touch(self, key: str, now_ns: int) -> None:
        """The key has something new: due now, or one interval after it was last taken."""
        if key in self._waiting:
            return
        last = self._last.get(key)
        due = now_ns if last is None else max(now_ns, last + self.interval_ns)
        self._arrivals += 1
        self._waiting.add(key)
        heappush(self._due, (due, self._arrivals, key))

    def take(self, now_ns: int) -> str | None:
        """The key that has been due longest, or None; the caller publishes it now."""
        if not self._due or self._due[0][0] > now_ns:
            return None
        key = heappop(self._due)[2]
        self._waiting.discard(key)
        self._last[key] = now_ns
        return key

    def take_any(self, now_ns: int) -> str | None:
        """Like `take`, without waiting for the time to be up: for the end of a run."""
        return self.take(max(now_ns, self._due[0][0])) if self._due else None

    def forget(self, key: str) -> None:
        """Keep nothing of a key that is not published."""
        self._last.pop(key, None)
