"""What a link needs to know, and its bounds."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path


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
    tls: ssl.SSLContext | None = field(default=None, repr=False)  # None: made as wanted, with the system's certificates
    tls_ca_file: Path | None = None  # whom to trust, beside the system's certificates
    tls_cert_file: Path | None = None  # who we are, for a server that asks for a certificate
    tls_key_file: Path | None = None
    creds_file: Path | None = None  # JWT and seed, as `nsc` writes them
    nkey_file: Path | None = None  # a seed alone
    allow_insecure: bool = False  # a password may go unencrypted to another machine
    replies: bool = False  # subscribe an inbox for answers: needed by `Link.request` and by everything of JetStream
