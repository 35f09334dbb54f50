"""Every setting of the service: environment variables, a `.env` file in the service's folder, or command-line flags.

A flag wins over the environment, the environment over `.env`, `.env` over the default written here.
"""

import re
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.sources import DotEnvSettingsSource, EnvSettingsSource

from app.bus import MIN_CAPACITY
from app.storage.address import parse as parse_storage
from nats_link.address import BadUrlError, parse

ENV_FILE: Final = Path(__file__).resolve().parents[1] / ".env"
MOST_MEANT: Final = 3
LOOKS_LIKE: Final = 0.75  # for difflib; names of the other service are less like ours
MAX_SYMBOLS: Final = 1_000
MAY_BE_EMPTY: Final = frozenset({"storage_url"})  # an empty variable switches it off

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


def _storage_url(value: SecretStr) -> SecretStr:
    text = value.get_secret_value().strip()
    if text:
        parse_storage(text)
    return SecretStr(text)


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _number(value: object) -> object:
    return int(value) if isinstance(value, str) and value.strip().isdecimal() else value


def _upper(value: object) -> object:
    return value.strip().upper() if isinstance(value, str) else value


Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
SomeSeconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
WsUrl = Annotated[str, AfterValidator(lambda value: _url(value, "wss", "ws"))]
RestUrl = Annotated[str, AfterValidator(lambda value: _url(value, "https", "http"))]
NatsUrl = Annotated[SecretStr, AfterValidator(_nats_url)]
StorageUrl = Annotated[SecretStr, AfterValidator(_storage_url)]


class BadSettingsError(ValueError):
    """Settings that cannot be used; `problems` holds one line for each, and never a secret."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


class Settings(BaseSettings):
    """The settings of one run; see `python -m app env-example` for all of them as a file."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE, env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", frozen=True
    )

    provider: Annotated[str, BeforeValidator(_lower)] = Field(
        "binance", description="Where the data comes from; `python -m app providers` lists what is known."
    )
    backup: Annotated[str | None, BeforeValidator(_lower)] = Field(
        None, description="Provider that stands in when the first one fails, such as bybit; empty: none."
    )
    backup_cold: bool = Field(False, description="true: connect the backup only when it is needed.")
    symbols: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_symbols)] = Field(
        ("BTCUSDT", "ETHUSDT"), description="Symbols to follow, separated by commas."
    )
    binance_ws_url: WsUrl = Field(
        "wss://stream.binance.com:9443", description="Binance WebSocket endpoint, without the path."
    )
    binance_rest_url: RestUrl = Field("https://api.binance.com", description="Binance REST endpoint.")
    bybit_ws_url: WsUrl = Field("wss://stream.bybit.com", description="Bybit WebSocket endpoint, without the path.")
    bybit_rest_url: RestUrl = Field("https://api.bybit.com", description="Bybit REST endpoint.")
    bybit_orderbook_depth: Annotated[Literal[1, 50, 200, 1000], BeforeValidator(_number)] = Field(
        50, description="Levels a side of the Bybit topic that books are kept from: 1, 50, 200 or 1000."
    )
    alpaca_ws_url: WsUrl = Field(
        "wss://stream.data.alpaca.markets", description="Alpaca WebSocket endpoint, without the path."
    )
    alpaca_feed: Annotated[Literal["iex", "sip", "test", "crypto"], BeforeValidator(_lower)] = Field(
        "iex", description="iex (free), sip (paid), test (always on, symbol FAKEPACA) or crypto (symbols like BTC/USD)."
    )
    alpaca_api_key: SecretStr | None = Field(None, description="Key of your Alpaca account; needed for alpaca alone.")
    alpaca_api_key_file: Path | None = Field(None, description="A file that holds the key instead.")
    alpaca_api_secret: SecretStr | None = Field(None, description="Secret of your Alpaca account.")
    alpaca_api_secret_file: Path | None = Field(None, description="A file that holds the secret instead.")
    book_depth: int = Field(20, ge=1, le=1_000, description="Levels per side in a published order book.")
    book_pub_rate_hz: float = Field(
        10.0, gt=0, le=1_000, allow_inf_nan=False, description="Order books published per symbol and second, at most."
    )
    heartbeat_interval_s: SomeSeconds = Field(5.0, description="Seconds between two heartbeats of a provider.")
    heartbeat_silence_s: SomeSeconds | None = Field(
        None,
        description="Seconds without market data after which a provider, or one of its connections, counts as silent; "
        "empty: the venue's own (10, or 60 on a Binance connection without a busy symbol).",
    )
    failover_silence_s: SomeSeconds | None = Field(
        None,
        description="Seconds without market data after which the backup takes over; empty: as HEARTBEAT_SILENCE_S.",
    )
    failover_lag_s: SomeSeconds = Field(
        5.0, description="Median feed latency, in seconds, above which a provider is unhealthy."
    )
    failover_min_dwell_s: Seconds = Field(30.0, description="Seconds between two switches, at least.")
    failover_probation_s: Seconds = Field(
        60.0, description="Seconds the first provider has to be healthy before it takes over again."
    )
    failover_token: SecretStr | None = Field(
        None, description="Who sends it may switch by POST /failover; empty, and no file either: nobody may."
    )
    failover_token_file: Path | None = Field(None, description="A file that holds the token instead.")
    failover_remote: bool = Field(False, description="true: take POST /failover from other machines, too.")
    nats_url: NatsUrl = Field(
        SecretStr("nats://127.0.0.1:4222"),
        description="NATS server, or several separated by commas; user and password, or a token, may stand in it.",
    )
    nats_creds_file: Path | None = Field(None, description="A .creds file (JWT and seed) to authenticate with.")
    nats_nkey_file: Path | None = Field(None, description="A file with an nkey seed to authenticate with.")
    nats_tls_ca_file: Path | None = Field(
        None, description="Certificates to trust beside the system's, in PEM; any of these files switches TLS on."
    )
    nats_tls_cert_file: Path | None = Field(None, description="Our certificate, where the server asks for one.")
    nats_tls_key_file: Path | None = Field(None, description="The key of our certificate.")
    nats_allow_insecure: bool = Field(
        False, description="true: let a password or token go to another machine unencrypted."
    )
    use_jetstream: bool = Field(
        False,
        description="true: publish to the stream MD_EVENTS and keep every event until the stream has acknowledged it, "
        "or, for `record`, read that stream; false: core NATS, at most once.",
    )
    jetstream_max_age_s: Annotated[float, Field(ge=1, le=31_536_000, allow_inf_nan=False)] = Field(
        3600.0, description="Seconds the stream keeps an event; as the next ones, used when the stream is made."
    )
    jetstream_max_bytes: int = Field(
        1 << 30, ge=1 << 20, description="Bytes the stream keeps; beyond, the oldest events are deleted."
    )
    jetstream_duplicate_window_s: SomeSeconds = Field(
        120.0, description="Seconds for which the stream knows an event that is sent again; costs memory of NATS."
    )
    jetstream_replicas: Annotated[Literal[1, 3, 5], BeforeValidator(_number)] = Field(
        1, description="Copies of the stream: 3 or 5 in a cluster of as many servers."
    )
    nats_enabled: bool = Field(True, description="false: run without NATS; events are counted and let go.")
    bus_capacity: int = Field(
        50_000,
        ge=MIN_CAPACITY,
        le=10_000_000,
        description="Events kept per sink while it cannot take them; quotes and books are thinned out from 90 %.",
    )
    storage_url: StorageUrl = Field(
        SecretStr("sqlite+aiosqlite:///data/market.db"),
        description="Where every event is stored: a file as here (relative to the working directory), "
        "postgresql+asyncpg://user@host/database, or empty: nowhere.",
    )
    archive_dir: Path = Field(
        Path("data/archive"), description="Folder of the Parquet files that `python -m app archive` writes."
    )
    retention_days: int = Field(
        0,
        ge=0,
        le=36_500,
        description="Days after which rows are deleted from the store, if their archive has been verified. 0: never.",
    )
    spill_dir: Path = Field(
        Path("data/spill"), description="Folder for trades and status events that memory has no room for."
    )
    spill_max_mb: int = Field(
        256,
        ge=0,
        le=1_000_000,
        description="Megabytes there per sink; when they are full, sockets are not read any more. 0: no spilling.",
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

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature; we have no such files
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """An empty variable is as if it were not there, but for those where empty means something."""
        for source in (env_settings, dotenv_settings):
            if isinstance(source, EnvSettingsSource):
                everything = type(source)(settings_cls, env_ignore_empty=False, **_file_of(source))
                source.env_vars = {
                    **source.env_vars,
                    **{name: value for name, value in everything.env_vars.items() if name in MAY_BE_EMPTY},
                }
        return init_settings, env_settings, dotenv_settings

    def read_storage_url(self) -> str:
        """Where events are stored, with the password; empty: nowhere."""
        return self.storage_url.get_secret_value()

    def read_secret(self, name: Literal["failover_token", "alpaca_api_key", "alpaca_api_secret"]) -> str | None:
        """A secret, wherever it is kept; None when there is none.

        Raises:
            BadSettingsError: it is kept in two places, or its file holds none.
        """
        direct: SecretStr | None = getattr(self, name)
        file: Path | None = getattr(self, f"{name}_file")
        given = direct.get_secret_value().strip() if direct is not None else ""
        if file is None:
            return given or None
        variable = f"{name.upper()}_FILE"
        if given:
            raise BadSettingsError([f"{variable}: expected this or {name.upper()}, found both"])
        try:
            secret = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
            raise BadSettingsError([f"{variable}: expected a readable file, found {str(file)!r}: {why}"]) from None
        if not secret:
            raise BadSettingsError([f"{variable}: expected one line of text in {str(file)!r}, found nothing"])
        return secret

    @property
    def secret_files(self) -> list[Path]:
        """The files that secrets are read from."""
        files = (
            self.failover_token_file,
            self.alpaca_api_key_file,
            self.alpaca_api_secret_file,
            self.nats_creds_file,
            self.nats_nkey_file,
            self.nats_tls_key_file,
        )
        return [file for file in files if file is not None]


def _file_of(source: EnvSettingsSource) -> dict[str, Any]:
    if isinstance(source, DotEnvSettingsSource):
        return {"env_file": source.env_file, "env_file_encoding": source.env_file_encoding}
    return {}


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


def misspelled(env_file: Path | None = ENV_FILE) -> dict[str, str]:
    """Names in the file that are no setting but look like one, each with those that may be meant, the likeliest first.

    Other unknown names are let be: one file may serve both services.
    """
    found = DotEnvSettingsSource(Settings, env_file=env_file).env_vars
    known = Settings.model_fields.keys()
    close = {name: get_close_matches(name, known, MOST_MEANT, LOOKS_LIKE) for name in found if name not in known}
    return {name.upper(): " or ".join(map(str.upper, meant)) for name, meant in close.items() if meant}


def env_example() -> str:
    """All settings with their descriptions and defaults, as the text of a `.env` file."""
    lines = ["# Settings of market-data-service. Written by `python -m app env-example`; copy to `.env` and change."]
    for name, field in Settings.model_fields.items():
        lines += ["", f"# {field.description}", f"{name.upper()}={_as_text(field.default)}"]
    return "\n".join(lines) + "\n"


def _as_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
