"""The bounds of the connections of one server, and what became of those that met them."""

from dataclasses import dataclass


@dataclass(slots=True)
class Gate:
    """Shared by all connections of a server."""

    max_connections: int = 256  # one more, and the one that has waited longest for its client is closed
    request_s: float = 10.0  # for a client to send a whole request, counted from the connect or from the last answer
    stall_s: float = 30.0  # for a client to take any of what waits for it
    evicted: int = 0  # idle connections closed to make room
    timed_out: int = 0  # that sent no whole request in time
    stalled: int = 0  # that took nothing of their answer in time
    refused: int = 0  # answered 503 because every connection was busy
