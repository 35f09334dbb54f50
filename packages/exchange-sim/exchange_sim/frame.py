"""What goes out to clients."""

from msgspec import Struct


class Frame(Struct, frozen=True, gc=False):
    """One message of one stream. `data` is the JSON text without any wrapping."""

    stream: str
    data: bytes


class Raw(Struct, frozen=True, gc=False):
    """Bytes for every connected client, whatever it subscribed to, sent as they are."""

    data: bytes
    binary: bool = False
