"""Files that are there completely or not at all, also after a crash."""

import os
from pathlib import Path

from app.history.archive.layout import WRITING


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
