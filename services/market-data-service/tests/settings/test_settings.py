"""Settings: where they come from, what is refused and how that is said."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.providers import PROVIDERS
from app.settings import BadSettingsError, Settings, env_example, load, misspelled

SERVICE = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def problems(**flags: object) -> list[str]:
    with pytest.raises(BadSettingsError) as refused:
        load(None, **flags)
    return refused.value.problems


def test_the_defaults_are_those_of_the_specification() -> None:
    settings = load(None)
    assert settings.provider == "binance"
    assert settings.symbols == ("BTCUSDT", "ETHUSDT")
    assert settings.binance_ws_url == "wss://stream.binance.com:9443"
    assert settings.binance_rest_url == "https://api.binance.com"
    assert settings.nats_url.get_secret_value() == "nats://127.0.0.1:4222"
    assert settings.nats_enabled
    assert (settings.http_host, settings.http_port) == ("127.0.0.1", 8891)
    assert settings.provider in PROVIDERS


def test_misspelled_names_in_the_env_file_are_found_and_those_of_the_other_service_let_be(tmp_path: Path) -> None:
    other = (SERVICE.parent / "senpai-md-consumer" / ".env.example").read_text()
    file = tmp_path / ".env"
    file.write_text(f"{env_example()}{other}SYMBOL=BTCUSDT\nBOOKDEPTH=9\nHOME=/\n")
    assert misspelled(file) == {"SYMBOL": "SYMBOLS", "BOOKDEPTH": "BOOK_DEPTH"}
    assert misspelled(None) == misspelled(tmp_path / "none") == {}


def test_env_example_is_the_generated_one_and_sets_what_the_defaults_say(tmp_path: Path) -> None:
    assert (SERVICE / ".env.example").read_text() == env_example(), "run: python -m app env-example > .env.example"
    assert load(SERVICE / ".env.example") == load(None)


def test_every_setting_has_a_description() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_a_flag_wins_over_the_environment_and_that_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".env"
    file.write_text("HTTP_PORT=1\nBOOK_DEPTH=1\nLOG_LEVEL=error\n")
    monkeypatch.setenv("HTTP_PORT", "2")
    monkeypatch.setenv("BOOK_DEPTH", "2")
    settings = load(file, http_port=3, book_depth=None)
    assert (settings.http_port, settings.book_depth, settings.log_level) == (3, 2, "ERROR")


def test_symbols_are_upper_case_and_each_once_in_the_order_given() -> None:
    assert load(None, symbols=" ethusdt,BTCUSDT,,EthUsdt,").symbols == ("ETHUSDT", "BTCUSDT")


def test_an_empty_variable_is_as_if_it_were_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PORT", "")
    assert load(None).http_port == 8891


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("http_port", "x", "HTTP_PORT: expected a valid integer, found 'x'"),
        ("http_port", "70000", "HTTP_PORT: expected less than or equal to 65535, found '70000'"),
        ("symbols", "BTC USDT", "SYMBOLS: expected symbols like BTCUSDT, found 'BTC USDT'"),
        ("symbols", "BTC.>", "SYMBOLS: expected symbols like BTCUSDT, found 'BTC.>'"),
        ("symbols", " , ", "SYMBOLS: expected 1 to 1000 symbols separated by commas, found 0"),
        ("log_level", "loud", "LOG_LEVEL: expected 'DEBUG', 'INFO', 'WARNING' or 'ERROR', found 'LOUD'"),
        ("nats_enabled", "perhaps", "NATS_ENABLED: expected a valid boolean, found 'perhaps'"),
        ("book_pub_rate_hz", "nan", "BOOK_PUB_RATE_HZ: expected a finite number, found 'nan'"),
        ("binance_ws_url", "stream:9443", "BINANCE_WS_URL: expected a URL like wss://host:port (wss, ws)"),
        ("binance_rest_url", "ftp://x", "BINANCE_REST_URL: expected a URL like https://host:port (https, http)"),
    ],
)
def test_a_bad_value_is_one_line_that_names_the_variable(
    name: str, value: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name.upper(), value)
    assert problems() == [line]


def test_every_bad_value_is_told_at_once() -> None:
    assert [line.partition(":")[0] for line in problems(http_port="x", book_depth=0)] == ["BOOK_DEPTH", "HTTP_PORT"]


@pytest.mark.parametrize("name", ["nats_url", "binance_ws_url", "binance_rest_url"])
@pytest.mark.parametrize(
    "url", ["ftp://user:canary@host", "nats://user:canary@", "wss://u:canary@h:x", "//u:canary@\u2100"]
)
def test_a_url_that_may_hold_a_password_is_not_repeated(name: str, url: str) -> None:
    assert "canary" not in " ".join(problems(**{name: url}))


def test_the_settings_show_no_password() -> None:
    settings = load(None, nats_url="nats://user:canary@host:4222")
    assert "canary" not in f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()}"


def test_the_token_of_orders_comes_from_one_place_and_is_never_shown(tmp_path: Path) -> None:
    assert load(None).read_secret("failover_token") is None
    assert load(None, failover_token=" ").read_secret("failover_token") is None
    given = load(None, failover_token=" canary ")
    assert given.read_secret("failover_token") == "canary"
    assert "canary" not in f"{given} {given!r} {given.model_dump()} {given.model_dump_json()}"
    file = tmp_path / "token"
    file.write_text("canary\n")
    assert load(None, failover_token_file=file).read_secret("failover_token") == "canary"
    with pytest.raises(BadSettingsError, match="expected this or FAILOVER_TOKEN, found both"):
        load(None, failover_token="canary", failover_token_file=file).read_secret("failover_token")


@pytest.mark.parametrize(
    ("content", "why"),
    [(b" \n", "expected one line of text in"), (b"\xff", "it is no UTF-8 text"), (None, "No such file")],
)
def test_a_token_file_without_a_token_is_refused(tmp_path: Path, content: bytes | None, why: str) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadSettingsError, match=f"^FAILOVER_TOKEN_FILE: .*{why}"):
        load(None, failover_token_file=file).read_secret("failover_token")


def test_the_backup_is_none_unless_it_is_named() -> None:
    assert load(None).backup is None
    assert load(None, backup=" Bybit ").backup == "bybit"


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        load(None).http_port = 1


def test_a_file_that_is_no_text_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b"HTTP_PORT=\xff\xfe")
    with pytest.raises(BadSettingsError, match=r"\.env: expected a readable UTF-8 text file"):
        load(file)
