"""Units of time. All times in the contract are integer nanoseconds since 1970-01-01 UTC."""

from typing import Final

NS_PER_US: Final = 1_000
NS_PER_MS: Final = 1_000_000
NS_PER_S: Final = 1_000_000_000
