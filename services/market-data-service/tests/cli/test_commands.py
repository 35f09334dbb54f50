"""The commands as people type them: what they print and how they exit."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.providers import PROVIDERS

SERVICE = Path(__file__).resolve().parents[2]


@pytest.fixture
def cli() -> CliRunner:
    return CliRunner(env={"NATS_ENABLED": "false", "HTTP_PORT": "0"})


def test_an_unknown_provider_is_refused_with_the_known_ones(cli: CliRunner) -> None:
    done = cli.invoke(app, ["run", "--provider", "nasdaq"])
    assert done.exit_code == 2
    assert done.stderr == f"PROVIDER: unknown provider 'nasdaq': expected one of {', '.join(sorted(PROVIDERS))}\n"


@pytest.mark.parametrize(
    ("backup", "line"),
    [
        (
            "alpaca",
            "BACKUP: alpaca trades US shares and pairs in USD such as BTC/USD, which cannot stand in for binance's",
        ),
        ("binance", "BACKUP: binance is the provider itself, which cannot stand in for it"),
        ("mars", "BACKUP: unknown provider 'mars'"),
    ],
)
def test_a_backup_that_cannot_stand_in_is_refused_in_one_line(cli: CliRunner, backup: str, line: str) -> None:
    done = cli.invoke(app, ["run", "--backup", backup])
    assert done.exit_code == 2
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1


def test_a_token_file_that_cannot_be_read_is_refused_by_name(cli: CliRunner, tmp_path: Path) -> None:
    done = cli.invoke(app, ["run"], env={"FAILOVER_TOKEN_FILE": str(tmp_path / "none")})
    assert done.exit_code == 2
    assert done.stderr.startswith("FAILOVER_TOKEN_FILE: expected a readable file, found ")
    assert done.stderr.count("\n") == 1


def test_bad_settings_are_refused_with_a_line_each_and_no_secret(cli: CliRunner) -> None:
    bad = {"BOOK_DEPTH": "many", "NATS_URL": "http://user:canary@host", "LOG_FORMAT": "a\nb"}
    done = cli.invoke(app, ["run", "--symbols", "BTC USDT"], env=bad)
    assert done.exit_code == 2
    named = [line.partition(":")[0] for line in done.stderr.splitlines()]
    assert named == ["SYMBOLS", "BOOK_DEPTH", "NATS_URL", "LOG_FORMAT"]
    assert "canary" not in done.output


def test_a_taken_port_is_told_before_anything_else_happens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "app", "run", "--http-port", port],
            cwd=SERVICE, env=os.environ, capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"HTTP cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "HTTP_PORT" in done.stderr


def test_a_host_that_is_none_is_told_with_exit_code_2() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app", "run", "--http-port", "0"], cwd=SERVICE,
        env={**os.environ, "HTTP_HOST": "nohost.invalid"}, capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("HTTP_HOST: expected an address of this machine")
    assert done.stderr.count("\n") == 1


def test_providers_are_listed_one_a_line(cli: CliRunner) -> None:
    assert cli.invoke(app, ["providers"]).stdout.splitlines() == sorted(PROVIDERS)


def test_env_example_prints_the_file(cli: CliRunner) -> None:
    assert cli.invoke(app, ["env-example"]).stdout == (SERVICE / ".env.example").read_text()


def test_help_says_what_there_is(cli: CliRunner) -> None:
    commands = cli.invoke(app, ["--help"])
    assert commands.exit_code == 0
    assert all(name in commands.stdout for name in ("run", "providers", "env-example"))
    flags = cli.invoke(app, ["run", "--help"]).stdout
    assert "provider" in flags
    assert "symbols" in flags


def test_an_unknown_flag_is_a_usage_error(cli: CliRunner) -> None:
    assert cli.invoke(app, ["run", "--no-such-flag"]).exit_code == 2
