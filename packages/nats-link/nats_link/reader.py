"""A faster parser for nats-py's read loop: messages of our subscriptions go straight to their handlers.

nats-py's own parser makes an object for every message, puts it into a queue and wakes a task. This one calls the
handler at once, so that nothing is dropped between the socket and the handler: while a handler is busy the socket
waits. The rest of the protocol is left to nats-py's parser.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from nats.aio.client import Client
from nats.errors import ProtocolError
from nats.protocol.parser import Parser

MAX_LINE_BYTES: Final = 65_536  # of a control line; the longest are the server's descriptions of a cluster
PARSER_NAME: Final = "_ps"  # private: where nats-py's client holds its parser

_KINDS: Final = (b"MSG", b"HMSG")

Delivery: TypeAlias = Callable[[list[bytes], bytes, bytes], None]
"""Takes the fields of the control line (kind, subject, number, then the reply subject if there is one, sizes), the
headers, empty when there are none, and the payload of one message. Never raises."""


class FastParser(Parser):
    """Parses what the socket gives, in pieces of any size.

    `deliveries` tells for the numbers of our subscriptions what to call; messages of others are nats-py's affair.
    """

    def __init__(self, client: object, deliveries: Mapping[bytes, Delivery], begun: bytes = b"") -> None:
        """`begun` is what has been read of a line already."""
        self._pieces: list[bytes] = []  # the beginning of what is not complete yet
        self._missing = 0  # bytes that have to come before anything can be done
        super().__init__(client)
        self._deliveries = deliveries
        if begun:
            self._pieces.append(begun)

    def reset(self) -> None:
        super().reset()
        self._pieces = []
        self._missing = 0

    async def parse(self, data: bytes = b"") -> None:
        """Raises ProtocolError for what is no NATS protocol; nats-py then ends the connection."""
        if self._pieces:
            self._pieces.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return
            data = b"".join(self._pieces)
            self._pieces = []
        at, foreign_end = self._deliver(data, 0)
        while foreign_end:
            await super().parse(data[at:foreign_end])
            at, foreign_end = self._deliver(data, foreign_end)
        if at < len(data):
            self._pieces = [data[at:] if at else data]

    def _deliver(self, data: bytes, at: int) -> tuple[int, int]:
        """Deliver our messages from `at` on.

        Returns where it stopped, and where the complete line or message that begins there and is not ours ends: 0 when
        nothing complete begins there.
        """
        deliveries = self._deliveries
        size = len(data)
        while at < size:
            line_end = data.find(b"\r\n", at)
            if line_end < 0:
                if size - at > MAX_LINE_BYTES:
                    raise ProtocolError
                self._missing = 1
                break
            fields = data[at:line_end].split(b" ")
            kind = fields[0]
            payload_start = headers_start = line_end + 2
            if kind not in _KINDS:
                return at, payload_start
            try:
                end = payload_start + int(fields[-1])
                if kind == b"HMSG":
                    payload_start += int(fields[-2])
                delivery = deliveries.get(fields[2])
            except (IndexError, ValueError):
                raise ProtocolError from None
            if end + 2 > size:
                self._missing = end + 2 - size
                break
            if delivery is None:
                return at, end + 2
            delivery(fields, data[headers_start:payload_start], data[payload_start:end])
            at = end + 2
        return at, 0


def install(client: Client, deliveries: Mapping[bytes, Delivery]) -> bool:
    """Put the fast parser into a connected client; false when this version of nats-py has no known place for it."""
    parser = getattr(client, PARSER_NAME, None)
    if type(parser) is not Parser:
        return False
    setattr(client, PARSER_NAME, FastParser(client, deliveries, bytes(parser.buf)))
    return True
