"""The feed: sockets and REST of one provider, from frame to published event."""

from app.feed.clock import Clock
from app.feed.connection import Connection, ConnectionState
from app.feed.feed import Feed
from app.feed.supervisor import Patience

__all__ = ["Clock", "Connection", "ConnectionState", "Feed", "Patience"]
