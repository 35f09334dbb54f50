"""Why a connection failed, in words for people."""

import errno
import socket
import ssl
from typing import Final

from nats_link.address import Address, redact

_CREDENTIALS: Final = ("authorization", "authentication", "user expired", "account expired")


def is_credentials(reason: str) -> bool:
    """Tell whether the server refused who we are, rather than being away."""
    lowered = reason.lower()
    return any(words in lowered for words in _CREDENTIALS)


def reason_of(error: BaseException | None) -> str:
    """Return one short phrase for an error of a connection, without secrets."""
    text = redact(str(error or "no reason given")).strip().removeprefix("nats: ").strip("'")
    # asyncio joins the errors of several addresses into one text
    if isinstance(error, ConnectionRefusedError) or f"[Errno {errno.ECONNREFUSED}]" in text:
        text = "connection refused"
    elif isinstance(error, ssl.SSLError):
        text = f"TLS: {getattr(error, 'verify_message', '') or getattr(error, 'reason', '') or text}"
    elif isinstance(error, socket.gaierror):
        text = "the host name cannot be resolved"
    elif isinstance(error, TimeoutError) and not error.errno:
        text = "no answer in time"
    return text or type(error).__name__


def outage_message(address: Address, reason: str) -> str:
    """Return what to tell people when a connection cannot be made."""
    if is_credentials(reason):
        return (
            f"NATS at {address} refuses the credentials ({reason}); "
            "retrying, check the user and password, or the token, in NATS_URL, or the file that NATS_CREDS_FILE or "
            "NATS_NKEY_FILE names"
        )
    return f"NATS cannot be reached at {address} ({reason}); retrying, start it with 'make run' or set NATS_URL"
