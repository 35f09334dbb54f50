"""Acknowledgements after the work: up to where the queue has been worked off, many messages with one."""

from collections import deque
from collections.abc import Callable
from typing import Any, Final

MARK_EVERY: Final = 256  # messages: under load the queue is never empty, and still its front is acknowledged
DELAY_S: Final = 0.02  # at most so long a message is worked off and not acknowledged, so that 50 a second are enough


class Acks:
    """The subjects to acknowledge on, by the queue position at which everything before is worked off."""

    def __init__(self, send: Callable[[str], bool], *, call_later: Callable[[float, Callable[[], None]], Any]) -> None:
        """`send(subject)` acknowledges; False when the link does not take it now."""
        self.sent = 0
        self._send = send
        self._call_later = call_later
        self._marks: deque[tuple[int, str]] = deque()
        self._position = 0
        self._subject = ""  # of the last message
        self._since_mark = 0
        self._due = ""
        self._timer: Any = None

    def note(self, position: int, subject: str) -> None:
        """A message is to be acknowledged on `subject` when so many events have left the queue."""
        self._position = position
        self._subject = subject
        self._since_mark += 1
        if self._since_mark >= MARK_EVERY:
            self._since_mark = 0
            self._marks.append((position, subject))

    def worked_off(self, taken: int, *, at_once: bool) -> None:
        """So many events have left the queue; `at_once`: something went out that must not go out twice."""
        while self._marks and self._marks[0][0] <= taken:
            self._due = self._marks.popleft()[1]
        if self._subject and self._position <= taken:
            self._due, self._subject = self._subject, ""
            self._since_mark = 0
            self._marks.clear()
        if not self._due:
            return
        if at_once:
            self.flush()
        elif self._timer is None:
            self._timer = self._call_later(DELAY_S, self._on_timer)

    def flush(self) -> None:
        """Acknowledge what is due."""
        if self._due and self._send(self._due):
            self._due = ""
            self.sent += 1

    def forget(self) -> None:
        """The consumer these belong to is gone."""
        self._marks.clear()
        self._subject, self._due, self._since_mark = "", "", 0

    def _on_timer(self) -> None:
        self._timer = None
        self.flush()
        if self._due:
            self._timer = self._call_later(DELAY_S, self._on_timer)
