"""Recorded files: what was heard on a venue's sockets, line by line, in either of two formats, packed with gzip or not.

- hftbacktest: `<receive time in ns> <frame>`, one frame a line.
- cryptofeed: one JSON object a line with `t` = header | http (url, ts, data) | connect (addr) | send | recv (ts, data),
  of the connection `conn`; `ts` is in seconds and `data` the raw text.
"""

import gzip
import io
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from heapq import merge
from itertools import takewhile
from pathlib import Path
from typing import IO, Final, Literal, NamedTuple, TypeAlias, TypeVar

import msgspec

Times: TypeAlias = Literal["now", "original"]
_Parsed = TypeVar("_Parsed")
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
    address: str = ""  # of the socket that a frame came from, where the recorder tells


class Tape:
    """Files to be played together, merged by their receive times.

    Args:
        paths: the files; each is one recorder's, so its own order is kept even where its clock stepped back. A file of
            several sockets has an order for each of them, as some recorders write one socket after the other.
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
        readers: list[Iterator[Recorded]] = []
        for index, path in enumerate(self.paths):
            sockets = _sockets(path)
            shares = [*sockets, _REST] if len(sockets) > 1 else [None]
            readers += [_read(path, index, sockets, share) for share in shares]
        return merge(*readers, key=lambda recorded: recorded.ts_ns)


class _HttpLine(msgspec.Struct, tag_field="t", tag="http"):
    url: str
    data: str
    ts: float = 0.0
    conn: str = ""


class _FrameLine(msgspec.Struct, tag_field="t", tag="recv"):
    data: str
    ts: float
    conn: str = ""


class _ConnectLine(msgspec.Struct, tag_field="t", tag="connect"):
    conn: str = ""
    addr: str = ""


_cryptofeed: Final = msgspec.json.Decoder(_HttpLine | _FrameLine)
_connect: Final = msgspec.json.Decoder(_ConnectLine)
_CONNECT: Final = b'{"t":"connect"'
_SKIPPED: Final = (_CONNECT, *(f'{{"t":"{kind}"'.encode() for kind in ("header", "send", "disconnect")))
_OTHER_LINE: Final = _ConnectLine()
_REST: Final = ""  # stands for every line that belongs to no socket


def _sockets(path: Path) -> dict[str, str]:
    """Return the addresses of a file's sockets by their names; none in the format that has no names."""

    def parse(line: bytes) -> _ConnectLine | None:
        return _connect.decode(line) if line.startswith(_CONNECT) else _OTHER_LINE if line.startswith(b"{") else None

    lines = takewhile(bool, _lines(path, parse))
    return {line.conn: line.addr for line in lines if line is not None and line is not _OTHER_LINE}


def _read(path: Path, index: int, sockets: Mapping[str, str], share: str | None) -> Iterator[Recorded]:
    """Yield what is in a file in its own order; of one socket only, or of none of them, unless `share` is None."""
    latest = 0
    for recorded in _lines(path, lambda line: _parse(line, index, sockets, share)):
        if recorded is not None:
            latest = max(latest, recorded.ts_ns)
            yield recorded if recorded.ts_ns == latest else recorded._replace(ts_ns=latest)


def _lines(path: Path, parse: Callable[[bytes], _Parsed]) -> Iterator[_Parsed]:
    """Yield every line of a file as parsed; raises `TapeError` for one that cannot be."""
    number = 0
    try:
        with closing(_open(path)) as file:
            for line in file:
                number += 1
                yield parse(line)
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


def _parse(line: bytes, index: int, sockets: Mapping[str, str], share: str | None) -> Recorded | None:
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
    if share is not None and share != (record.conn if record.conn in sockets else _REST):
        return None
    url = record.url if isinstance(record, _HttpLine) else ""
    return Recorded(int(record.ts * _NS_PER_S), index, record.data.encode(), url, sockets.get(record.conn, ""))
