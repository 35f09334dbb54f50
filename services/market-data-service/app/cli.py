"""The command line: `python -m app run | record | archive | query ...`, and how the process speaks (its log).

Exit codes: 0 after an orderly stop, 1 after a failure, 2 when a flag or a setting cannot be used.
"""

import asyncio
import logging
import re
import sys
from typing import Annotated, Final, NoReturn, TextIO

import structlog
import typer
from structlog.typing import EventDict, Processor, WrappedLogger

from app.commands.archive import archive
from app.commands.completeness import completeness
from app.commands.query import app as query
from app.providers import PROVIDERS, UnknownProviderError
from app.settings import ENV_FILE, BadSettingsError, env_example, load, misspelled

EXIT_FAILURE: Final = 1
EXIT_USAGE: Final = 2
log: Final = structlog.get_logger("app")
RECORDABLE: Final = re.compile(r"(?:md\.events|senpai)(?:\.(?:\*|[A-Za-z0-9_-]+))*(?:\.>)?")
NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
DURABLE: Final = "market-data-recorder"

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
    for name, meant in misspelled(ENV_FILE).items():
        log.warning("unknown_setting", name=name, file=str(ENV_FILE), next=f"it is ignored; did you mean {meant}?")

    from app.http import BadHostError, PortTakenError  # only here: the HTTP and NATS libraries take a second to import
    from app.process import run_service
    from app.storage.store import StorageError

    try:
        code = run_service(settings)
    except BadSettingsError as error:
        _refuse(EXIT_USAGE, *error.problems)
    except StorageError as error:
        _refuse(EXIT_USAGE, f"STORAGE_URL: {error}")
    except BadHostError as error:
        _refuse(EXIT_USAGE, str(error))
    except PortTakenError as error:
        _refuse(EXIT_FAILURE, str(error))
    raise typer.Exit(code)


@app.command()
def record(
    from_nats: Annotated[
        bool, typer.Option("--from-nats", help="Listen on NATS_URL: the one source there is so far.")
    ] = False,
    subjects: Annotated[
        str, typer.Option(help="What to listen to: subjects below md.events. and senpai.", metavar="LIST")
    ] = "md.events.>,senpai.>",
    queue: Annotated[
        str, typer.Option(help="Queue group: several recorders share the messages, and holes are not recorded.")
    ] = "",
    durable: Annotated[
        str | None,
        typer.Option(
            help="JetStream mode: the consumer that knows what was recorded; one for each recorder.",
            show_default=DURABLE,
        ),
    ] = None,
) -> None:
    """Record what goes over NATS into STORAGE_URL until SIGTERM or Ctrl-C: events, features, signals and alerts.

    What memory has no room for while the database is away waits in SPILL_DIR/recorder. Holes in `seq` become rows of
    the table gap, what nobody can read becomes a row of the table quarantine. It listens as a plain subscriber:
    what is published while it does not run is not recorded. With USE_JETSTREAM=true it reads the stream MD_EVENTS,
    from where it stopped, and listens to what is not in there: features, signals and alerts. An SQLite file has one
    writer: beside a service that stores, give it a STORAGE_URL of its own, or start the service with STORAGE_URL=
    (empty). RETENTION_DAYS holds here as it does for the service.
    """
    if not from_nats:
        _refuse(EXIT_USAGE, "record: say --from-nats to record what goes over NATS; there is no other source")
    wanted = list(dict.fromkeys(subject.strip() for subject in subjects.split(",") if subject.strip()))
    wrong = [subject for subject in wanted if not RECORDABLE.fullmatch(subject)]
    if wrong or not wanted:
        found = ", ".join(subject[:80] for subject in wrong) or "nothing"
        _refuse(EXIT_USAGE, f"--subjects: expected some like md.events.trade.> or senpai.signals.*, found {found}")
    if queue and not NAME.fullmatch(queue):
        _refuse(EXIT_USAGE, f"--queue: expected letters, digits, - and _, found {queue[:80]}")
    if durable is not None and not NAME.fullmatch(durable):
        _refuse(EXIT_USAGE, f"--durable: expected up to 64 letters, digits, - and _, found {durable[:80]!r}")
    try:
        settings = load()
    except BadSettingsError as error:
        _refuse(EXIT_USAGE, *error.problems)
    if not settings.read_storage_url():
        _refuse(EXIT_USAGE, "STORAGE_URL: it is empty, so there is nowhere to record to")
    if not settings.nats_enabled:
        _refuse(EXIT_USAGE, "NATS_ENABLED: it is false, and --from-nats records what goes over NATS: set it to true")
    if durable is not None and not settings.use_jetstream:
        _refuse(EXIT_USAGE, "--durable: it names a consumer of JetStream: set USE_JETSTREAM=true, or leave it out")
    configure_logging(settings.log_level, settings.log_format, sys.stderr)

    from app.recording import run_recorder  # only here, as in run
    from app.storage.store import StorageError

    try:
        code = run_recorder(settings, wanted, queue, durable or DURABLE)
    except BadSettingsError as error:
        _refuse(EXIT_USAGE, *error.problems)
    except StorageError as error:
        _refuse(EXIT_USAGE, f"STORAGE_URL: {error}")
    raise typer.Exit(code)


@app.command()
def providers() -> None:
    """List the providers this service knows, one a line."""
    for name in sorted(PROVIDERS):
        typer.echo(name)


@app.command()
def migrate() -> None:
    """Bring the tables of STORAGE_URL to this version. An SQLite file is copied before, and migrated by `run` too."""
    try:
        url = load().read_storage_url()
    except BadSettingsError as error:
        _refuse(EXIT_USAGE, *error.problems)
    if not url:
        _refuse(EXIT_USAGE, "STORAGE_URL: nothing is stored, so there is nothing to migrate")

    from app.storage.opening import migrate_store
    from app.storage.store import StorageError

    try:
        typer.echo(asyncio.run(migrate_store(url)))
    except StorageError as error:
        _refuse(EXIT_USAGE, f"STORAGE_URL: {error}")


app.command()(archive)
app.command()(completeness)
app.add_typer(query, name="query")


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
