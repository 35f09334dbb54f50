"""Every setting of the service: environment variables, a `.env` file in the service's folder, or command-line flags.

A flag wins over the environment, the environment over `.env`, `.env` over the default written here.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.bus import MIN_CAPACITY
from nats_link.address import BadUrlError, parse

ENV_FILE: Final = Path(__file__).resolve().parents[1] / ".env"
MAX_SYMBOLS: Final = 1_000

_SYMBOL: Final = re.compile(r"[A-Z0-9][A-Z0-9._/-]{0,31}")


def _symbols(value: object) -> object:
    """`"btcusdt, ETHUSDT"` -> `("BTCUSDT", "ETHUSDT")`: upper case, each once, in the order given."""
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)):
        return value
    symbols = tuple(dict.fromkeys(str(name).strip().upper() for name in names if str(name).strip()))
    for symbol in symbols:
        if not _SYMBOL.fullmatch(symbol):
            raise ValueError(f"expected symbols like BTCUSDT, found {symbol[:40]!r}")
    if not 1 <= len(symbols) <= MAX_SYMBOLS:
        raise ValueError(f"expected 1 to {MAX_SYMBOLS} symbols separated by commas, found {len(symbols)}")
    return symbols


def _url(value: str, *schemes: str) -> str:
    """Check scheme, host and port without ever repeating the value, which may hold a password."""
    expected = f"expected a URL like {schemes[0]}://host:port ({', '.join(schemes)})"
    try:
        parts = urlsplit(value.strip())
        usable = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not value.isprintable() or " " in value.strip():
        raise ValueError(expected)
    return value.strip().rstrip("/")


def _nats_url(value: SecretStr) -> SecretStr:
    try:
        parse(value.get_secret_value())
    except BadUrlError:
        raise
    except ValueError:  # its text may repeat the password
        raise ValueError("expected a URL like nats://host:port") from None
    return value


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _upper(value: object) -> object:
    return value.strip().upper() if isinstance(value, str) else value


WsUrl = Annotated[str, AfterValidator(lambda value: _url(value, "wss", "ws"))]
RestUrl = Annotated[str, AfterValidator(lambda value: _url(value, "https", "http"))]
NatsUrl = Annotated[SecretStr, AfterValidator(_nats_url)]


class Settings(BaseSettings):
    """The settings of one run; see `python -m app env-example` for all of them as a file."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE, env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", frozen=True
    )

    provider: Annotated[str, BeforeValidator(_lower)] = Field(
        "binance", description="Where the data comes from; `python -m app providers` lists what is known."
    )
    symbols: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_symbols)] = Field(
        ("BTCUSDT", "ETHUSDT"), description="Symbols to follow, separated by commas."
    )
    binance_ws_url: WsUrl = Field(
        "wss://stream.binance.com:9443", description="Binance WebSocket endpoint, without the path."
    )
    binance_rest_url: RestUrl = Field("https://api.binance.com", description="Binance REST endpoint.")
    book_depth: int = Field(20, ge=1, le=1_000, description="Levels per side in a published order book.")
    book_pub_rate_hz: float = Field(
        10.0, gt=0, le=1_000, allow_inf_nan=False, description="Order books published per symbol and second, at most."
    )
    nats_url: NatsUrl = Field(
        SecretStr("nats://127.0.0.1:4222"),
        description="NATS server, or several separated by commas; user and password, or a token, may stand in it.",
    )
    nats_enabled: bool = Field(True, description="false: run without NATS; events are counted and let go.")
    bus_capacity: int = Field(
        50_000,
        ge=MIN_CAPACITY,
        le=10_000_000,
        description="Events kept per sink while it cannot take them; quotes and books are thinned out from 90 %.",
    )
    http_host: str = Field(
        "127.0.0.1", min_length=1, description="Address of the HTTP server; 0.0.0.0 makes it reachable from outside."
    )
    http_port: int = Field(8891, ge=0, le=65_535, description="Port of the HTTP server; 0 takes any free one.")
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)] = Field(
        "INFO", description="DEBUG, INFO, WARNING or ERROR."
    )
    log_format: Annotated[Literal["console", "json"], BeforeValidator(_lower)] = Field(
        "console", description="console (coloured on a terminal, key=value elsewhere) or json."
    )


class BadSettingsError(ValueError):
    """Settings that cannot be used; `problems` holds one line for each, and never a secret."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


def load(env_file: Path | None = ENV_FILE, **flags: Any) -> Settings:  # noqa: ANN401 - pydantic checks each by its field
    """Read the settings; a flag that is None was not given.

    Raises:
        BadSettingsError: one or more values cannot be used, or the file cannot be read.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    make: Callable[..., Settings] = Settings
    try:
        return make(_env_file=env_file, **given)
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettingsError([f"{env_file}: expected a readable UTF-8 text file, found: {error}"]) from None
    except ValidationError as error:
        raise BadSettingsError([_problem(dict(details)) for details in error.errors()]) from None


def _problem(details: dict[str, Any]) -> str:
    """One line: the variable, what was expected, and what was found unless that is a URL, which may hold a password."""
    variable = str(details["loc"][0]).upper()
    message = str(details["msg"]).removeprefix("Value error, ").replace("Input should be", "expected")
    message = message.partition(", unable to")[0]
    if "found" in message or variable.endswith("_URL"):
        return f"{variable}: {message}"
    return f"{variable}: {message}, found {str(details['input'])[:80]!r}"


def env_example() -> str:
    """All settings with their descriptions and defaults, as the text of a `.env` file."""
    lines = ["# Settings of market-data-service. Written by `python -m app env-example`; copy to `.env` and change."]
    for name, field in Settings.model_fields.items():
        lines += ["", f"# {field.description}", f"{name.upper()}={_as_text(field.default)}"]
    return "\n".join(lines) + "\n"


def _as_text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
