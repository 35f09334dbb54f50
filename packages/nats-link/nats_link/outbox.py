"""Messages accepted for publishing and not yet handed to a connection: framed, in order, bounded in bytes.

No I/O here. The path of one message is `put`: a few comparisons and one list extension, because it runs once for every
event of a whole exchange.
"""

import re
from collections.abc import Callable
from typing import Final

from nats_link.frame import CRLF, Message, head_and_sizes, read_frame

PARTS: Final = 4  # of one message: b"PUB subject ", b"size\r\n", the payload, b"\r\n"; of a frame: b"", b"", it, b""
OVERHEAD: Final = 64  # bytes counted for a message beside its payload
MAX_SUBJECT_BYTES: Final = 256
MAX_HEADS: Final = 65_536
PAYLOAD_MARGIN: Final = 4096  # the server's limit counts headers as well

_SIZED: Final = 4096
_SIZES: Final = tuple(b"%d\r\n" % size for size in range(_SIZED))
_SUBJECT: Final = re.compile(r"[^\s.*>\x00-\x20\x7f]+(?:\.[^\s.*>\x00-\x20\x7f]+)*")


class Outbox:
    """The queue before the socket. `published + lost + withdrawn + queued` is what was accepted."""

    def __init__(self, max_bytes: int, *, wake: Callable[[], None], report: Callable[[str, str], None]) -> None:
        """`wake` is called when the outbox stops being empty; `report(kind, text)` when a message can never be sent."""
        self.queued_bytes = 0
        self.published = 0
        self.published_bytes = 0
        self.refused = 0
        self.refused_oversize = 0
        self.refused_subject = 0
        self.lost = 0
        self.withdrawn = 0  # frames taken back by who had put them here
        self._max_bytes = max_bytes
        self._wake = wake
        self._report = report
        self._parts: list[bytes] = []
        self._heads: dict[str, bytes] = {}
        self._limit = -1  # bytes; below zero nothing is accepted
        self.max_payload = 0
        self._wanted = False  # somebody was refused for want of room

    @property
    def gone(self) -> int:
        """Messages that were here and are no more."""
        return self.published + self.lost + self.withdrawn

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
        if queued_bytes > self._limit or size > self.max_payload:
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
        parts += (head, _SIZES[size] if size < _SIZED else b"%d\r\n" % size, payload, CRLF)
        return True

    def post(self, subject: str, payload: bytes, *, reply: str = "", headers: bytes = b"") -> bool:
        """Accept one message with a reply subject or headers, or refuse and count it. Never raises."""
        size = len(headers) + len(payload)
        if self.queued_bytes + size + OVERHEAD > self._limit or size > self.max_payload:
            return self._refuse(subject, size)
        raw, raw_reply = _checked(subject), _checked(reply) if reply else b""
        if raw is None or raw_reply is None:
            return self._refuse_subject(subject if raw is None else reply)
        if not self._parts:
            self._wake()
        self.queued_bytes += size + OVERHEAD
        self._parts += (*head_and_sizes(raw, raw_reply, headers, payload), headers + payload, CRLF)
        return True

    def put_frame(self, frame: bytes, *, again: bool = False) -> bool:
        """Accept one message that is protocol text already; `again`: it counted for the bound before."""
        queued_bytes = self.queued_bytes + len(frame) + OVERHEAD
        if queued_bytes > self._limit and not (again and self._limit >= 0):
            self._refuse("", 0)
            return False
        parts = self._parts
        if not parts:
            self._wake()
        self.queued_bytes = queued_bytes
        parts += (b"", b"", frame, b"")
        return True

    def withdraw_frames(self) -> None:
        """Forget the frames that wait here; whoever put them keeps them and will put them again."""
        kept: list[bytes] = []
        for at in range(0, len(self._parts), PARTS):
            if self._parts[at]:
                kept += self._parts[at : at + PARTS]
            else:
                self.withdrawn += 1
                self.queued_bytes -= len(self._parts[at + 2]) + OVERHEAD
        self._parts = kept

    def open(self, max_payload: int) -> None:
        """Accept messages from now on; `max_payload` is the server's limit in bytes."""
        # with half of the room free any message fits, so that a refused one is never refused for ever
        self.max_payload = min(max_payload - min(PAYLOAD_MARGIN, max_payload // 4), self._max_bytes // 2 - OVERHEAD)
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

    def pop(self) -> Message:
        """Hand over the oldest message by itself."""
        parts = self._parts[:PARTS]
        del self._parts[:PARTS]
        self.queued_bytes -= len(parts[2]) + OVERHEAD
        self.published_bytes += len(parts[2]) + OVERHEAD
        self.published += 1
        return read_frame(b"".join(parts))

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
        if size > self.max_payload:
            self.refused_oversize += 1
            self._report("oversize", f"a message of {size} bytes on {subject[:80]!r}: the limit is {self.max_payload}")
        else:
            self._wanted = True
        return False

    def _learn(self, subject: str) -> bytes | None:
        """Check a subject once and keep its beginning of the protocol line; None when the server would misread it."""
        raw = _checked(subject)
        if raw is None:
            self._refuse_subject(subject)
            return None
        if len(self._heads) >= MAX_HEADS:
            self._heads.clear()
        head = self._heads[subject] = b"PUB %b " % raw
        return head

    def _refuse_subject(self, subject: str) -> bool:
        self.refused += 1
        self.refused_subject += 1
        self._report("subject", f"expected tokens separated by dots, found the subject {subject[:80]!r}")
        return False


def _checked(subject: str) -> bytes | None:
    """The subject as it goes on the wire; None for one that the server would misread."""
    try:
        raw = subject.encode()
    except UnicodeEncodeError:
        return None
    return raw if len(raw) <= MAX_SUBJECT_BYTES and _SUBJECT.fullmatch(subject) else None
