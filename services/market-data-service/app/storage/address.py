"""`STORAGE_URL`: where the rows go, and how to show that to people. Pure."""

import re
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias
from urllib.parse import parse_qsl, urlsplit

Kind: TypeAlias = Literal["sqlite", "postgresql"]

SCHEMES: Final[dict[str, Kind]] = {"sqlite+aiosqlite": "sqlite", "postgresql+asyncpg": "postgresql"}
OPTIONS: Final = frozenset({"ssl", "timeout", "command_timeout", "statement_cache_size", "target_session_attrs"})
NUMBERS: Final[dict[str, type[int] | type[float]]] = {  # of the options; the driver wants no text for them
    "timeout": float, "command_timeout": float, "statement_cache_size": int,
}  # fmt: skip
EXPECTED: Final = "expected a URL like sqlite+aiosqlite:///data/market.db or postgresql+asyncpg://user@host/database"

_WHOLE: Final = re.compile(r"[0-9]{1,9}", re.ASCII)


class BadStorageUrlError(ValueError):
    """A storage URL that cannot be used; the text holds no secret."""

    def __init__(self, why: str) -> None:
        super().__init__(f"{EXPECTED}: {why}")


@dataclass(frozen=True, slots=True)
class Address:
    """One store."""

    kind: Kind
    url: str = field(repr=False)  # with the password
    shown: str  # without it
    path: str = ""  # of the SQLite file, as it was given: relative to the working directory unless it starts with /

    def __str__(self) -> str:
        return self.shown


def parse(url: str) -> Address:
    """Read a storage URL.

    Raises:
        BadStorageUrlError: another engine or driver, or no file, host or database in it.
    """
    text = url.strip()
    if not text.isprintable() or " " in text:
        raise BadStorageUrlError("it holds a space or a control character")
    try:
        parts = urlsplit(text)
        host, _port = parts.hostname, parts.port
    except ValueError:  # its text may repeat the password
        raise BadStorageUrlError("its host or port is none") from None
    kind = SCHEMES.get(parts.scheme)
    if kind is None:
        raise BadStorageUrlError(f"it does not start with {' or '.join(f'{scheme}://' for scheme in SCHEMES)}")
    name = parts.path.removeprefix("/")
    if kind == "sqlite":
        if parts.netloc:
            raise BadStorageUrlError("a file needs three slashes (or four, when its path starts at the root)")
        if not name or name == ":memory:" or parts.query or parts.fragment:
            raise BadStorageUrlError("it does not name a file and nothing else")
        return Address(kind, text, text, name)
    if not host or not name:
        raise BadStorageUrlError("the host or the database is missing")
    for option, value in parse_qsl(parts.query, keep_blank_values=True):
        if option in NUMBERS and not _WHOLE.fullmatch(value):
            raise BadStorageUrlError(f"the option {option} is a whole number, as in {option}=10")
        if option not in OPTIONS:
            hint = "write ssl=require" if option == "sslmode" else f"known are {', '.join(sorted(OPTIONS))}"
            raise BadStorageUrlError(f"the option {option[:40]!r} is unknown: {hint}")
    credentials, _, place = parts.netloc.rpartition("@")
    user, colon, _password = credentials.partition(":")
    shown_user = f"{user}{':***' if colon else ''}@" if credentials else ""
    return Address(kind, text, f"{parts.scheme}://{shown_user}{place}/{name}")
