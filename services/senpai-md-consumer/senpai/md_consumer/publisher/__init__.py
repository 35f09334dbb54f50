"""Features, signals and alerts to NATS: features at a bounded rate with the last state always, the others at once."""

from senpai.md_consumer.publisher.publisher import FeatureSource, Link, Publisher, PublisherOptions
from senpai.md_consumer.publisher.throttle import Throttle

__all__ = ["FeatureSource", "Link", "Publisher", "PublisherOptions", "Throttle"]
