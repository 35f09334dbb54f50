"""JetStream over a link: the stream, and publishing with acknowledgement."""

from nats_link.jetstream.api import ApiError, NoJetStreamError, StreamError, api_request
from nats_link.jetstream.publisher import AckedPublisher
from nats_link.jetstream.stream import ACK_MEANS, StreamOptions, StreamReport, ensure_stream

__all__ = [
    "ACK_MEANS",
    "AckedPublisher",
    "ApiError",
    "NoJetStreamError",
    "StreamError",
    "StreamOptions",
    "StreamReport",
    "api_request",
    "ensure_stream",
]
