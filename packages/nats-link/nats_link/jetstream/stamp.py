"""What JetStream says beside a message: where it stands in the stream, and times in its own spelling. Pure."""

from datetime import UTC, datetime
from typing import Final, TypeAlias

NS_PER_S: Final = 1_000_000_000
_FIRST: Final = 4
_FIRST_WITH_DOMAIN: Final = 6
_PARTS: Final = 9  # $JS ACK stream consumer delivered stream_seq consumer_seq time pending
_PARTS_WITH_DOMAIN: Final = 11  # $JS ACK domain account stream ... pending, and in newer servers something behind it


class BadStampError(ValueError):
    """A reply subject that is none of JetStream's."""


Stamp: TypeAlias = tuple[int, ...]
"""One delivery of one message, five numbers as they come: how often it was delivered (1 the first time), its number in
the stream, the number of this delivery (grows by one with every one of this consumer), when the server stored it (ns,
by its clock), and how many messages of the stream this consumer has not been given yet."""


def read_stamp(reply: str) -> Stamp:
    """Read the subject on which a message is to be acknowledged. A plain tuple, because it runs for every message.

    Raises:
        BadStampError: it is none.
    """
    parts = reply.split(".")
    at = _FIRST if len(parts) == _PARTS else _FIRST_WITH_DOMAIN
    if parts[0] != "$JS" or (at != _FIRST and len(parts) < _PARTS_WITH_DOMAIN):
        raise BadStampError(f"expected $JS.ACK and what belongs to it, found {reply[:120]!r}")
    try:
        return tuple(map(int, parts[at : at + 5]))
    except ValueError:
        raise BadStampError(f"expected $JS.ACK and five numbers, found {reply[:120]!r}") from None


def ack_subject(stream: str, consumer: str, stream_seq: int, consumer_seq: int) -> str:
    """The subject that acknowledges a delivery which another run, or another connection, was given."""
    return f"$JS.ACK.{stream}.{consumer}.1.{stream_seq}.{consumer_seq}.0.0"


def read_time(text: str) -> int:
    """`2026-11-22T17:24:44.178966253Z` as ns since 1970, UTC. Raises ValueError."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    seconds = round(datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp())
    return seconds * NS_PER_S + int(fraction.ljust(9, "0")[:9])


def write_time(ns: int) -> str:
    """The inverse of `read_time`."""
    seconds, fraction = divmod(max(ns, 0), NS_PER_S)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"
