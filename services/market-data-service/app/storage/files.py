"""The SQLite file on disk: who may read it, who writes to it, and whether it is still the one that was opened."""

import os
import sys
from pathlib import Path

from app.storage.store import StorageError


def make_private(path: Path) -> None:
    """Make the file and its folder if they are not there, for this user alone.

    Raises:
        StorageError: that is not possible.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StorageError(
            f"cannot write {str(path)!r}: {error.strerror}; choose another place with STORAGE_URL, or switch it off "
            "with STORAGE_URL="
        ) from None


class WriterLock:
    """Held by the one process that writes; the operating system lets go of it when the process ends, however."""

    def __init__(self, path: Path) -> None:
        """Take the lock of the database `path`.

        Raises:
            StorageError: another process has it, or the lock file cannot be made.
        """
        self.path = path.with_name(path.name + ".lock")
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StorageError(f"cannot write {str(self.path)!r}: {error.strerror}") from None
        try:
            lock_file(self._file)
        except OSError:
            os.close(self._file)
            raise StorageError(
                f"another process writes to {str(path)!r}: give this one a STORAGE_URL of its own, or let one of them "
                "store everything (the service with STORAGE_URL= stores nothing; `record` stores what it publishes)"
            ) from None

    def release(self) -> None:
        """Let others write; the file stays."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


if sys.platform == "win32":
    import msvcrt

    def lock_file(file: int) -> None:
        """Take an open file for this process alone; OSError when another one has it."""
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def lock_file(file: int) -> None:
        """Take an open file for this process alone; OSError when another one has it."""
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def identity(path: Path) -> tuple[int, int] | None:
    """Which file is at `path` now; None when there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
