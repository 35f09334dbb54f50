"""Messages accepted for publishing and not yet handed to a connection: framed, in order, bounded in bytes.

No I/O here. The path of one message is `put`: a few comparisons and one list extension, because it runs once for every
event of a whole exchange.
"""

import re
from collections.abc import Callable
from typing import Final

PARTS: Final = 4  # of one message: b"PUB subject ", b"size\r\n", the payload, b"\r\n"
OVERHEAD: Final = 64  # bytes counted for a message beside its payload
MAX_SUBJECT_BYTES: Final = 256
MAX_HEADS: Final = 65_536
PAYLOAD_MARGIN: Final = 4096  # the server's limit counts headers as well

_CRLF: Final = b"\r\n"
_SIZED: Final = 4096
_SIZES: Final = tuple(b"%d\r\n" % size for size in range(_SIZED))
_SUBJECT: Final = re.compile(r"[^\s.*>\x00-\x20\x7f]+(?:\.[^\s.*>\x00-\x20\x7f]+)*")


class Outbox:
    """The queue before the socket. `published + lost + queued` is what `put` has accepted."""

    def __init__(self, max_bytes: int, *, wake: Callable[[], None], report: Callable[[str, str], None]) -> None:
        """`wake` is called when the outbox stops being empty; `report(kind, text)` when a message can never be sent."""
        self.queued_bytes = 0
        self.published = 0
        self.published_bytes = 0
        self.refused = 0
        self.refused_oversize = 0
        self.refused_subject = 0
        self.lost = 0
        self._max_bytes = max_bytes
        self._wake = wake
        self._report = report
        self._parts: list[bytes] = []
        self._heads: dict[str, bytes] = {}
        self._limit = -1  # bytes; below zero nothing is accepted
        self._max_payload = 0
        self._wanted = False  # somebody was refused for want of room

    @property
    def queued(self) -> int:
        """Messages waiting here."""
        return len(self._parts) // PARTS

    @property
    def has_room(self) -> bool:
        """Accepting, and nobody has been refused since half of the room was free."""
        return self.queued_bytes < self._limit and not self._wanted

    def put(self, subject: str, payload: bytes) -> bool:
        """Accept one message, or refuse and count it. Never raises."""
        size = len(payload)
        queued_bytes = self.queued_bytes + size + OVERHEAD
        if queued_bytes > self._limit or size > self._max_payload:
            return self._refuse(subject, size)
        head = self._heads.get(subject)
        if head is None:
            head = self._learn(subject)
            if head is None:
                return False
        parts = self._parts
        if not parts:
            self._wake()
        self.queued_bytes = queued_bytes
        parts += (head, _SIZES[size] if size < _SIZED else b"%d\r\n" % size, payload, _CRLF)
        return True

    def open(self, max_payload: int) -> None:
        """Accept messages from now on; `max_payload` is the server's limit in bytes."""
        # with half of the room free any message fits, so that a refused one is never refused for ever
        self._max_payload = min(max_payload - min(PAYLOAD_MARGIN, max_payload // 4), self._max_bytes // 2 - OVERHEAD)
        self._limit = self._max_bytes
        self._wanted = False

    def shut(self) -> None:
        """Refuse messages from now on; what is queued stays."""
        self._limit = -1

    def note_buffered(self, buffered: int) -> None:
        """Take note of the bytes that the connection holds unsent: they count for the bound as well."""
        if self._limit >= 0:
            self._limit = self._max_bytes - buffered

    def settle(self, buffered: int) -> bool:
        """Take note of the buffered bytes; true, once, when those who were refused may try again."""
        self.note_buffered(buffered)
        if self._wanted and self._limit >= 0 and self.queued_bytes + buffered <= self._max_bytes // 2:
            self._wanted = False
            return True
        return False

    def take(self, max_bytes: int) -> bytes:
        """Hand over the oldest messages as protocol text: about `max_bytes` of it, and at least one message."""
        if self.queued_bytes <= max_bytes:
            self.published_bytes += self.queued_bytes
            parts, self._parts, self.queued_bytes = self._parts, [], 0
        else:
            end = taken = 0
            while end < len(self._parts) and taken < max_bytes:
                taken += len(self._parts[end + 2]) + OVERHEAD
                end += PARTS
            parts = self._parts[:end]
            del self._parts[:end]
            self.queued_bytes -= taken
            self.published_bytes += taken
        self.published += len(parts) // PARTS
        return b"".join(parts)

    def pop(self) -> tuple[str, bytes]:
        """Hand over the oldest message by itself."""
        head, _, payload, _ = self._parts[:PARTS]
        del self._parts[:PARTS]
        self.queued_bytes -= len(payload) + OVERHEAD
        self.published_bytes += len(payload) + OVERHEAD
        self.published += 1
        return head[4:-1].decode(), payload

    def lose_popped(self) -> None:
        """The message of the last `pop` could not be handed on."""
        self.published -= 1
        self.lost += 1

    def discard(self) -> int:
        """Give up what is queued; it counts as lost."""
        count = self.queued
        self.lost += count
        self._parts = []
        self.queued_bytes = 0
        return count

    def _refuse(self, subject: str, size: int) -> bool:
        self.refused += 1
        if self._limit < 0:
            return False
        if size > self._max_payload:
            self.refused_oversize += 1
            self._report("oversize", f"a message of {size} bytes on {subject[:80]!r}: the limit is {self._max_payload}")
        else:
            self._wanted = True
        return False

    def _learn(self, subject: str) -> bytes | None:
        """Check a subject once and keep its beginning of the protocol line; None when the server would misread it."""
        try:
            raw = subject.encode()
        except UnicodeEncodeError:
            raw = b""
        if not raw or len(raw) > MAX_SUBJECT_BYTES or not _SUBJECT.fullmatch(subject):
            self.refused += 1
            self.refused_subject += 1
            self._report("subject", f"expected tokens separated by dots, found the subject {subject[:80]!r}")
            return None
        if len(self._heads) >= MAX_HEADS:
            self._heads.clear()
        head = self._heads[subject] = b"PUB %b " % raw
        return head
