"""How long to wait before the next attempt to connect. Pure: the randomness is an argument."""


class Backoff:
    """Delays that double up to a cap; each is drawn from the upper half, so that clients do not come in step."""

    def __init__(self, first_s: float, cap_s: float) -> None:
        self._first_s = first_s
        self._cap_s = cap_s
        self._delay_s = first_s

    def next_s(self, fraction: float) -> float:
        """Return the next delay in seconds; `fraction` is random in [0, 1)."""
        delay_s = self._delay_s
        self._delay_s = min(self._cap_s, delay_s * 2)
        return delay_s * (0.5 + fraction / 2)

    def reset(self) -> None:
        self._delay_s = self._first_s
