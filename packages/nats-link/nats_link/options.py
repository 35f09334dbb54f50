"""What a link needs to know, and its bounds."""

import ssl
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """How to reach NATS, and the bounds of the link."""

    url: str = field(repr=False)  # nats://[user:password@]host[:port], or several separated by commas
    name: str  # shown in the server's monitoring
    max_pending_bytes: int = 8 * 1024 * 1024  # outgoing: ours and the transport's buffer together
    max_waiting_messages: int = 65_536  # incoming, for each subscription: what comes on top is dropped and counted
    max_waiting_bytes: int = 64 * 1024 * 1024
    ping_interval_s: float = 1.0
    max_outstanding_pings: int = 2  # intervals without a sign of life after which the connection counts as dead
    reconnect_wait_s: float = 0.1  # doubled after every attempt, with jitter
    reconnect_wait_max_s: float = 2.0
    connect_timeout_s: float = 2.0
    tls: ssl.SSLContext | None = field(default=None, repr=False)  # None: the system's certificates
