"""The open pull requests of one consumer: how many messages are still to come, and what the server says of them."""

import json
from typing import Final, Protocol

from nats_link.headers import description, parse, status

NS_PER_S: Final = 1_000_000_000
EXPIRES_S: Final = 30.0
HEARTBEAT_S: Final = 2.0
SILENCE_S: Final = 3 * HEARTBEAT_S  # without a message or a heartbeat: the server knows nothing of our requests
ACK: Final = b"+ACK"

_HEARTBEAT: Final = 100
_EXPIRED: Final = (404, 408)
_COMPLETED: Final = "batch completed"
_LEFT: Final = "Nats-Pending-Messages"


class Post(Protocol):
    """`Link.post`."""

    def __call__(self, subject: str, payload: bytes, *, reply: str = "", headers: bytes = b"") -> bool: ...


class Pulls:
    """Pull requests of one consumer and the messages they are still owed.

    `open` is what was asked for and has not come. A request ends when its messages have come, when it expires (the
    server says how many it still owed), or for a reason that `on_status` returns: then nothing more may come on any of
    them, and whoever reads has to look after the consumer.
    """

    def __init__(self, post: Post, stream: str, consumer: str, inbox: str) -> None:
        """`inbox` is the subject, without its last token, on which the owner of the pulls listens."""
        self.open = 0
        self._post = post
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._inbox = inbox
        self._requests = 0
        self._bodies: dict[int, bytes] = {}

    def ask(self, batch: int) -> bool:
        """Ask for so many messages; False when the link does not take it now."""
        body = self._bodies.get(batch)
        if body is None:
            if len(self._bodies) > 64:
                self._bodies.clear()
            body = self._bodies[batch] = _body(batch)
        self._requests += 1
        if not self._post(self._next, body, reply=f"{self._inbox}.{self._requests}"):
            return False
        self.open += batch
        return True

    def came(self) -> None:
        """One message has come."""
        if self.open:
            self.open -= 1

    def on_status(self, headers: bytes) -> str | None:
        """Take what the server says instead of a message; return why the requests are worth nothing any more."""
        code, words = status(headers), description(headers)
        if code == _HEARTBEAT:
            return None
        if code in _EXPIRED or words.lower() == _COMPLETED:
            left = parse(headers).get(_LEFT, "")
            if not left.isdigit():
                return f"a pull ended without saying what it still owed ({code} {words})"
            self.open = max(0, self.open - int(left))
            return None
        return f"{words.splitlines()[0] if words else 'no responders'} ({code})"

    def forget(self) -> None:
        """The connection is gone, and the requests with it."""
        self.open = 0


def _body(batch: int) -> bytes:
    asked = {"batch": batch, "expires": round(EXPIRES_S * NS_PER_S), "idle_heartbeat": round(HEARTBEAT_S * NS_PER_S)}
    return json.dumps(asked).encode()
