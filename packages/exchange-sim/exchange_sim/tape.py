"""Recorded files: what was heard on a venue's sockets, line by line, in either of two formats, packed with gzip or not.

- hftbacktest: `<receive time in ns> <frame>`, one frame a line.
- cryptofeed: one JSON object a line with `t` = header | http (url, data) | connect | send | recv (ts, data); `ts` is in
  seconds and `data` the raw text.
"""

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from heapq import merge
from pathlib import Path
from typing import IO, Final, Literal, NamedTuple, TypeAlias

import msgspec

Times: TypeAlias = Literal["now", "original"]
_NS_PER_S: Final = 1_000_000_000
_GZIP: Final = b"\x1f\x8b"
_BUFFER: Final = 1 << 18


class TapeError(ValueError):
    """A file that is no tape."""

    def __init__(self, path: Path, why: str) -> None:
        self.path = path
        super().__init__(f"cannot play {path}: {why}")


class Recorded(NamedTuple):
    """One recorded text: a frame, or the body of a GET when `url` is not empty. `file` counts files from 0."""

    ts_ns: int
    file: int
    text: bytes
    url: str


class Tape:
    """Files to be played together, merged by their receive times.

    Args:
        paths: the files; each is one recorder's, so its own order is kept even where its clock stepped back.
        speed: 1 as recorded, 2 twice as fast; 0 as fast as clients read.
        times: `now` moves all event times by one offset, the same for all of them, so that the tape begins now;
            `original` leaves them.
    """

    def __init__(self, paths: Iterable[str | Path] | str | Path, *, speed: float = 1.0, times: Times = "now") -> None:
        listed = [paths] if isinstance(paths, str | Path) else list(paths)
        self.paths = [Path(path) for path in listed]
        self.speed = speed
        self.times: Times = times
        if speed < 0:
            raise ValueError(f"expected a speed of 0 or more, found {speed!r}")

    def read(self) -> Iterator[Recorded]:
        """Yield everything on the tape by time.

        Raises:
            TapeError: a file is missing, damaged or in neither format.
        """
        return merge(
            *(_read(path, index) for index, path in enumerate(self.paths)), key=lambda recorded: recorded.ts_ns
        )


class _HttpLine(msgspec.Struct, tag_field="t", tag="http"):
    url: str
    data: str
    ts: float = 0.0


class _FrameLine(msgspec.Struct, tag_field="t", tag="recv"):
    data: str
    ts: float


_cryptofeed: Final = msgspec.json.Decoder(_HttpLine | _FrameLine)
_SKIPPED: Final = tuple(f'{{"t":"{kind}"'.encode() for kind in ("header", "connect", "send", "disconnect"))


def _read(path: Path, index: int) -> Iterator[Recorded]:
    number = 0
    latest = 0
    try:
        with closing(_open(path)) as file:
            for line in file:
                number += 1
                recorded = _parse(line, index)
                if recorded is not None:
                    latest = max(latest, recorded.ts_ns)
                    yield recorded if recorded.ts_ns == latest else recorded._replace(ts_ns=latest)
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise TapeError(path, reason) from error
    except (msgspec.DecodeError, ValueError) as error:
        raise TapeError(path, f"line {number} is neither '<ns> <json>' nor a cryptofeed record: {error}") from error


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP
    # A buffer of its own, because the one inside GzipFile is read through Python code for every line.
    return io.BufferedReader(gzip.open(path), _BUFFER) if packed else path.open("rb", _BUFFER)


def _parse(line: bytes, index: int) -> Recorded | None:
    if not line.startswith(b"{"):
        when, _, text = line.rstrip().partition(b" ")
        if not text:
            if not when:
                return None
            raise ValueError("found no space")
        return Recorded(int(when), index, text, "")
    if line.startswith(_SKIPPED):
        return None
    record = _cryptofeed.decode(line)
    url = record.url if isinstance(record, _HttpLine) else ""
    return Recorded(int(record.ts * _NS_PER_S), index, record.data.encode(), url)
