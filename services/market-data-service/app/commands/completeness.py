"""`python -m app completeness`: how much of each hour is there."""

import csv
import sys
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from app.commands.common import (
    EXIT_FAILURE,
    SinceOption,
    UntilOption,
    check_symbol,
    read_span,
    refuse,
    settings,
    with_store,
)
from app.history.completeness import HEADINGS, Report, lines
from app.history.output import NOTHING
from md_contract.subjects import SYSTEM

if TYPE_CHECKING:
    from app.storage.reader import Reader


def completeness(
    since: SinceOption = "24h",
    until: UntilOption = "now",
    symbol: Annotated[str | None, typer.Option("--symbol", help="Only this one.", metavar="NAME")] = None,
    form: Annotated[Literal["table", "csv", "json"], typer.Option("--format", help="How it is written.")] = "table",
    at_least: Annotated[
        float | None,
        typer.Option(
            "--at-least", min=0, max=100, help="Exit with 1 when any line is, or may be, below this per cent."
        ),
    ] = None,
) -> None:
    """Report on every hour and symbol: rows, gaps, sources, and how complete it is.

    Missing trades are counted from the venue's ids where it numbers them one by one (binance), else they are what the
    gap events say; `+?` and `<=` mark gaps of an unknown size. Uptime is told by the service's heartbeats.
    """
    span = read_span(since, until)

    async def ask(reader: "Reader") -> list[Report]:
        from app.history.counts import report  # only here, as in common
        from app.storage import schema

        known = sorted({*await reader.symbols(schema.trade), *await reader.symbols(schema.quote)} - {SYSTEM})
        symbols = known if symbol is None else [check_symbol(symbol, known)]
        with _bar() as bar:
            task = bar.add_task("completeness", total=None)

            def on_hour(done: int, of: int) -> None:
                bar.update(task, completed=done, total=of)

            reports = [line async for line in report(reader, symbols, span.since, span.until, span.now, on_hour)]
        _show(reports, form)
        return reports

    reports = with_store(settings().read_storage_url(), ask)
    if at_least is None:
        return
    below = sum((entry.complete_percent or 0) < at_least for entry in reports)
    unproved = sum((entry.complete_percent or 0) >= at_least and entry.at_most for entry in reports)
    if below or unproved:
        refuse(EXIT_FAILURE, f"{below} lines are below {at_least:g} %, {unproved} may be (<=); of {len(reports)}")


def _bar() -> Progress:
    """A progress bar on a terminal, nothing elsewhere; gone when the report is there."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("hours"),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr, highlight=False, markup=False, emoji=False),
        disable=not sys.stderr.isatty(),
        transient=True,
    )


def _show(reports: list[Report], form: str) -> None:
    if form == "json":
        typer.echo(msgspec.json.format(msgspec.json.encode(reports)).decode())
    elif form == "csv":
        writer = csv.DictWriter(sys.stdout, Report.__struct_fields__, lineterminator="\n")
        writer.writeheader()
        for entry in reports:
            writer.writerow({**msgspec.structs.asdict(entry), "sources": " ".join(entry.sources)})
    elif not reports:
        typer.echo(NOTHING)
    else:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in HEADINGS:
            table.add_column(name, justify="left" if name in ("hour", "symbol", "sources") else "right", no_wrap=True)
        for cells in lines(reports):
            table.add_row(*cells)
        Console(width=None if sys.stdout.isatty() else 200, highlight=False, markup=False, emoji=False).print(table)
