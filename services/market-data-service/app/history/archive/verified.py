"""What was verified: a small JSON file beside the hour's Parquet files, and how to tell that it still holds."""

import hashlib
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from app.history.archive.files import write_atomically
from app.history.archive.layout import VERIFIED, WRITING, Hour, parse_verified

_BLOCK: Final = 1 << 20


class File(Struct, frozen=True):
    """One Parquet file as it was read back."""

    name: str
    rows: int
    bytes: int
    sha256: str


class Verified(Struct, frozen=True):
    """What stands in the archive for one hour, and what stood in the store when the two were compared."""

    type: str
    hour: str
    files: list[File]
    archived: dict[str, int]  # symbol -> rows in the archive
    stored: dict[str, int]  # symbol -> rows in the store then: fewer, when some had been deleted after an earlier run
    v: int = 1


def read_verified(root: Path, hour: Hour) -> Verified | None:
    """What was verified of the hour; None when nothing was, or the file is not one of ours, or not of this hour."""
    try:
        found = msgspec.json.decode((root / hour.verified).read_bytes(), type=Verified)
    except (OSError, msgspec.DecodeError):
        return None
    return found if (found.type, found.hour) == (hour.type, str(hour)) else None


def write_verified(root: Path, hour: Hour, verified: Verified) -> None:
    """Vouch for the hour, now that everything in it has been compared."""
    write_atomically(root / hour.verified, msgspec.json.format(msgspec.json.encode(verified)))


def is_pruned(root: Path, hour: Hour) -> bool:
    """Whether rows of the hour may have been deleted from the store since it was verified."""
    return (root / hour.pruned).exists()


def mark_pruned(root: Path, hour: Hour) -> None:
    """Say so, before the first of them goes: as many rows as there were then need not be the same ones any more."""
    write_atomically(root / hour.pruned, b"")


def unmark_pruned(root: Path, hour: Hour) -> None:
    """What the store has of the hour has been archived and vouched for since."""
    (root / hour.pruned).unlink(missing_ok=True)


def is_unaccounted(root: Path, hour: Hour) -> bool:
    """Whether there are files that may hold what the store does not, and nobody who vouches for them.

    What an interrupted first run left is none of that: the store has all of it still.
    """
    return bool(_parts(root, hour)) and ((root / hour.verified).exists() or is_pruned(root, hour))


def verified_hours(root: Path) -> list[Hour]:
    """Every hour somebody vouched for, oldest first."""
    paths = (path.relative_to(root).as_posix() for path in root.glob(f"type=*/date=*/*{VERIFIED}"))
    found = (parse_verified(path) for path in paths)
    return sorted((hour for hour in found if hour is not None), key=lambda hour: (hour.start_ns, hour.type))


def next_number(root: Path, hour: Hour) -> int:
    """The number of the hour's next file, above all that there are."""
    numbers = (path.stem.rpartition("-")[2] for path in _parts(root, hour))
    return max((int(number) + 1 for number in numbers if number.isdecimal()), default=0)


def remove_others(root: Path, hour: Hour, files: list[File]) -> None:
    """Remove those of the hour's files that are not among these: nobody vouches for them, or for them any more."""
    keep = {file.name for file in files}
    for path in _parts(root, hour):
        if path.name not in keep:
            path.unlink(missing_ok=True)


def _parts(root: Path, hour: Hour) -> list[Path]:
    return list((root / hour.folder).glob(f"{hour.name}-*.parquet"))


def is_intact(root: Path, hour: Hour, verified: Verified) -> bool:
    """Whether every file is still what was read back then, bit by bit."""
    return all(describe(root / hour.folder / file.name, file.rows) == file for file in verified.files)


def describe(path: Path, rows: int) -> File | None:
    """The file as it is on disk; None when it cannot be read. `WRITING` at the end of its name does not count."""
    digest = hashlib.sha256()
    size = 0
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                size += len(block)
    except OSError:
        return None
    return File(path.name.removesuffix(WRITING), rows, size, digest.hexdigest())
