"""The bus: every event goes to every sink, at once where the sink can take it, else through that sink's own buffer.

Pure: no clock, no event loop, no logging; one thread.
"""

from app.bus.buffer import MIN_CAPACITY, Account, Buffer
from app.bus.bus import Bus

__all__ = ["MIN_CAPACITY", "Account", "Buffer", "Bus"]
