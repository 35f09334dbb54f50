"""A synchronous, bounded publish and receive path on top of nats-py."""

from nats_link.access import BadAccessError
from nats_link.address import BadUrlError, redact
from nats_link.link import Link
from nats_link.options import LinkOptions
from nats_link.requests import (
    NoAnswerError,
    NoRespondersError,
    NotConnectedError,
    NotPermittedError,
    Reply,
    RequestError,
    new_inbox,
)

__all__ = [
    "BadAccessError",
    "BadUrlError",
    "Link",
    "LinkOptions",
    "NoAnswerError",
    "NoRespondersError",
    "NotConnectedError",
    "NotPermittedError",
    "Reply",
    "RequestError",
    "new_inbox",
    "redact",
]
