"""The folder of one journal: it belongs to one process, is nobody else's to read, and holds the segments."""

import contextlib
import os
import re
import stat
import sys
from pathlib import Path
from typing import Final, NamedTuple

from app.journal.framing import whole_bytes

if sys.platform != "win32":
    import fcntl

LOCK: Final = "lock"
_SEGMENT: Final = re.compile(r"(\d{12})-(\d{12})\.spill")
_NO_LINKS: Final[int] = getattr(os, "O_NOFOLLOW", 0)


class JournalError(ValueError):
    """A folder that cannot hold a journal; the text is for people."""


class Found(NamedTuple):
    """A segment of an earlier run."""

    size: int  # bytes
    done: int  # bytes at its beginning that are done with
    records: int  # behind those
    was_torn: bool  # its last record was not written to its end


class Folder:
    """Opened and locked until `close`. Names of segments: `{number}-{bytes already done with}.spill`, oldest first.

    On Windows nobody is locked out.
    """

    def __init__(self, path: Path) -> None:
        """Open the folder, made if there is none.

        Raises:
            JournalError: it cannot be used, or another process uses it.
        """
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            for folder in (path.parent, path):
                if folder.is_symlink():
                    raise JournalError(f"expected a folder, found a symbolic link: {folder}")
            path.mkdir(mode=0o700, exist_ok=True)
            if stat.S_IMODE(path.stat().st_mode) & 0o077:
                path.chmod(0o700)
            self._lock: int | None = self._take_lock()
        except OSError as error:
            raise JournalError(f"cannot keep events in {path}: {error.strerror}") from None

    def segments(self) -> list[tuple[int, int]]:
        """Number and bytes done with of each segment, oldest first."""
        found = [_SEGMENT.fullmatch(file.name) for file in self.path.iterdir()]
        return sorted((int(match[1]), int(match[2])) for match in found if match)

    def file(self, number: int, done: int) -> Path:
        return self.path / f"{number:012d}-{done:012d}.spill"

    def create(self, number: int) -> int:
        """A new segment, open for appending.

        Raises:
            OSError
        """
        return os.open(self.file(number, 0), os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINKS, 0o600)

    def read(self, number: int, done: int, size: int | None = None) -> bytes:
        """The first `size` bytes of a segment, or all.

        Raises:
            OSError
        """
        with os.fdopen(os.open(self.file(number, done), os.O_RDONLY | _NO_LINKS), "rb") as file:
            return file.read(size)

    def take_up(self, number: int, done: int) -> Found:
        """Cut off what was not written to its end.

        Where no record ends at `done`, as in a file that has become shorter than that, the name is wrong: nobody knows
        what of the file is done with, so none of it is, and the file is renamed.

        Raises:
            OSError
        """
        data = self.read(number, done)
        whole = whole_bytes(data)
        was_torn = whole < len(data)
        if was_torn:
            os.truncate(self.file(number, done), whole)
        if done and data[done - 1 : done] != b"\n":
            self.file(number, done).rename(self.file(number, 0))
            done = 0
        return Found(whole, done, data.count(b"\n", done), was_torn)

    def write_all(self, file: int, data: bytes) -> None:
        """Write to an open segment, however many calls that takes.

        Raises:
            OSError: less than all may be written.
        """
        left = memoryview(data)
        while left:
            left = left[os.write(file, left) :]

    def write(self, number: int, data: bytes) -> None:
        """A new segment that holds `data`; none if the disk refuses any of it.

        Raises:
            OSError
        """
        file = self.create(number)
        try:
            self.write_all(file, data)
        except OSError:
            self.file(number, 0).unlink()
            raise
        finally:
            os.close(file)

    def close(self) -> None:
        """Let others have it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _take_lock(self) -> int:
        lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | _NO_LINKS, 0o600)
        try:
            if sys.platform != "win32":
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(lock, 0)
            os.write(lock, b"%d\n" % os.getpid())
        except BlockingIOError:
            owner = os.read(lock, 32).decode(errors="replace").strip() or "unknown"
            os.close(lock)
            raise JournalError(
                f"{self.path} is in use by another process (pid {owner}): give each service a folder of its own"
            ) from None
        except OSError:
            with contextlib.suppress(OSError):
                os.close(lock)
            raise
        return lock
