"""Settings: environment variables and the `.env` of the folder the service is started in; read once, at the root."""

from typing import Annotated, Final, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from nats_link.address import parse

ENV_FILE: Final = ".env"
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
    rolling_window_seconds: Annotated[
        float,
        Field(ge=1, le=60, description="Length of the 60-second windows, 1 to 60; shorter needs less memory"),
    ] = 60.0
    use_jetstream: Annotated[
        bool, Field(description="Not available in this version: leave it false (core NATS, at most once)")
    ] = False
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

    @field_validator("nats_url")
    @classmethod
    def _is_nats_url(cls, value: SecretStr) -> SecretStr:
        parse(value.get_secret_value())
        return value

    @field_validator("use_jetstream")
    @classmethod
    def _is_without_jetstream(cls, value: bool) -> bool:
        if value:
            raise ValueError("JetStream is not available in this version, set USE_JETSTREAM=false (core NATS)")
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


def env_example() -> str:
    """The text of `.env.example`: every setting with its description and its default."""
    lines = ["# Settings of senpai-md-consumer. Copy to .env and change what you need; every line is a default.", ""]
    for name, field in Settings.model_fields.items():
        default = field.default
        shown = default.get_secret_value() if isinstance(default, SecretStr) else default
        value = str(shown).lower() if isinstance(shown, bool) else f"{shown:g}" if isinstance(shown, float) else shown
        lines += [f"# {field.description}", f"{name.upper()}={value}", ""]
    return "\n".join(lines)


def _line(detail: dict[str, object]) -> str:
    location = detail["loc"]
    name = str(location[0]).upper() if isinstance(location, tuple) and location else "settings"
    found = "" if name in SECRET else f", found {str(detail['input'])[:40]!r}"
    return f"{name}: {str(detail['msg']).removeprefix('Value error, ')}{found}"
