"""Settings: defaults, the `.env` file, and one clear line for what cannot be used."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from senpai.md_consumer.__main__ import cli
from senpai.md_consumer.settings import Settings, SettingsError, env_example, misspelled, read_settings

FOLDER = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def test_defaults_are_the_specified_ones() -> None:
    settings = read_settings()
    assert settings.nats_url.get_secret_value() == "nats://127.0.0.1:4222"
    assert settings.features_pub_rate_hz == 10
    assert settings.signal_return_threshold == 0.003
    assert settings.signal_volume_threshold == 1.0
    assert settings.signal_spread_bps_threshold == 20.0
    assert settings.rolling_window_seconds == 60
    assert settings.use_jetstream is False
    assert (settings.http_host, settings.http_port) == ("127.0.0.1", 8892)


def test_the_env_file_is_read_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("SIGNAL_RETURN_THRESHOLD=0.001\nHTTP_PORT=1\nOF_ANOTHER_SERVICE=1\nLOG_LEVEL=\n")
    monkeypatch.setenv("HTTP_PORT", "2")
    settings = read_settings()
    assert (settings.signal_return_threshold, settings.http_port, settings.log_level) == (0.001, 2, "info")


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("FEATURES_PUB_RATE_HZ", "fast", "valid number"),
        ("FEATURES_PUB_RATE_HZ", "0", "greater than 0"),
        ("FEATURES_PUB_RATE_HZ", "inf", "1000"),
        ("HTTP_PORT", "70000", "65535"),
        ("SIGNAL_RETURN_THRESHOLD", "nan", "finite"),
        ("SIGNAL_RETURN_THRESHOLD", "-0.003", "greater than 0"),
        ("SIGNAL_VOLUME_THRESHOLD", "nan", "finite"),
        ("ROLLING_WINDOW_SECONDS", "120", "60"),
        ("QUEUE_SIZE", "1", "10"),
        ("FEATURES", "microprise", "unknown feature 'microprise': expected all, none, or some of microprice, "),
        ("FEATURES", "foo,mid,bar", "unknown features 'bar', 'foo': expected all, none, or some of microprice, "),
        ("FEATURES", "foo,mid", "(always on: mid)"),
        ("LOG_FORMAT", "xml", "'json'"),
        ("NATS_URL", "http://user:geheim@127.0.0.1", "nats://"),
        ("NATS_URL", "nats://user:geheim@", "host"),
        ("JETSTREAM_DURABLE", "senpai.md", "pattern"),
        ("USE_JETSTREAM", "maybe", "boolean"),
    ],
)
def test_what_cannot_be_used_is_one_line_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, hint: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        read_settings()
    line = str(caught.value)
    assert line.startswith(f"{name}: ")
    assert hint in line
    assert "\n" not in line
    assert "geheim" not in line


def test_an_env_file_that_is_no_text_is_said(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match=r"\.env"):
        read_settings()


def test_misspelled_names_in_the_env_file_are_found_and_those_of_the_other_service_let_be(tmp_path: Path) -> None:
    other = (FOLDER.parent / "market-data-service" / ".env.example").read_text()
    (tmp_path / ".env").write_text(f"{env_example()}{other}SIGNAL_TRESHOLD=5\nQUEUESIZE=9\nHOME=/\n")
    found = misspelled()
    assert found.keys() == {"SIGNAL_TRESHOLD", "QUEUESIZE"}
    assert found["QUEUESIZE"] == "QUEUE_SIZE"
    assert "SIGNAL_RETURN_THRESHOLD" in found["SIGNAL_TRESHOLD"].split(" or ")


def test_without_an_env_file_nothing_is_misspelled() -> None:
    assert misspelled() == {}


def test_secrets_do_not_show() -> None:
    settings = Settings.model_validate({"nats_url": "nats://user:geheim@127.0.0.1"})
    assert "geheim" not in f"{settings!r} {settings}"


def test_settings_cannot_be_changed() -> None:
    settings = read_settings()
    with pytest.raises(ValidationError):
        settings.http_port = 1


def test_env_example_is_what_the_command_prints() -> None:
    printed = CliRunner().invoke(cli, ["env-example"])
    assert printed.exit_code == 0
    assert printed.output == env_example()
    written = (FOLDER / ".env.example").read_text()
    assert written == env_example(), "run: python -m senpai.md_consumer env-example > .env.example"


def test_env_example_is_a_usable_env_file_of_defaults(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(env_example())
    assert read_settings() == Settings.model_construct()


def test_help_says_what_it_is() -> None:
    shown = CliRunner().invoke(cli, ["--help"])
    assert shown.exit_code == 0
    assert "env-example" in shown.output
