"""What every value from a venue is held to, and what it means when one does not hold."""

from typing import Final

import msgspec

from md_contract.units import NS_PER_S

EARLIEST_NS: Final = 1_230_768_000 * NS_PER_S  # 2009-01-01
DAY_NS: Final = 86_400 * NS_PER_S  # how far ahead of its receipt an event may claim to be
MAX_ID: Final = 2**63 - 1

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)  # what a decoder may raise


class BadFieldError(ValueError):
    """A field holds what it must not; `reason` is one of the quarantine's."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)
