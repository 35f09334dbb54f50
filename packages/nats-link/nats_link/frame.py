"""Messages with a reply subject or headers as protocol text. Pure."""

from typing import Final, NamedTuple

CRLF: Final = b"\r\n"
_BARE: Final = len(b"NATS/1.0\r\nNats-Msg-Id:\r\n\r\n")


class Message(NamedTuple):
    subject: str
    reply: str  # "" when there is none
    headers: bytes  # b"" when there are none
    payload: bytes


def head_and_sizes(subject: bytes, reply: bytes, headers: bytes, payload: bytes) -> tuple[bytes, bytes]:
    """Return the two parts of the line before the headers and the payload."""
    addressed = b"%b %b " % (subject, reply) if reply else b"%b " % subject
    if headers:
        return b"HPUB %b" % addressed, b"%d %d\r\n" % (len(headers), len(headers) + len(payload))
    return b"PUB %b" % addressed, b"%d\r\n" % len(payload)


def plain_frame(subject: bytes, payload: bytes) -> bytes:
    """Return a whole message without reply subject and headers."""
    return b"PUB %b %d\r\n%b\r\n" % (subject, len(payload), payload)


def acked_frame(subject: bytes, reply: bytes, message_id: bytes, payload: bytes) -> bytes:
    """Return a whole message whose only header is its id, for a stream that knows duplicates by it."""
    length = _BARE + len(message_id)
    return b"HPUB %b %b %d %d\r\nNATS/1.0\r\nNats-Msg-Id:%b\r\n\r\n%b\r\n" % (
        subject,
        reply,
        length,
        length + len(payload),
        message_id,
        payload,
    )


def read_frame(frame: bytes) -> Message:
    """Take a message apart that was framed here."""
    line, _, rest = frame.partition(CRLF)
    operation, subject, *more = line.decode().split(" ")
    if operation == "PUB":
        size, header_size = int(more[-1]), 0
        reply = more[0] if len(more) == 2 else ""
    else:
        size, header_size = int(more[-1]), int(more[-2])
        reply = more[0] if len(more) == 3 else ""
    return Message(subject, reply, rest[:header_size], rest[header_size:size])
