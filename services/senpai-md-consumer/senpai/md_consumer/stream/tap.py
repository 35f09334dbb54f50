"""The publisher's way to NATS, overheard."""

from typing import Protocol

from senpai.md_consumer.stream.hub import Hub


class Link(Protocol):
    """The way to NATS."""

    @property
    def writable(self) -> bool:
        """Whether a message would be taken now."""

    def publish(self, subject: str, payload: bytes, /) -> bool:
        """Hand a message over; False when it was not taken."""


class Tap:
    """A link whose messages, once NATS has taken them, are offered to the hub as well."""

    def __init__(self, link: Link, hub: Hub) -> None:
        self._link = link
        self._hub = hub

    @property
    def writable(self) -> bool:
        return self._link.writable

    def publish(self, subject: str, payload: bytes) -> bool:
        taken = self._link.publish(subject, payload)
        if taken and self._hub.listeners:
            self._hub.offer(subject, payload)
        return taken
