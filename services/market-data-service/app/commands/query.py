"""`python -m app query`: what everybody asks of recorded data."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from app.commands.common import (
    ProviderOption,
    SinceOption,
    Span,
    SymbolOption,
    UntilOption,
    check_symbol,
    make_parent,
    read_span,
    settings,
    with_store,
)
from app.history import output

if TYPE_CHECKING:
    from sqlalchemy import Select

    from app.storage.reader import Reader

app = typer.Typer(help="Ask the store: trades of a symbol, or its VWAP per minute.", no_args_is_help=True)

FormatOption = Annotated[output.Format, typer.Option("--format", help="How the answer is written.")]
OutputOption = Annotated[
    Path | None, typer.Option("--output", help="File to write; without one: standard output.", metavar="FILE")
]
LimitOption = Annotated[
    int | None, typer.Option("--limit", min=1, help=f"Rows at most; a table stops at {output.TABLE_ROWS} by itself.")
]


@app.command()
def trades(
    symbol: SymbolOption,
    since: SinceOption = "1h",
    until: UntilOption = "now",
    provider: ProviderOption = None,
    form: FormatOption = "table",
    path: OutputOption = None,
    limit: LimitOption = None,
) -> None:
    """Trades of a symbol between two times, oldest first. `ts` is the venue's time in ns (ours where it gives none)."""
    _answer("trades", symbol, read_span(since, until), provider, form, path, limit)


@app.command()
def vwap(
    symbol: SymbolOption,
    since: SinceOption = "1h",
    until: UntilOption = "now",
    provider: ProviderOption = None,
    form: FormatOption = "table",
    path: OutputOption = None,
    limit: LimitOption = None,
) -> None:
    """Volume-weighted average price per minute, with volume, number of trades, low and high."""
    _answer("vwap", symbol, read_span(since, until), provider, form, path, limit)


def _answer(
    question: Literal["trades", "vwap"],
    symbol: str,
    span: Span,
    provider: str | None,
    form: output.Format,
    path: Path | None,
    limit: int | None,
) -> None:

    async def ask(reader: "Reader") -> int:
        from app.history import questions  # only here, as in common
        from app.storage import schema

        make_parent(path)
        name = check_symbol(symbol, await reader.symbols(schema.trade))
        make = questions.trades if question == "trades" else questions.vwap
        statement: Select[Any] = make(name, span.since, span.until, provider)
        if limit is not None:
            statement = statement.limit(limit + 1)  # one more tells a table that it was cut
        return await output.write(reader.batches(statement), statement.selected_columns.keys(), form, path, limit)

    count = with_store(settings().read_storage_url(), ask)
    if path is not None or sys.stderr.isatty():
        typer.echo(f"{count:,} rows{f' in {path}' if path else ''}", err=True)
