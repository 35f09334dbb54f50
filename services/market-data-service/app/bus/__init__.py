"""The bus: every event goes to every sink, at once where the sink can take it, else through that sink's own buffer.

Pure: no clock, no event loop, no logging; one thread.
"""

from app.bus.account import Account
from app.bus.buffer import MIN_CAPACITY, Buffer
from app.bus.bus import Bus
from app.bus.item import Item, M
from app.bus.journal import Journal
from app.bus.policy import NATS, STORAGE, Policy

__all__ = ["MIN_CAPACITY", "NATS", "STORAGE", "Account", "Buffer", "Bus", "Item", "Journal", "M", "Policy"]
