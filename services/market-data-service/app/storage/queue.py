"""The writer's own queue: bounded by rows and bytes, handed out in batches. Pure."""

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from app.storage.rows import Storable, Unreadable
from md_contract.events import BookL2

BATCH_ROWS: Final = 1_000
BATCH_WAIT_S: Final = 0.05
MAX_ROWS: Final = 20_000
MAX_BYTES: Final = 64 << 20

_MESSAGE_BYTES: Final = 1_024  # a message in memory, about
_LEVEL_BYTES: Final = 192
_MORE_BYTES: Final[dict[type[Storable], Callable[[Any], int]]] = {
    BookL2: lambda book: _LEVEL_BYTES * (len(book.bids) + len(book.asks)),
    Unreadable: lambda message: len(message.payload),
}


class BatchQueue:
    """Messages in the order in which they came."""

    def __init__(self, max_rows: int = MAX_ROWS, max_bytes: int = MAX_BYTES) -> None:
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._messages: deque[Storable] = deque()
        self._more_bytes = 0

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def bytes(self) -> int:
        return len(self._messages) * _MESSAGE_BYTES + self._more_bytes

    @property
    def has_batch(self) -> bool:
        """Whether waiting would not make the next batch any larger."""
        return len(self._messages) >= BATCH_ROWS

    @property
    def has_room(self) -> bool:
        """Half empty: room enough that it is worth telling whoever waits for it."""
        return len(self._messages) <= self._max_rows // 2 and self.bytes <= self._max_bytes // 2

    def put(self, message: Storable) -> int:
        """Append `message`; return how many wait now, or 0 when there is no room for it."""
        messages = self._messages
        waiting = len(messages)
        if waiting >= self._max_rows or waiting * _MESSAGE_BYTES + self._more_bytes >= self._max_bytes:
            return 0
        if message.__class__ in _MORE_BYTES:
            self._more_bytes += _MORE_BYTES[message.__class__](message)
        messages.append(message)
        return waiting + 1

    def next_batch(self) -> list[Storable]:
        """Take out up to BATCH_ROWS messages, the oldest first."""
        take = self._messages.popleft
        batch = [take() for _ in range(min(BATCH_ROWS, len(self._messages)))]
        if self._more_bytes:
            self._more_bytes -= sum(_MORE_BYTES[m.__class__](m) for m in batch if m.__class__ in _MORE_BYTES)
        return batch
