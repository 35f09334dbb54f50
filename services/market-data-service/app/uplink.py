"""The way to NATS that the settings ask for: the connection with its credentials, and the sink on it."""

import asyncio
from collections.abc import Callable
from typing import Final

from app.settings import BadSettingsError, Settings
from app.sinks.jetstream import JetStreamSink
from app.sinks.nats import NatsSink
from nats_link import BadAccessError, Link, LinkOptions
from nats_link.jetstream import StreamOptions

NAME: Final = "market-data-service"


def make_uplink(settings: Settings, epoch: int) -> NatsSink | JetStreamSink:
    """Make the sink that publishes on NATS, with its own link; nothing runs yet.

    Args:
        settings: of this run.
        epoch: of this run, written into every event.

    Raises:
        BadSettingsError: credentials or certificates that cannot be used, or that would travel unencrypted.
    """
    writable = asyncio.Event()
    link = make_link(settings, NAME, replies=settings.use_jetstream, on_writable=writable.set)
    if not settings.use_jetstream:
        return NatsSink(link, writable, epoch=epoch)
    return JetStreamSink(link, writable, stream_options(settings), epoch=epoch)


def stream_options(settings: Settings) -> StreamOptions:
    """How the stream is made when there is none."""
    return StreamOptions(
        max_age_s=settings.jetstream_max_age_s,
        max_bytes=settings.jetstream_max_bytes,
        duplicate_window_s=settings.jetstream_duplicate_window_s,
        replicas=settings.jetstream_replicas,
    )


def make_link(
    settings: Settings, name: str, *, replies: bool = False, on_writable: Callable[[], None] | None = None
) -> Link:
    """Make the connection that the settings ask for; nothing runs yet. `name` is shown in the server's monitoring.

    Raises:
        BadSettingsError: as `make_uplink`.
    """
    options = LinkOptions(
        url=settings.nats_url.get_secret_value(),
        name=name,
        replies=replies,
        creds_file=settings.nats_creds_file,
        nkey_file=settings.nats_nkey_file,
        tls_ca_file=settings.nats_tls_ca_file,
        tls_cert_file=settings.nats_tls_cert_file,
        tls_key_file=settings.nats_tls_key_file,
        allow_insecure=settings.nats_allow_insecure,
    )
    try:
        return Link(options, on_writable=on_writable)
    except BadAccessError as error:
        message = str(error)
        named = message if message.startswith("NATS_") else f"NATS_URL: {message}"
        raise BadSettingsError([named]) from None
