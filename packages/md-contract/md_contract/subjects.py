"""NATS subjects, and the escape that makes any symbol one subject token.

`A-Z a-z 0-9 -` stay; every other UTF-8 byte becomes `_` and two upper-case hex digits. The escape is reversible and
its output holds no `.`, `*`, `>` or space, so no symbol can reach a foreign subject.
"""

import re
from typing import Final

SYSTEM: Final = "__system__"  # the reserved token: `_` is always followed by hex digits in an escaped symbol

EVENTS: Final = "md.events"
ALL_EVENTS: Final = "md.events.>"
FEATURES: Final = "senpai.features"
SIGNALS: Final = "senpai.signals"
ALERTS: Final = "senpai.alerts"

MAX_SUBJECT_BYTES: Final = 256

_KEPT: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-")
_TOKEN: Final = re.compile(r"(?:[A-Za-z0-9-]|_[0-9A-F]{2})+")
_ESCAPED: Final = re.compile(r"_([0-9A-F]{2})")


class BadTokenError(ValueError):
    """A symbol that cannot become a subject token, or a token that no symbol produces."""

    def __init__(self, found: str, expected: str) -> None:
        self.found = found
        super().__init__(f"expected {expected}, found {found[:80]!r}")


def escape(symbol: str) -> str:
    """Return `symbol` as one subject token.

    Raises:
        BadTokenError: the symbol is empty, is no valid Unicode text, or is too long for a subject.
    """
    if symbol == SYSTEM:
        return SYSTEM
    if not symbol:
        raise BadTokenError(symbol, "a symbol of at least one character")
    try:
        raw = symbol.encode()
    except UnicodeEncodeError:
        raise BadTokenError(symbol.encode(errors="replace").decode(), "a symbol of valid Unicode text") from None
    token = "".join(chr(byte) if byte in _KEPT else f"_{byte:02X}" for byte in raw)
    if len(token) > MAX_SUBJECT_BYTES - len("md.events.heartbeat.") - 16:
        raise BadTokenError(symbol, f"a symbol whose subject fits {MAX_SUBJECT_BYTES} bytes")
    return token


def unescape(token: str) -> str:
    """Return the symbol of a subject token; the inverse of `escape`.

    Raises:
        BadTokenError: no symbol escapes to this token.
    """
    if token == SYSTEM:
        return SYSTEM
    if not _TOKEN.fullmatch(token):
        raise BadTokenError(token, "an escaped symbol")
    raw = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), token).encode("latin-1")
    try:
        symbol = raw.decode()
    except UnicodeDecodeError:
        raise BadTokenError(token, "an escaped symbol of valid UTF-8") from None
    if escape(symbol) != token:
        raise BadTokenError(token, "a token as short as the escape makes it")
    return symbol


def event_subject(event_type: str, symbol: str) -> str:
    """`md.events.{type}.{symbol}`."""
    return f"{EVENTS}.{event_type}.{escape(symbol)}"


def feature_subject(symbol: str) -> str:
    """`senpai.features.{symbol}`."""
    return f"{FEATURES}.{escape(symbol)}"


def signal_subject(symbol: str) -> str:
    """`senpai.signals.{symbol}`."""
    return f"{SIGNALS}.{escape(symbol)}"
