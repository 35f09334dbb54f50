"""Who we are for the server, and how nobody else gets to know it: credentials, TLS, and what is refused at once."""

import ipaddress
import os
import ssl
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from nats_link.address import Address
from nats_link.options import LinkOptions

SIGNER: Final = "nkeys"  # the package that signs with a seed


class BadAccessError(ValueError):
    """Options that give no safe access; the text holds no secret and says what to do."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a connection needs beside the address."""

    tls: ssl.SSLContext | None = field(default=None, repr=False)  # None: unencrypted, unless the server insists
    creds_file: Path | None = None
    nkey_file: Path | None = None


def make_access(address: Address, options: LinkOptions) -> Access:
    """Check the options against each other and against the files they name.

    Raises:
        BadAccessError: they cannot be used, or a password would travel where others can read it.
    """
    tls = _tls_context(address, options)
    if options.creds_file is not None and options.nkey_file is not None:
        raise BadAccessError("expected credentials (NATS_CREDS_FILE) or a seed (NATS_NKEY_FILE), found both")
    for setting, file in (("NATS_CREDS_FILE", options.creds_file), ("NATS_NKEY_FILE", options.nkey_file)):
        if file is not None:
            _expect_readable(setting, file)
            if find_spec(SIGNER) is None:
                raise BadAccessError(f"signing with {str(file)!r} needs the package {SIGNER}: pip install {SIGNER}")
    has_secret = address.password is not None or address.token is not None
    if has_secret and tls is None and not options.allow_insecure:
        for server in address.servers:
            if not is_loopback(urlsplit(server).hostname or ""):
                raise BadAccessError(
                    f"a password or token would go to {server} unencrypted: use tls://, "
                    "or set NATS_ALLOW_INSECURE=true where nobody else can listen"
                )
    return Access(tls, options.creds_file, options.nkey_file)


def is_loopback(host: str) -> bool:
    """Tell whether what is sent to a host stays on this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _tls_context(address: Address, options: LinkOptions) -> ssl.SSLContext | None:
    """The context for all servers when any of them, or any option, asks for TLS; names are always checked."""
    certificate, key = options.tls_cert_file, options.tls_key_file
    given = {
        "NATS_TLS_CA_FILE": options.tls_ca_file,
        "NATS_TLS_CERT_FILE": certificate,
        "NATS_TLS_KEY_FILE": key,
    }
    files = {setting: file for setting, file in given.items() if file is not None}
    wanted = options.tls is not None or files or any(server.startswith("tls://") for server in address.servers)
    if not wanted:
        return None
    if (certificate is None) != (key is None):
        raise BadAccessError("expected a certificate with its key (NATS_TLS_CERT_FILE, NATS_TLS_KEY_FILE), found one")
    for setting, file in files.items():
        _expect_readable(setting, file)
    context = options.tls or ssl.create_default_context()
    try:
        if options.tls_ca_file is not None:
            context.load_verify_locations(options.tls_ca_file)
        if certificate is not None:
            context.load_cert_chain(certificate, key, password=_no_passphrase)
    except (OSError, ValueError) as error:  # ssl's own errors are OSErrors
        shown = ", ".join(f"{setting}={file}" for setting, file in files.items())
        raise BadAccessError(f"expected certificates in PEM in {shown}: {error}") from None
    return context


def _no_passphrase() -> str:
    raise ValueError("the key is encrypted: a service has nobody to ask for its passphrase")


def _expect_readable(setting: str, file: Path) -> None:
    if not file.is_file():
        raise BadAccessError(f"{setting}: expected a file, found none: {str(file)!r}")
    if not os.access(file, os.R_OK):
        raise BadAccessError(f"{setting}: expected a file that may be read: {str(file)!r}")
