"""Who gets which stream, and the bytes on their way to each client.

A frame is encoded once per variant, framed once, and the same bytes go to every subscriber. What is published between
two flushes reaches a client in one write.
"""

from collections.abc import Callable, Iterable
from typing import Final, Protocol

from exchange_sim.faults import Faults
from exchange_sim.frame import Frame, Raw
from exchange_sim.venue import Variant, Wording

TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA


class Subscriber(Protocol):
    """A connected client, as the hub sees it."""

    gone: bool  # true: it must get nothing any more

    def queue(self, message: bytes, text: bytes | None) -> None:
        """Take a whole message for the next flush, and its `text` where that may become a part of another one."""
        ...

    def flush(self) -> None:
        """Write what is pending."""
        ...


def ws_frame(opcode: int, payload: bytes) -> bytes:
    """Return a whole, unmasked WebSocket frame, as a server sends it."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 65_536:
        return bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big") + payload


def one_array(arrays: Iterable[bytes]) -> bytes:
    """Return one JSON array of what is in all of them, none of which is empty."""
    return b"[%b]" % b",".join(array[1:-1] for array in arrays)


class Route:
    """One stream: its subscribers by variant, and how many of its frames went to at least one of them."""

    __slots__ = ("groups", "key", "sent")

    def __init__(self, key: tuple[str, str]) -> None:
        self.key = key  # kind, symbol
        self.groups: dict[Variant, list[Subscriber]] = {}
        self.sent = 0


class Hub:
    """Subscriptions and fan-out. Synchronous; it never waits."""

    def __init__(self, wording: Wording, faults: Faults) -> None:
        self._wording = wording
        self.faults = faults
        self._routes: dict[str, Route] = {}
        self._clients: dict[Subscriber, tuple[frozenset[str], Variant]] = {}
        self._dirty: dict[Subscriber, None] = {}
        self.sent_total = 0
        self.queued_bytes = 0  # since the last flush
        self.on_change: Callable[[], None] = lambda: None  # called after a client's subscriptions changed

    @property
    def clients(self) -> Iterable[Subscriber]:
        return self._clients.keys()

    @property
    def sent(self) -> dict[tuple[str, str], int]:
        """Frames sent to at least one client, by (kind, symbol)."""
        return {route.key: route.sent for route in self._routes.values() if route.sent}

    def wanted(self) -> set[str]:
        """Return the streams that somebody is subscribed to."""
        return {name for name, route in self._routes.items() if route.groups}

    def any_wanted(self) -> bool:
        """Tell whether anybody is subscribed to anything."""
        return any(route.groups for route in self._routes.values())

    def is_wanted(self, stream: str) -> bool:
        """Tell whether anybody is subscribed to a stream."""
        route = self._routes.get(stream)
        return route is not None and bool(route.groups)

    def update(self, client: Subscriber, streams: Iterable[str], variant: Variant) -> None:
        """Note what a client is subscribed to now."""
        before, old_variant = self._clients.get(client, (frozenset(), variant))
        after = frozenset(streams)
        moved = old_variant != variant
        for stream in before if moved else before - after:
            self._leave(client, stream, old_variant)
        for stream in after if moved else after - before:
            self._routes.setdefault(stream, Route(self._wording.route(stream))).groups.setdefault(variant, []).append(
                client
            )
        self._clients[client] = (after, variant)
        self.on_change()

    def remove(self, client: Subscriber) -> None:
        """Forget a client."""
        streams, variant = self._clients.pop(client, (frozenset(), 0))
        self._dirty.pop(client, None)
        for stream in streams:
            self._leave(client, stream, variant)
        self.on_change()

    def _leave(self, client: Subscriber, stream: str, variant: Variant) -> None:
        route = self._routes[stream]
        route.groups[variant].remove(client)
        if not route.groups[variant]:
            del route.groups[variant]
        if not route.groups and not route.sent:
            del self._routes[stream]

    def publish(self, frame: Frame) -> None:
        """Queue a frame, or what the faults make of it, for every subscriber."""
        if not self.faults.active:
            self._publish(frame)
            return
        for passed in self.faults.apply(frame):
            self._publish(passed)

    def _publish(self, frame: Frame) -> None:
        route = self._routes.get(frame.stream)
        if route is None:
            return
        reached = False
        for variant, clients in route.groups.items():
            text = self._wording.encode(frame, variant)
            data = ws_frame(TEXT, text)
            for client in clients:
                reached = self._queue(client, data, text) or reached
        if reached:
            self._count(route)

    def greet(self, client: Subscriber, frame: Frame) -> None:
        """Queue a frame for one client that has just subscribed to its stream, unless the stream is mute."""
        if self.faults.silences(frame.stream):
            self.faults.lost[frame.stream] += 1
        elif self.tell(client, frame):
            self._count(self._routes[frame.stream])

    def _count(self, route: Route) -> None:
        route.sent += 1
        self.sent_total += 1

    def broadcast_raw(self, raw: Raw) -> None:
        """Queue bytes for every client, as they are."""
        data = ws_frame(BINARY if raw.binary else TEXT, raw.data)
        for client in self._clients:
            self._queue(client, data)

    def tell(self, client: Subscriber, frame: Frame) -> bool:
        """Queue a frame for one client, whatever it is subscribed to; False when it is gone."""
        variant = self._clients[client][1]
        return self._queue(client, ws_frame(TEXT, self._wording.encode(frame, variant)))

    def _queue(self, client: Subscriber, data: bytes, text: bytes | None = None) -> bool:
        if client.gone:
            return False
        client.queue(data, text)
        self.queued_bytes += len(data)
        self._dirty[client] = None
        return True

    def flush(self) -> None:
        """Write everything queued."""
        for client in self._dirty:
            client.flush()
        self._dirty.clear()
        self.queued_bytes = 0
