"""The writer's own queue: bounded by rows and bytes, handed out in batches. Pure."""

from collections import deque
from typing import Final

from app.storage.rows import Row, Unreadable
from md_contract.events import BookL2

BATCH_ROWS: Final = 1_000
BATCH_WAIT_S: Final = 0.05
MAX_ROWS: Final = 20_000
MAX_BYTES: Final = 64 << 20

_MESSAGE_BYTES: Final = 1_024  # a message in memory, about; one with many levels has more
_LEVEL_BYTES: Final = 192


class BatchQueue:
    """Rows in the order their messages came."""

    def __init__(self, max_rows: int = MAX_ROWS, max_bytes: int = MAX_BYTES) -> None:
        self.bytes = 0
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._rows: deque[Row] = deque()

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def has_batch(self) -> bool:
        """Whether waiting would not make the next batch any larger."""
        return len(self._rows) >= BATCH_ROWS

    @property
    def has_room(self) -> bool:
        """Half empty: room enough that it is worth telling whoever waits for it."""
        return len(self._rows) <= self._max_rows // 2 and self.bytes <= self._max_bytes // 2

    @property
    def is_full(self) -> bool:
        return len(self._rows) >= self._max_rows or self.bytes >= self._max_bytes

    def put(self, row: Row) -> None:
        """Append `row`; the caller has seen that the queue is not full."""
        self._rows.append(row)
        self.bytes += _weigh(row)

    def next_batch(self) -> list[Row]:
        """Take out up to BATCH_ROWS rows, the oldest first."""
        take = self._rows.popleft
        batch = [take() for _ in range(min(BATCH_ROWS, len(self._rows)))]
        self.bytes = self.bytes - sum(map(_weigh, batch)) if self._rows else 0
        return batch


def _weigh(row: Row) -> int:
    message = row.message
    if message.__class__ is BookL2:
        return _MESSAGE_BYTES + _LEVEL_BYTES * (len(message.bids) + len(message.asks))
    if message.__class__ is Unreadable:
        return _MESSAGE_BYTES + len(message.payload)
    return _MESSAGE_BYTES
