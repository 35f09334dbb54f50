"""A synchronous, bounded publish and receive path on top of nats-py."""

from nats_link.address import BadUrlError, redact
from nats_link.link import Link
from nats_link.options import LinkOptions

__all__ = ["BadUrlError", "Link", "LinkOptions", "redact"]
