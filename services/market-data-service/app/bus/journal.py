"""What the bus asks of a journal. The one that keeps files is `app.journal.Journal`."""

from collections.abc import Sequence
from typing import Protocol

from app.bus.item import M


class Journal(Protocol[M]):
    """Events put aside on disk for one buffer: first in, first out. No method raises because of the disk.

    `append` raises for nothing but an event that cannot be encoded.
    """

    records: int  # in it and not yet read
    bytes: int  # on disk, and waiting to be written
    max_bytes: int
    recovering: bool  # what was read last had been left by an earlier run
    torn: int  # records cut off unfinished, because a run before was killed
    corrupt: int  # records that could not be read any more
    corrupt_before: int  # those of an earlier run among them: no account has them, since nobody knows their kind
    misnamed: int  # files of an earlier run, read from their start since their names say the impossible
    refused: int  # events it could not take
    write_errors: int
    read_errors: int
    last_error: str | None

    def append(self, event: M) -> bool:
        """Take one event; False when there is no room, or the disk refuses."""
        ...

    def prepend(self, events: Sequence[M]) -> list[M]:
        """Put events, oldest first, before all that is in it; return those that it could not take."""
        ...

    def read(self, limit: int) -> list[M]:
        """The oldest events, at most `limit`; none although `records` is not 0: those could not be read.

        What was read before has to be released first.
        """
        ...

    def release(self, count: int) -> None:
        """The first `count` events of what was read last have arrived; nobody will ask for them again."""
        ...

    def rewind(self) -> None:
        """What was read and not released is to be read again."""
        ...

    def flush(self) -> bool:
        """Write what is still held back; False when the disk refuses."""
        ...

    def close(self) -> list[M]:
        """Write and let go of everything; return what could not be written."""
        ...
