"""Signals and alerts that NATS did not take, kept for a while. Pure: time is an argument."""

from collections import deque

from msgspec import Struct

from md_contract.signals import Alert, Signal


class Kept(Struct, frozen=True):
    """One message as it goes out, and the monotonic time after which nobody wants it (None: it does not age)."""

    message: Signal | Alert
    subject: str
    payload: bytes
    expires_ns: int | None


class Outbox:
    """First in, first out; beyond `bound` the oldest is given up, and what is out of date is never sent."""

    def __init__(self, bound: int) -> None:
        self.expired = 0
        self.overflowed = 0
        self._bound = bound
        self._kept: deque[Kept] = deque()

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, kept: Kept) -> None:
        if len(self._kept) >= self._bound:
            self._kept.popleft()
            self.overflowed += 1
        self._kept.append(kept)

    def first(self, now_ns: int) -> Kept | None:
        """The oldest message that is still wanted at `now_ns`; it stays until `sent`."""
        while self._kept and _is_over(self._kept[0], now_ns):
            self._kept.popleft()
            self.expired += 1
        return self._kept[0] if self._kept else None

    def sent(self) -> None:
        """The first message is out."""
        self._kept.popleft()

    def expire(self, now_ns: int) -> None:
        """Give up everything that is out of date."""
        wanted = [kept for kept in self._kept if not _is_over(kept, now_ns)]
        self.expired += len(self._kept) - len(wanted)
        self._kept = deque(wanted)


def _is_over(kept: Kept, now_ns: int) -> bool:
    return kept.expires_ns is not None and kept.expires_ns < now_ns
