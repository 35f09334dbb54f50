"""What goes out on NATS, for those who follow it over HTTP. Pure: nothing is opened here, and no clock is read."""

from senpai.md_consumer.stream.hub import Hub, TooManyListenersError
from senpai.md_consumer.stream.listener import KINDS, Listener, Wish
from senpai.md_consumer.stream.tap import Tap

__all__ = ["KINDS", "Hub", "Listener", "Tap", "TooManyListenersError", "Wish"]
