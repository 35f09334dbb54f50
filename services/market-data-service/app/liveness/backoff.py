"""How long to wait before trying again, and how many tries are allowed at all."""

from typing import Final

BASE_S: Final = 0.5
CAP_S: Final = 30.0
HEALTHY_S: Final = 60.0

_ROUNDING: Final = 1e-6  # of a token: a wait that was told must be enough


class Backoff:
    """Exponential backoff with full jitter: a delay is drawn from [0, min(cap, base * 2**failures)).

    Only a try that stayed healthy for a minute makes the next one count as the first again, so a peer that accepts and
    then drops at once is not tried in a tight loop.
    """

    def __init__(self, base_s: float = BASE_S, cap_s: float = CAP_S, healthy_s: float = HEALTHY_S) -> None:
        self._base_s = base_s
        self._cap_s = cap_s
        self._healthy_s = healthy_s
        self.failures = 0

    def ended(self, lasted_s: float) -> None:
        """A try has ended after `lasted_s` seconds of health; 0 when it never came about."""
        if lasted_s >= self._healthy_s:
            self.failures = 0

    def next_delay_s(self, uniform: float) -> float:
        """The wait before the next try; `uniform` is a random number in [0, 1)."""
        ceiling = min(self._cap_s, self._base_s * 2.0 ** min(self.failures, 32))
        self.failures += 1
        return uniform * ceiling


class TokenBucket:
    """At most `capacity` tokens at once, refilled evenly over `period_s`. Times are monotonic seconds."""

    def __init__(self, capacity: float, period_s: float) -> None:
        self._capacity = capacity
        self._per_s = capacity / period_s
        self._tokens = capacity
        self._at = 0.0

    def wait_s(self, now: float, tokens: float = 1.0) -> float:
        """Take the tokens and return 0.0, or take nothing and return how long until there are enough.

        A wish for more than the bucket can hold is granted when the bucket is full.
        """
        self._tokens = min(self._capacity, self._tokens + max(0.0, now - self._at) * self._per_s)
        self._at = max(self._at, now)
        wanted = min(tokens, self._capacity)
        if self._tokens >= wanted - _ROUNDING:
            self._tokens -= wanted
            return 0.0
        return (wanted - self._tokens) / self._per_s
