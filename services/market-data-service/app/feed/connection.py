"""Where one connection stands: a table of states, and the facts that /health shows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class ConnectionState(StrEnum):
    WAITING = "waiting"  # for its turn to connect
    CONNECTING = "connecting"
    SUBSCRIBING = "subscribing"  # open; not every subscription has been answered
    LIVE = "live"
    STOPPED = "stopped"


class Sign(StrEnum):
    DIALLED = "dialled"
    OPENED = "opened"
    SUBSCRIBED = "subscribed"
    LOST = "lost"
    STOPPED = "stopped"


TRANSITIONS: Final[dict[tuple[ConnectionState, Sign], ConnectionState]] = {
    (ConnectionState.WAITING, Sign.DIALLED): ConnectionState.CONNECTING,
    (ConnectionState.CONNECTING, Sign.OPENED): ConnectionState.SUBSCRIBING,
    (ConnectionState.CONNECTING, Sign.LOST): ConnectionState.WAITING,
    (ConnectionState.SUBSCRIBING, Sign.SUBSCRIBED): ConnectionState.LIVE,
    (ConnectionState.SUBSCRIBING, Sign.LOST): ConnectionState.WAITING,
    (ConnectionState.LIVE, Sign.LOST): ConnectionState.WAITING,
    **{(state, Sign.STOPPED): ConnectionState.STOPPED for state in ConnectionState},
}


@dataclass(slots=True)
class Connection:
    """One connection as people see it. Times are wall-clock ns UTC."""

    symbols: tuple[str, ...]
    state: ConnectionState = ConnectionState.WAITING
    state_since_ns: int = 0
    attempts: int = 0  # connections tried
    opens: int = 0  # connections that came about
    reconnects: int = 0  # of them, those made after one was lost
    rotations: int = 0  # of them, those that took over before the one before had ended
    failures: int = 0  # connections ended by an error of ours
    frames: int = 0  # of any kind
    last_recv_ns: int | None = None  # of a data frame
    last_end: str | None = None  # how the last connection or attempt ended
    next_attempt_ns: int | None = None  # while it waits for one
    refused: Mapping[str, str] = field(default_factory=dict)  # symbols the venue would not give, or not all of: why
    heard: Callable[[str], int | None] | None = None  # of a symbol: its last promised sign of life; None: none promised
    hang_up: Callable[[str], None] | None = None  # ends the present connection, for this reason

    def note(self, sign: Sign, wall_ns: int) -> None:
        """Move on by the table; a sign that means nothing in the present state changes nothing."""
        state = TRANSITIONS.get((self.state, sign), self.state)
        if state is not self.state:
            self.state = state
            self.state_since_ns = wall_ns
