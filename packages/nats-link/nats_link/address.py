"""NATS URLs: where to connect, with which credentials, and how to show them to people."""

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

DEFAULT_PORT: Final = 4222
SCHEMES: Final = ("nats", "tls")

_NEXT_URL: Final = r",\s*[A-Za-z]+://"  # a comma within a password is no end of the URL
_USERINFO: Final = re.compile(rf"([A-Za-z]+://)?(?:(?!{_NEXT_URL})\S)*@")


def redact(text: str) -> str:
    """Return `text` with the user, password or token of every URL in it replaced by `***`."""
    return _USERINFO.sub(r"\1***@", text)


class BadUrlError(ValueError):
    """A NATS URL that cannot be used; the text holds no secret."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"expected a URL like nats://host:port, found {redact(url)!r}: {why}")


@dataclass(frozen=True, slots=True)
class Address:
    """One or more servers of one cluster. The credentials count for all of them and are kept out of `servers`."""

    servers: list[str]
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return ",".join(self.servers)


def parse(url: str) -> Address:
    """Read a NATS URL, or several separated by commas; percent-encoded credentials are decoded.

    Raises:
        BadUrlError: the scheme is not nats or tls, the host is missing, or the port is no port.
    """
    servers: list[str] = []
    user = password = token = None
    for one in re.split(rf"(?={_NEXT_URL})", url):
        text = one.lstrip(", ")
        try:
            parts = urlsplit(text if "://" in text else f"nats://{text}")
        except ValueError:  # its text may repeat the password
            raise BadUrlError(url, "the host is no host") from None
        if parts.scheme not in SCHEMES:
            raise BadUrlError(url, f"the scheme is not one of {', '.join(SCHEMES)}")
        if not parts.hostname:
            raise BadUrlError(url, "the host is missing")
        try:
            port = parts.port or DEFAULT_PORT
        except ValueError:
            raise BadUrlError(url, "the port is not a number up to 65535") from None
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        servers.append(f"{parts.scheme}://{host}:{port}")
        if parts.username and parts.password is None:
            token = unquote(parts.username)
        elif parts.username:
            user, password = unquote(parts.username), unquote(parts.password or "")
    return Address(servers, user, password, token)
