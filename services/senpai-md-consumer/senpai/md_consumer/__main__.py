"""`python -m senpai.md_consumer`: the command line."""

import logging
import sys
from typing import Final

import structlog
import typer
from structlog.typing import EventDict, Processor, WrappedLogger

from nats_link import BadAccessError, redact
from nats_link.jetstream import StreamError
from senpai.md_consumer import service
from senpai.md_consumer.features import select
from senpai.md_consumer.http import BadHostError, PortTakenError
from senpai.md_consumer.plugins.loader import PluginsError
from senpai.md_consumer.plugins.trial import try_out
from senpai.md_consumer.settings import ENV_FILE, SettingsError, env_example, misspelled, read_settings

USAGE_ERROR: Final = 2
FAILURE: Final = 1

cli = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Rolling features and trading signals from normalised market data on NATS. Settings: environment or .env.",
)
log = structlog.get_logger("senpai.md_consumer")


@cli.callback(invoke_without_command=True)
def main(context: typer.Context) -> None:
    """Run the service (no command), until Ctrl-C or SIGTERM."""
    if context.invoked_subcommand is not None:
        return
    try:
        settings = read_settings()
        configure_logging(settings.log_level, settings.log_format)
        for name, meant in misspelled().items():
            log.warning("unknown_setting", name=name, file=ENV_FILE, next=f"it is ignored; did you mean {meant}?")
        service.run(settings)
    except PluginsError as error:
        raise _ended_by(error) from None
    except (SettingsError, BadAccessError, BadHostError, StreamError) as error:
        raise _ended(str(error), USAGE_ERROR) from None
    except PortTakenError as error:
        raise _ended(str(error), FAILURE) from None
    except Exception as error:
        log.exception("failed", error=str(error), next="a fault in the service: please report it with this trace")
        raise typer.Exit(FAILURE) from None


@cli.command("env-example")
def print_env_example() -> None:
    """Print `.env.example`: every setting with its default."""
    print(env_example(), end="")


@cli.command("plugins")
def try_plugins() -> None:
    """Try the plug-ins of SENPAI_PLUGINS on a made-up market, without NATS: what they say, and what they cost."""
    try:
        settings = read_settings()
        trial = try_out(service.load_plugins(settings), select(settings.features))
    except PluginsError as error:
        raise _ended_by(error) from None
    except SettingsError as error:
        raise _ended(str(error), USAGE_ERROR) from None
    print("\n".join(trial.lines))
    raise typer.Exit(0 if trial.is_good else FAILURE)


def _ended_by(error: PluginsError) -> typer.Exit:
    for problem in error.problems[:-1]:
        _ended(problem, USAGE_ERROR)
    return _ended(error.problems[-1], USAGE_ERROR)


def _ended(message: str, code: int) -> typer.Exit:
    print(f"senpai-md-consumer: {redact(message)}", file=sys.stderr)
    return typer.Exit(code)


def configure_logging(level: str, log_format: str) -> None:
    """One line an event on stderr, whoever logs it: coloured on a terminal, else key=value; or JSON.

    Passwords in URLs are never shown, and nobody's text can end a line or move the cursor.
    """
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Processor
    if log_format == "json":
        renderer = structlog.processors.JSONRenderer()
    elif sys.stderr.isatty():
        renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback, sort_keys=False)
    else:
        renderer = structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], bool_as_flag=False)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _make_safe,
                renderer,
            ],
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def _make_safe(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    if "exception" in event:
        event["traceback"] = event.pop("exception")  # the console renderer would give it lines of its own
    return {name: _one_line(redact(value)) if isinstance(value, str) else value for name, value in event.items()}


def _one_line(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


if __name__ == "__main__":
    cli(prog_name="python -m senpai.md_consumer")
