"""Message headers: a status line, then `Name: value` lines. Pure."""

from collections.abc import Mapping
from typing import Final

VERSION: Final = b"NATS/1.0"
_END: Final = b"\r\n\r\n"


class BadHeaderError(ValueError):
    """A header that would be read as something else, or as more than one."""


def encode(fields: Mapping[str, str]) -> bytes:
    """Return the block of bytes that goes before a payload; no bytes at all for no fields.

    Raises:
        BadHeaderError: a name that is none, or a line break in a value.
    """
    if not fields:
        return b""
    lines = [VERSION]
    for name, value in fields.items():
        if not name or not name.isascii() or not name.isprintable() or ":" in name or " " in name:
            raise BadHeaderError(f"expected the name of a header, found {name!r}")
        if "\r" in value or "\n" in value:
            raise BadHeaderError(f"expected one line of text in the header {name}, found {value!r}")
        lines.append(f"{name}: {value}".encode())
    return b"\r\n".join(lines) + _END


def parse(block: bytes) -> dict[str, str]:
    """Return the fields of a block; of a name that comes twice the last value counts."""
    fields = {}
    for line in block.split(b"\r\n")[1:]:
        name, colon, value = line.partition(b":")
        if colon:
            fields[str(name, "utf-8", "replace")] = str(value, "utf-8", "replace").strip()
    return fields


def status(block: bytes) -> int:
    """Return the status that the server put on a message of its own: 503 nobody listens, 404, 408, 409...; 0: none."""
    code = block[len(VERSION) : len(VERSION) + 4].strip()
    return int(code) if code.isdigit() else 0


def description(block: bytes) -> str:
    """Return the server's words beside the status."""
    line = block.partition(b"\r\n")[0]
    return str(line[len(VERSION) + 4 :], "utf-8", "replace").strip()
