"""The key and its secret, which no log, sample or error may ever show."""

from typing import Final

import msgspec

HIDDEN: Final = "***"


class SecretFrame(bytes):
    """A frame that must not be shown: whoever prints it sees three stars."""

    __slots__ = ()

    def __repr__(self) -> str:
        return HIDDEN

    __str__ = __repr__


class Credentials:
    """What Alpaca knows us by."""

    __slots__ = ("_key", "_secret")

    def __init__(self, key: str, secret: str) -> None:
        """Take both parts.

        Raises:
            ValueError: one is empty, or holds something other than printable characters; the text does not show it.
        """
        for name, value in (("key", key), ("secret", secret)):
            if not value or not value.isascii() or not value.isprintable() or " " in value:
                raise ValueError(f"expected an Alpaca {name} of printable characters: see ALPACA_API_{name.upper()}")
        self._key = key
        self._secret = secret

    def __repr__(self) -> str:
        return HIDDEN

    def login(self) -> SecretFrame:
        """The message that logs in."""
        return SecretFrame(msgspec.json.encode({"action": "auth", "key": self._key, "secret": self._secret}))

    def show(self, frame: bytes) -> bytes:
        """The frame as it may be shown: stars when it repeats either part, with or without escaped slashes."""
        plain = frame.replace(b"\\", b"")
        shown = any(part.replace("\\", "").encode() in plain for part in (self._key, self._secret))
        return HIDDEN.encode() if shown else frame
