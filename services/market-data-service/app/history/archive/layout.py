"""Where what is. Pure: names only, nothing is opened."""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from app.history.times import HOUR_NS, BadTimeError, floor_hour, parse_time, show_time

VERIFIED: Final = ".verified"
PRUNED: Final = ".pruned"
LOCK: Final = "lock"  # of the archive's folder, held by the run that writes
WRITING: Final = ".tmp"
_VERIFIED_NAME: Final = re.compile(r"type=(\w+)/date=(\d{4}-\d{2}-\d{2})/(\d{2})\.verified", re.ASCII)


class Hour(NamedTuple):
    """One hour of one type: the unit that is archived, verified and deleted."""

    type: str  # the table's name
    start_ns: int

    @property
    def stop_ns(self) -> int:
        return self.start_ns + HOUR_NS

    @property
    def folder(self) -> str:
        """Below the archive's own."""
        return f"type={self.type}/date={show_time(self.start_ns)[:10]}"

    @property
    def name(self) -> str:
        """`00` to `23`."""
        return show_time(self.start_ns)[11:13]

    @property
    def verified(self) -> str:
        return f"{self.folder}/{self.name}{VERIFIED}"

    @property
    def pruned(self) -> str:
        return f"{self.folder}/{self.name}{PRUNED}"

    def part(self, number: int) -> str:
        """One of the hour's files: a big hour has several, in order."""
        return f"{self.folder}/{self.name}-{number}.parquet"

    def __str__(self) -> str:
        return f"{self.type} {show_time(self.start_ns)[:13]}h"


def parse_verified(path: str) -> Hour | None:
    """The hour that a verification is about; None when the path, relative to the archive and with `/`, is none."""
    match = _VERIFIED_NAME.fullmatch(path)
    if match is None or int(match[3]) > 23:
        return None
    try:
        day = parse_time(match[2], 0)
    except BadTimeError:
        return None
    return Hour(match[1], day + int(match[3]) * HOUR_NS)


def hours(table: str, starts: Iterable[int]) -> list[Hour]:
    """The hours that the times lie in, each once, in order."""
    return [Hour(table, start) for start in sorted({floor_hour(start) for start in starts})]
