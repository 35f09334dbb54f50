"""The command line: `python -m app run | providers | env-example`, and how the process speaks (its log).

Exit codes: 0 after an orderly stop, 1 after a failure, 2 when a flag or a setting cannot be used.
"""

import logging
import sys
from typing import Annotated, Final, NoReturn, TextIO

import structlog
import typer
from structlog.typing import EventDict, Processor, WrappedLogger

from app.providers import PROVIDERS, UnknownProviderError
from app.settings import BadSettingsError, env_example, load

EXIT_FAILURE: Final = 1
EXIT_USAGE: Final = 2

app: Final = typer.Typer(
    help="Market data from exchanges to NATS, as events on md.events.{type}.{symbol}.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def run(
    provider: Annotated[
        str | None, typer.Option(help=f"Where the data comes from: {', '.join(sorted(PROVIDERS))}.", metavar="NAME")
    ] = None,
    backup: Annotated[
        str | None, typer.Option(help="Who stands in when that one fails, such as bybit.", metavar="NAME")
    ] = None,
    symbols: Annotated[
        str | None, typer.Option(help="Symbols separated by commas, such as BTCUSDT,ETHUSDT.", metavar="LIST")
    ] = None,
    http_port: Annotated[
        int | None, typer.Option(help="Port of /health, /providers, /metrics and the rest; 0 takes any free one.")
    ] = None,
) -> None:
    """Run the service until SIGTERM or Ctrl-C.

    Flags win over environment variables, those over the file .env beside the service.
    `python -m app env-example` lists every setting.
    """
    try:
        settings = load(provider=provider, backup=backup, symbols=symbols, http_port=http_port)
    except BadSettingsError as error:
        _refuse(EXIT_USAGE, *error.problems)
    if settings.provider not in PROVIDERS:
        _refuse(EXIT_USAGE, f"PROVIDER: {UnknownProviderError(settings.provider, PROVIDERS)}")
    configure_logging(settings.log_level, settings.log_format, sys.stderr)

    from app.http import PortTakenError  # only here: the HTTP and NATS libraries take a second to import
    from app.service import run_service

    try:
        code = run_service(settings)
    except BadSettingsError as error:
        _refuse(EXIT_USAGE, *error.problems)
    except PortTakenError as error:
        _refuse(EXIT_FAILURE, str(error))
    raise typer.Exit(code)


@app.command()
def providers() -> None:
    """List the providers this service knows, one a line."""
    for name in sorted(PROVIDERS):
        typer.echo(name)


@app.command("env-example")
def print_env_example() -> None:
    """Print every setting with its description and default, as a .env file."""
    typer.echo(env_example(), nl=False)


def _refuse(code: int, *lines: str) -> NoReturn:
    for line in lines:
        typer.echo(_one_line(line), err=True)
    raise typer.Exit(code)


def configure_logging(level: str, log_format: str, stream: TextIO) -> None:
    """Write the log to `stream`, one line an event: coloured on a terminal, else key=value; or JSON.

    What libraries log through `logging` comes out the same way, from WARNING up.
    """
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Processor
    if log_format == "json":
        renderer = structlog.processors.JSONRenderer()
    elif stream.isatty():
        renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback, sort_keys=False)
    else:
        renderer = structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], bool_as_flag=False)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                escape_control_characters,
                renderer,
            ],
        )
    )
    logging.basicConfig(
        level=max(logging.WARNING, logging.getLevelNamesMapping()[level]), handlers=[handler], force=True
    )
    for ours in ("app", "nats_link"):
        logging.getLogger(ours).setLevel(level)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def escape_control_characters(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Nobody's text may end a line, move the cursor or forge another entry."""
    if "exception" in event:
        event["traceback"] = event.pop("exception")  # the console renderer would give it lines of its own
    return {_one_line(key): _one_line(value) if isinstance(value, str) else value for key, value in event.items()}


def _one_line(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
