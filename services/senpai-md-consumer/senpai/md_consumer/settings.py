"""Settings: environment variables and the `.env` of the folder the service is started in; read once, at the root."""

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings.sources import DotEnvSettingsSource

from nats_link.address import parse
from senpai.md_consumer.features import select

ENV_FILE: Final = ".env"
MOST_MEANT: Final = 3
LOOKS_LIKE: Final = 0.75  # for difflib; names of the other service are less like ours
SECRET: Final = ("NATS_URL",)  # never shown


class SettingsError(ValueError):
    """One setting, or several, cannot be used; the message names the variables."""


class Settings(BaseSettings):
    """Every setting of the service; the variable's name is the field's in upper case."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE,
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",  # one .env may serve both services
        frozen=True,
        hide_input_in_errors=True,
    )

    nats_url: Annotated[SecretStr, Field(description="NATS server; may hold user:password@")] = SecretStr(
        "nats://127.0.0.1:4222"
    )
    nats_creds_file: Annotated[Path | None, Field(description="A .creds file (JWT and seed) to authenticate with")] = (
        None
    )
    nats_nkey_file: Annotated[Path | None, Field(description="A file with an nkey seed to authenticate with")] = None
    nats_tls_ca_file: Annotated[
        Path | None, Field(description="Certificates to trust, in PEM; any of these files switches TLS on")
    ] = None
    nats_tls_cert_file: Annotated[Path | None, Field(description="Our certificate, where the server asks for one")] = (
        None
    )
    nats_tls_key_file: Annotated[Path | None, Field(description="The key of our certificate")] = None
    nats_allow_insecure: Annotated[
        bool, Field(description="Let a password or token go to another machine unencrypted")
    ] = False
    features_pub_rate_hz: Annotated[
        float, Field(gt=0, le=1_000, description="Feature messages per symbol and second, at most")
    ] = 10.0
    signal_return_threshold: Annotated[
        float,
        Field(gt=0, lt=1, allow_inf_nan=False, description="A signal needs |return_10s| above this (0.003 = 0.3 %)"),
    ] = 0.003
    signal_volume_threshold: Annotated[
        float, Field(ge=0, allow_inf_nan=False, description="A signal needs trade_volume_10s above this, in base units")
    ] = 1.0
    signal_spread_bps_threshold: Annotated[
        float, Field(gt=0, allow_inf_nan=False, description="A signal needs spread_bps below this")
    ] = 20.0
    signal_valid_s: Annotated[
        float, Field(gt=0, le=86_400, description="A signal is valid for this long, seconds of event time")
    ] = 10.0
    signal_cooldown_s: Annotated[
        float,
        Field(ge=0, le=86_400, description="Least time between two signals of one rule, symbol and direction, seconds"),
    ] = 10.0
    signal_withhold: Annotated[
        bool, Field(description="Withhold signals whose inputs cannot be trusted (gap, stale, ...); false: only say so")
    ] = True
    symbol_expiry_s: Annotated[
        float, Field(ge=120, description="A symbol is forgotten after this long without an event, seconds")
    ] = 3600.0
    rolling_window_seconds: Annotated[
        float,
        Field(ge=1, le=60, description="Length of the 60-second windows, 1 to 60; shorter needs less memory"),
    ] = 60.0
    features: Annotated[
        str,
        Field(description="Features beside the 11 specified: all, none, or a comma list (docs/features.md)"),
    ] = "all"
    senpai_plugins: Annotated[
        str,
        Field(description="Your own features and rules: modules, with commas between (docs/plugins.md)"),
    ] = ""
    plugin_budget_us: Annotated[
        float,
        Field(gt=0, le=50_000, description="A plug-in whose calls take longer on average is switched off, us"),
    ] = 5_000.0
    plugin_budget_percent: Annotated[
        float, Field(gt=0, le=100, description="A plug-in that takes more of the time is switched off, percent")
    ] = 25.0
    use_jetstream: Annotated[
        bool,
        Field(
            description="Read the stream MD_EVENTS: at least once, warm after a restart; false: core NATS, at most once"
        ),
    ] = False
    jetstream_durable: Annotated[
        str,
        Field(
            min_length=1,
            max_length=64,
            pattern=r"^[A-Za-z0-9_-]+$",
            description="The durable consumer that remembers what was worked off; one of its own for each process",
        ),
    ] = "senpai-md"
    jetstream_max_age_s: Annotated[
        float,
        Field(ge=60, le=2_592_000, description="Seconds the stream keeps an event, when it has to be made"),
    ] = 3_600.0
    jetstream_max_bytes: Annotated[
        int,
        Field(ge=1_048_576, description="Bytes the stream keeps, when it has to be made"),
    ] = 1_073_741_824
    jetstream_duplicate_window_s: Annotated[
        float,
        Field(gt=0, le=86_400, description="Seconds for which the stream knows an event that is sent again; as above"),
    ] = 120.0
    jetstream_replicas: Annotated[
        int, Field(ge=1, le=5, description="Copies of the stream, when it has to be made: 3 or 5 in a cluster")
    ] = 1
    http_host: Annotated[
        str, Field(min_length=1, description="Address of the HTTP server; 0.0.0.0 opens it to the network")
    ] = "127.0.0.1"
    http_port: Annotated[int, Field(ge=0, le=65_535, description="Port of the HTTP server; 0 picks a free one")] = 8892
    queue_size: Annotated[
        int, Field(ge=10, le=1_000_000, description="Events the queue holds; from 90 % on only trades are taken")
    ] = 10_000
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="debug, info, warning or error")
    ] = "info"
    log_format: Annotated[Literal["console", "json"], Field(description="console for people, json for machines")] = (
        "console"
    )

    @field_validator("log_level", "log_format", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("features")
    @classmethod
    def _are_features(cls, value: str) -> str:
        select(value)
        return value

    @field_validator("nats_url")
    @classmethod
    def _is_nats_url(cls, value: SecretStr) -> SecretStr:
        parse(value.get_secret_value())
        return value


def read_settings() -> Settings:
    """Read the environment and `.env`.

    Raises:
        SettingsError: a value cannot be used; the message is one line and names the variable.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError("; ".join(_line(dict(detail)) for detail in error.errors())) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{ENV_FILE} cannot be read: {error}") from None


def misspelled() -> dict[str, str]:
    """Names in `.env` that are no setting but look like one, each with those that may be meant, the likeliest first.

    Other unknown names are let be: one file may serve both services.
    """
    found = DotEnvSettingsSource(Settings, env_file=ENV_FILE).env_vars
    known = Settings.model_fields.keys()
    close = {name: get_close_matches(name, known, MOST_MEANT, LOOKS_LIKE) for name in found if name not in known}
    return {name.upper(): " or ".join(map(str.upper, meant)) for name, meant in close.items() if meant}


def env_example() -> str:
    """The text of `.env.example`: every setting with its description and its default."""
    lines = ["# Settings of senpai-md-consumer. Copy to .env and change what you need; every line is a default.", ""]
    for name, field in Settings.model_fields.items():
        default = field.default
        shown = default.get_secret_value() if isinstance(default, SecretStr) else default
        shown = "" if shown is None else shown
        value = str(shown).lower() if isinstance(shown, bool) else f"{shown:g}" if isinstance(shown, float) else shown
        lines += [f"# {field.description}", f"{name.upper()}={value}", ""]
    return "\n".join(lines)


def _line(detail: dict[str, object]) -> str:
    location = detail["loc"]
    name = str(location[0]).upper() if isinstance(location, tuple) and location else "settings"
    found = "" if name in SECRET else f", found {str(detail['input'])[:40]!r}"
    return f"{name}: {str(detail['msg']).removeprefix('Value error, ')}{found}"
