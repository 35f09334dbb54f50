"""JetStream mode: the same way in, read from the stream, acknowledged after the work, warm from the first message."""

from senpai.md_consumer.subscriber.jetstream.follower import FollowerOptions
from senpai.md_consumer.subscriber.jetstream.reader import PAST_NS, Clocks, StreamReader

__all__ = ["PAST_NS", "Clocks", "FollowerOptions", "StreamReader"]
