"""How records lie in a file: one line each, `crc32 of the payload in 8 hex digits, space, payload, newline`. Pure.

The payload is JSON, which never holds a newline, so the end of a record is where its line ends: after a torn or flipped
byte the next record is found again, and people can read the file (`cut -c10- FILE | jq`).
"""

from collections.abc import Iterator
from zlib import crc32

_PREFIX = 9


def frame(payload: bytes) -> bytes:
    """The record that holds `payload`, which has no newline."""
    return b"%08x %b\n" % (crc32(payload), payload)


def unframe(line: bytes) -> bytes | None:
    """The payload of a line without its newline; None when it is not what was written."""
    payload = line[_PREFIX:]
    return payload if line[:_PREFIX] == b"%08x " % crc32(payload) else None


def whole_bytes(data: bytes) -> int:
    """How much of `data` is finished lines; what follows was torn off while it was written."""
    return data.rfind(b"\n") + 1


def records(data: bytes, start: int = 0) -> Iterator[tuple[int, bytes | None]]:
    """Each finished line from `start` on: where the next one begins, and the payload, or None when it is damaged."""
    while (end := data.find(b"\n", start)) >= 0:
        yield end + 1, unframe(data[start:end])
        start = end + 1
