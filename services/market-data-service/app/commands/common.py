"""What the commands about the store share: their store, their times, and how they fail."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple, NoReturn, TypeVar

import typer

from app.history.archive.errors import ArchiveError
from app.history.output import OutputError
from app.history.times import BadTimeError, parse_time
from app.settings import BadSettingsError, Settings, load

if TYPE_CHECKING:
    from app.storage.reader import Reader

EXIT_FAILURE: Final = 1
EXIT_USAGE: Final = 2

SymbolOption = Annotated[str, typer.Option("--symbol", help="Symbol as stored, such as BTCUSDT.", metavar="NAME")]
ProviderOption = Annotated[
    str | None, typer.Option("--provider", help="Only what came from this one, such as binance.", metavar="NAME")
]
SinceOption = Annotated[
    str, typer.Option("--since", help="2026-01-31, 2026-01-31T13:45:00, or ago: 90m, 2h, 3d. UTC.", metavar="TIME")
]
UntilOption = Annotated[str, typer.Option("--until", help="The same; not included.", metavar="TIME")]

_T = TypeVar("_T")


class Span(NamedTuple):
    """A time span and the present, in ns."""

    since: int
    until: int
    now: int


def read_span(since: str, until: str) -> Span:
    """The span that is meant; ends the command when there is none."""
    now = time.time_ns()

    def read(option: str, text: str) -> int:
        try:
            return parse_time(text, now)
        except BadTimeError as error:
            refuse(EXIT_USAGE, f"{option}: {error}")

    span = Span(read("--since", since), read("--until", until), now)
    if span.since >= span.until:
        refuse(EXIT_USAGE, f"--since {since} is not before --until {until}")
    return span


def settings() -> Settings:
    """The service's settings; ends the command when they cannot be used, or say that nothing is stored."""
    try:
        return load()
    except BadSettingsError as error:
        refuse(EXIT_USAGE, *error.problems)


def with_store(url: str, work: Callable[["Reader"], Coroutine[Any, Any, _T]]) -> _T:
    """Do `work` on the store at `url`; ends the command with one line when that cannot be done."""
    if not url:
        refuse(EXIT_USAGE, "STORAGE_URL is empty: nothing is stored; set it to the store to read")

    from app.storage.address import BadStorageUrlError  # only here: the database libraries take a second to import
    from app.storage.reader import open_reader
    from app.storage.store import StorageAwayError, StorageError

    async def run() -> _T:
        async with open_reader(url) as reader:
            return await work(reader)

    try:
        return asyncio.run(run())
    except BrokenPipeError:  # who reads has enough, such as `| head`
        raise typer.Exit(0) from None
    except StorageAwayError as error:
        refuse(EXIT_FAILURE, str(error))
    except (BadStorageUrlError, StorageError, OutputError) as error:
        refuse(EXIT_USAGE, str(error))
    except ArchiveError as error:
        refuse(EXIT_FAILURE, str(error))
    except OSError as error:
        refuse(EXIT_FAILURE, f"{error.filename or 'output'}: {error.strerror or error}")
    except KeyboardInterrupt:
        refuse(130, "interrupted: what is complete stays, begin again at any time")


def check_symbol(symbol: str, known: list[str]) -> str:
    """The stored symbol that is meant, whatever its case; ends the command when there is none."""
    wanted = symbol.strip()
    found = [name for name in (wanted, wanted.upper()) if name in known]
    if not found:
        shown = ", ".join(known[:20]) + (" ..." if len(known) > 20 else "")
        refuse(EXIT_FAILURE, f"nothing is stored of {wanted[:40]!r}; there is: {shown or 'nothing at all yet'}")
    return found[0]


def make_parent(path: Path | None) -> None:
    """See that the folder of an output file is there."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)


def refuse(code: int, *lines: str) -> NoReturn:
    """End the command with these lines on standard error."""
    for text in lines:
        typer.echo(text.encode("unicode_escape").decode() if not text.isprintable() else text, err=True)
    raise typer.Exit(code)
