"""The login of one connection, as a table of states."""

from enum import StrEnum
from typing import Final

from app.books.pace import NEVER
from app.providers.alpaca.credentials import Credentials
from app.providers.provider import HangUp, Send
from md_contract.units import NS_PER_MS, NS_PER_S

GREETING_NS: Final = NS_PER_S  # for the venue's first word; then we log in without it
ANSWER_NS: Final = 10 * NS_PER_S
MAX_TRIES: Final = 15  # on one connection, while another one of ours is said to be open
STEP_NS: Final = 500 * NS_PER_MS  # by which the wait before the next of them grows
BUSY_S: Final = (5.0, 60.0)  # the wait before the next connection, when all of them were in vain


class LoginState(StrEnum):
    GREETING = "greeting"  # waiting for the venue's first word
    READY = "ready"  # to log in now
    ASKED = "asked"  # waiting for the answer
    PAUSED = "paused"  # turned away because of another connection; to be tried again
    IN = "in"
    OVER = "over"  # this connection will not be logged in


class Sign(StrEnum):
    GREETED = "greeted"
    SENT = "sent"
    ACCEPTED = "accepted"
    BUSY = "busy"
    TIMEOUT = "timeout"
    EXHAUSTED = "exhausted"  # busy once too often


TRANSITIONS: Final[dict[tuple[LoginState, Sign], LoginState]] = {
    (LoginState.GREETING, Sign.GREETED): LoginState.READY,
    (LoginState.GREETING, Sign.TIMEOUT): LoginState.READY,
    (LoginState.GREETING, Sign.ACCEPTED): LoginState.IN,
    (LoginState.GREETING, Sign.BUSY): LoginState.PAUSED,
    (LoginState.READY, Sign.SENT): LoginState.ASKED,
    (LoginState.READY, Sign.ACCEPTED): LoginState.IN,
    (LoginState.READY, Sign.BUSY): LoginState.PAUSED,
    (LoginState.ASKED, Sign.ACCEPTED): LoginState.IN,
    (LoginState.ASKED, Sign.BUSY): LoginState.PAUSED,
    (LoginState.ASKED, Sign.TIMEOUT): LoginState.OVER,
    (LoginState.PAUSED, Sign.TIMEOUT): LoginState.READY,
    (LoginState.PAUSED, Sign.ACCEPTED): LoginState.IN,
    (LoginState.PAUSED, Sign.EXHAUSTED): LoginState.OVER,
}


class Login:
    """Logs in, and again while the venue says that another connection is open. Times are monotonic ns."""

    def __init__(self, credentials: Credentials) -> None:
        self.state = LoginState.GREETING
        self.due = 0
        self._credentials = credentials
        self.tries = 0  # logins sent
        self._deadline: int | None = None  # of the present state, set by the first `on_time` in it

    def on_greeting(self) -> None:
        self._move(Sign.GREETED)

    def on_accepted(self) -> None:
        self._move(Sign.ACCEPTED)

    def on_busy(self) -> None:
        self._move(Sign.BUSY)

    def on_time(self, now: int) -> Send | HangUp | None:
        """Do what has come due, and set `due` anew."""
        if self.state is LoginState.PAUSED and self.tries >= MAX_TRIES:
            self._move(Sign.EXHAUSTED)
            self.due = NEVER
            return HangUp(f"connection limit exceeded, also at the {MAX_TRIES}th login", _busy_wait_s(now))
        if self._deadline is not None and now >= self._deadline:
            self._move(Sign.TIMEOUT)
        if self.state is LoginState.OVER:
            self.due = NEVER
            return HangUp(f"no answer to the login within {ANSWER_NS // NS_PER_S} s")
        send: Send | None = None
        if self.state is LoginState.READY:
            self.tries += 1
            self._move(Sign.SENT)
            send = Send(self._credentials.login())
        if self._deadline is None:
            self._deadline = min(now + self._patience(), NEVER)
        self.due = self._deadline
        return send

    def _patience(self) -> int:
        """How long the present state may last."""
        paused = max(self.tries, 1) * STEP_NS
        patience = {LoginState.GREETING: GREETING_NS, LoginState.ASKED: ANSWER_NS, LoginState.PAUSED: paused}
        return patience.get(self.state, NEVER)

    def _move(self, sign: Sign) -> None:
        state = TRANSITIONS.get((self.state, sign), self.state)
        if state is not self.state:
            self.state = state
            self._deadline = None
            self.due = 0


def _busy_wait_s(now: int) -> float:
    """A wait that differs from one producer to the next: the clock's last digits are as good as drawn by lot."""
    low, high = BUSY_S
    return low + now // 1_000 % NS_PER_S / NS_PER_S * (high - low)
