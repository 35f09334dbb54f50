"""Files that are there completely or not at all, also after a crash."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.history.archive.errors import ArchiveError
from app.history.archive.layout import LOCK, WRITING
from app.storage.files import lock_file


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Make the folder, and keep other runs out of it: two would number their files alike, and clear up each other's.

    Raises:
        ArchiveError: another run is at work.
    """
    root.mkdir(parents=True, exist_ok=True)
    lock = os.open(root / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            lock_file(lock)
        except (BlockingIOError, PermissionError):  # the second is what Windows says
            raise ArchiveError(f"another run is writing to {root}: let it end, then start this one again") from None
        yield
    finally:
        os.close(lock)


def write_atomically(path: Path, content: bytes) -> None:
    """Put `content` under `path`, on disk when this returns."""
    temporary = path.with_name(path.name + WRITING)
    temporary.write_bytes(content)
    publish(temporary, path)


def publish(temporary: Path, path: Path) -> None:
    """Give a file that is complete its name, and see both to the disk."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
