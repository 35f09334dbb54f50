"""`record` as people type it: what cannot be done is said in one line, before anything happens."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner

from app.cli import app


@pytest.fixture
def log_as_it_was() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()
    asyncio.set_event_loop_policy(None)


@pytest.mark.usefixtures("log_as_it_was")
@pytest.mark.parametrize(
    ("arguments", "variables", "line"),
    [
        ([], {}, "record: say --from-nats"),
        (["--from-nats"], {"STORAGE_URL": ""}, "STORAGE_URL: it is empty"),
        (["--from-nats", "--subjects", ">"], {}, "--subjects: expected some like"),
        (["--from-nats", "--subjects", "md.events.a b"], {}, "--subjects: expected some like"),
        (["--from-nats", "--subjects", " , "], {}, "--subjects: expected some like"),
        (["--from-nats", "--queue", "a.b"], {}, "--queue: expected"),
        (["--from-nats", "--durable", "a b"], {}, "--durable: expected"),
        (["--from-nats", "--queue", "a"], {"USE_JETSTREAM": "true"}, "--queue: it shares what is heard"),
        (["--from-nats", "--durable", "a"], {"USE_JETSTREAM": "false"}, "--durable: it names a consumer of JetStream"),
        (["--from-nats"], {"NATS_ENABLED": "false"}, "NATS_ENABLED: it is false"),
        (["--from-nats"], {"NATS_CREDS_FILE": "none.creds"}, "NATS_CREDS_FILE: expected a file"),
        (["--from-nats"], {"STORAGE_URL": "mysql://host/db"}, "STORAGE_URL: expected a URL like"),
        (["--from-nats"], {"STORAGE_URL": "sqlite+aiosqlite:////proc/none/x.db"}, "STORAGE_URL: cannot write"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    tmp_path: Path, arguments: list[str], variables: dict[str, str], line: str
) -> None:
    env = {"STORAGE_URL": f"sqlite+aiosqlite:///{tmp_path}/market.db", "SPILL_DIR": str(tmp_path / "spill")} | variables
    done = CliRunner(env=env).invoke(app, ["record", *arguments])
    assert done.exit_code == 2
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1


def test_the_help_says_what_is_not_recorded() -> None:
    text = " ".join(CliRunner().invoke(app, ["record", "--help"]).stdout.split())
    assert "what is published while it does not run is not recorded" in text
    assert "With USE_JETSTREAM=true it reads the stream MD_EVENTS, from where it stopped" in text
    assert "An SQLite file has one writer" in text
