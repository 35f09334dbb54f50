"""`python -m app archive`: whole hours from the store to Parquet files."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.commands.common import EXIT_FAILURE, EXIT_USAGE, UntilOption, read_span, refuse, settings, with_store
from app.history.output import NO_ARROW
from app.history.times import show_time

if TYPE_CHECKING:
    from app.history.archive.layout import Hour
    from app.history.archive.run import Outcome
    from app.storage.reader import Reader

DEFAULT_TYPES = "trade,quote,book,heartbeat,gap,feature,signal"


class Bar:
    """A progress bar on a terminal, a line an hour elsewhere."""

    def __init__(self) -> None:
        self._rows = 0
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("hours, {task.fields[rows]:,} rows"),
            TimeRemainingColumn(),
            console=Console(file=sys.stderr, highlight=False, markup=False, emoji=False),
            disable=not sys.stderr.isatty(),
        )
        self._task = self._progress.add_task("archive", total=None, rows=0)

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, hours: int) -> None:
        self._progress.update(self._task, total=hours)

    def rows(self, count: int) -> None:
        self._rows += count
        self._progress.update(self._task, rows=self._rows)

    def done(self, hour: "Hour") -> None:
        self._progress.update(self._task, advance=1, description=str(hour))
        if self._progress.disable:
            typer.echo(f"done: {hour}, {self._rows:,} rows so far", err=True)

    def damaged(self, hour: "Hour", why: str) -> None:
        self._progress.update(self._task, advance=1, description=str(hour))
        self._progress.console.print(f"damaged: {hour.type} {why}", soft_wrap=True)


def archive(
    since: Annotated[
        str, typer.Option("--since", help="First hour: 2026-01-31, 2026-01-31T13:00, 3d (ago). UTC.", metavar="TIME")
    ] = "1970-01-01",
    until: UntilOption = "now",
    types: Annotated[str, typer.Option("--types", help="Tables, separated by commas.", metavar="LIST")] = DEFAULT_TYPES,
    directory: Annotated[
        Path | None, typer.Option("--directory", help="Where to; default: ARCHIVE_DIR.", metavar="FOLDER")
    ] = None,
) -> None:
    """Write whole hours that are over to Parquet files, read them back and compare.

    Runs beside the service. An hour that is archived already is written anew only when rows of it came later, and
    what the archive has is never lost by that. An hour whose files are damaged is left as it is: it is told, the others
    are archived, and the exit code is 1. Who writes to the store deletes what was verified
    after RETENTION_DAYS.
    """
    try:
        from app.history.archive.run import archive as work
        from app.history.archive.run import last_stop
        from app.history.archive.tables import ARCHIVED
    except ImportError:
        refuse(EXIT_USAGE, NO_ARROW)
    names = list(dict.fromkeys(name.strip() for name in types.split(",") if name.strip()))
    unknown = [name for name in names if name not in ARCHIVED]
    if unknown or not names:
        refuse(EXIT_USAGE, f"--types: expected some of {', '.join(ARCHIVED)}, found {', '.join(unknown) or 'nothing'}")
    span = read_span(since, until)
    config = settings()
    root = directory or config.archive_dir
    stop = min(span.until, last_stop(span.now))

    with Bar() as bar:

        async def run(reader: "Reader") -> "Outcome":
            return await work(reader, root, names, span.since, stop, bar)

        done = with_store(config.read_storage_url(), run)
    typer.echo(
        f"{done.rows:,} rows of {done.hours} hours in {done.files} files ({done.bytes / 1e6:,.1f} MB) "
        f"in {root}; {done.unchanged} hours were archived already; hours until {show_time(stop)}"
    )
    if done.damaged:
        refuse(
            EXIT_FAILURE, f"{done.damaged} hours are damaged and not archived: do what their lines above say, run again"
        )
