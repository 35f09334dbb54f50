"""The archive command's work: which hours, one after the other, with someone watching."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from app.history.archive.errors import DamagedArchiveError
from app.history.archive.files import alone
from app.history.archive.hour import archive_hour
from app.history.archive.layout import Hour, hours
from app.history.archive.tables import ARCHIVED
from app.history.times import HOUR_NS, floor_hour
from app.storage.reader import Reader

SETTLE_NS: Final = HOUR_NS // 6  # what is late or fetched afterwards has come by then


class Watcher(Protocol):
    """Who shows how far it is."""

    def begin(self, hours: int) -> None:
        """So many hours are to be looked at."""

    def rows(self, count: int) -> None:
        """So many more rows are in the archive."""

    def done(self, hour: Hour) -> None:
        """One hour has been looked at."""

    def damaged(self, hour: Hour, why: str) -> None:
        """One hour has been looked at, and nothing of it may be written; one line for people."""


class Outcome(NamedTuple):
    """What a run has done."""

    hours: int  # written, or written anew
    unchanged: int  # the archive already had what the store has
    rows: int
    files: int
    bytes: int
    damaged: int  # left as they are, because what had been verified is no longer there


def last_stop(now_ns: int) -> int:
    """The end of the last hour that may be archived now."""
    return floor_hour(now_ns - SETTLE_NS)


async def hours_with_rows(
    reader: Reader, name: str, symbols: Sequence[str], since_ns: int, until_ns: int
) -> list[Hour]:
    """The hours of one table that have rows; one look into the index an hour and symbol."""
    archived = ARCHIVED[name]
    found: set[int] = set()
    for symbol in symbols:
        at = since_ns
        while at < until_ns:
            [(first,)] = await reader.rows(archived.first(symbol, at, until_ns))
            if first is None:
                break
            found.add(floor_hour(first))
            at = floor_hour(first) + HOUR_NS
    return hours(name, found)


async def archive(
    reader: Reader, root: Path, names: Sequence[str], since_ns: int, until_ns: int, watcher: Watcher
) -> Outcome:
    """Archive every whole hour of these tables with `since_ns <= hour < until_ns`.

    Raises:
        ArchiveError: another run is at work in this folder.
        VerificationError: see `archive_hour`; hours done before stay.
    """
    with alone(root):
        return await _archive(reader, root, names, since_ns, until_ns, watcher)


async def _archive(
    reader: Reader, root: Path, names: Sequence[str], since_ns: int, until_ns: int, watcher: Watcher
) -> Outcome:
    symbols = {name: await reader.symbols(ARCHIVED[name].table) for name in names}
    todo = [hour for name in names for hour in await hours_with_rows(reader, name, symbols[name], since_ns, until_ns)]
    todo.sort(key=lambda hour: (hour.start_ns, hour.type))
    watcher.begin(len(todo))
    written = [0, 0, 0, 0, 0, 0]
    for hour in todo:
        try:
            verified = await archive_hour(reader, root, hour, symbols[hour.type], watcher.rows)
        except DamagedArchiveError as error:  # of this hour alone
            written[5] += 1
            watcher.damaged(hour, str(error))
            continue
        if verified is None:
            written[1] += 1
        else:
            written[0] += 1
            written[2] += sum(verified.archived.values())
            written[3] += len(verified.files)
            written[4] += sum(file.bytes for file in verified.files)
        watcher.done(hour)
    return Outcome(*written)
