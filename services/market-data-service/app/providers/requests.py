"""Control requests of one connection: sent no faster than the venue allows, each to be answered in time."""

from collections import deque

from msgspec import Struct

from app.books.pace import NEVER


class Request(Struct, frozen=True):
    """One request and the topics it is about."""

    id: int
    frame: bytes
    topics: tuple[str, ...]


class Requests:
    """Paces requests and remembers which are unanswered. Times are monotonic ns."""

    def __init__(self, *, interval_ns: int, timeout_ns: int) -> None:
        self._interval_ns = interval_ns
        self._timeout_ns = timeout_ns
        self._unsent: deque[Request] = deque()
        self._unanswered: dict[int, tuple[Request, int]] = {}  # id -> request, deadline
        self._free_at = 0  # when the next one may be sent

    def ask(self, request: Request) -> None:
        self._unsent.append(request)

    def release(self, now: int) -> Request | None:
        """The request to send now, if one may be sent."""
        if not self._unsent or now < self._free_at:
            return None
        request = self._unsent.popleft()
        self._free_at = now + self._interval_ns
        self._unanswered[request.id] = (request, now + self._timeout_ns)
        return request

    def answered(self, request_id: object) -> Request | None:
        """The request this answer belongs to, or None when nothing of that id is open."""
        if not isinstance(request_id, int):
            return None
        entry = self._unanswered.pop(request_id, None)
        return entry[0] if entry else None

    def overdue(self, now: int) -> Request | None:
        """A request that should have been answered by now; it is told once and no longer waited for."""
        late = next((request for request, deadline in self._unanswered.values() if deadline <= now), None)
        if late is not None:
            del self._unanswered[late.id]
        return late

    def settled(self) -> bool:
        """True when everything has been sent and answered."""
        return not self._unsent and not self._unanswered

    @property
    def due(self) -> int:
        """When `release` or `overdue` next has something to say."""
        deadline = min((deadline for _, deadline in self._unanswered.values()), default=NEVER)
        return min(self._free_at, deadline) if self._unsent else deadline
