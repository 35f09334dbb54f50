"""Who is let in: one session per endpoint, and none while the last one is believed to be still there."""

from typing import Final

LOGIN_S: Final = 10.0  # the time a client has to log in
LINGER_S: Final = 30.0  # how long a session that ended without a goodbye keeps its place


class Door:
    """The places of one endpoint. Times are seconds on any clock that does not go back.

    Args:
        key: the only one that is let in; any is while it is empty.
        secret: belongs to the key.
        login_s: see LOGIN_S.
        linger_s: see LINGER_S.
        max_symbols: of one channel; None for a plan without limit.
    """

    def __init__(
        self,
        *,
        key: str = "",
        secret: str = "",
        login_s: float = LOGIN_S,
        linger_s: float = LINGER_S,
        max_symbols: int | None = None,
    ) -> None:
        self.key = key
        self.secret = secret
        self.login_s = login_s
        self.linger_s = linger_s
        self.max_symbols = max_symbols
        self.has_feed = True  # false: the plan does not include this endpoint
        self.refusal = 0  # an error code for everybody who wants to come in; 0: none
        self.refusals: float = 0  # how many are still to be refused
        self._inside: object | None = None
        self._free_at_s = 0.0

    def knows(self, key: object, secret: object) -> bool:
        """Tell whether these are the keys."""
        return not self.key or (key, secret) == (self.key, self.secret)

    def refused(self) -> int:
        """Return the code that the next one is refused with, 0 for none, and count it."""
        if self.refusals < 1:
            return 0
        self.refusals -= 1
        return self.refusal

    def enter(self, who: object, now_s: float) -> bool:
        """Take the place; False while another one has it."""
        if self._inside not in (None, who) or now_s < self._free_at_s:
            return False
        self._inside = who
        return True

    def leave(self, who: object, now_s: float, *, abruptly: bool) -> None:
        """Free the place, or let it linger when nobody said goodbye."""
        if self._inside is who:
            self._inside = None
            self._free_at_s = now_s + self.linger_s if abruptly else 0.0
