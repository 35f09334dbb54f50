"""The seams between the sockets, a venue's dialect and what feeds it. A new venue implements `Venue`, and nothing else.

A dialect is pure: text in, text out, with the time as an argument. It opens no socket and reads no clock.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol, TypeAlias

from msgspec import Struct, field

from exchange_sim.faults import Controls
from exchange_sim.frame import Frame, Raw

Action: TypeAlias = Callable[[Controls], object]
Output: TypeAlias = Frame | Raw | Action
Variant: TypeAlias = int  # how a session wants its frames written; its meaning is the venue's own


class Close(Struct, frozen=True):
    """End a connection with this close code."""

    code: int
    reason: str


class HttpReply(Struct, frozen=True):
    """An answer to a GET."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Habits(Struct, frozen=True):
    """What a venue does to a connection in the course of time; the server's `Patience` says how long each takes."""

    pings: bool = False  # asks for pongs, and closes when none comes
    ages: bool = False  # ends it after a day, if asked to with a notice
    idles: bool = False  # hangs up when neither side has said anything
    batches: bool = False  # every text is an array, and what is due at one time goes out as one of them


class Outcome(Struct):
    """What a session makes of a text it received."""

    replies: list[bytes] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)  # for this client alone, of streams it has just subscribed to
    close: Close | None = None
    frames_first: bool = False


class Session(Protocol):
    """One client's side of the conversation."""

    @property
    def venue(self) -> str: ...

    @property
    def habits(self) -> Habits: ...

    @property
    def streams(self) -> Iterable[str]:
        """The streams that the client gets now."""
        ...

    @property
    def variant(self) -> Variant: ...

    @property
    def greeting(self) -> bytes | None:
        """What a new client is told before it says anything."""
        ...

    def admit(self, now_s: float) -> Close | None:
        """Count one frame from the client, of any kind; `now_s` is monotonic. Too many of them end the session."""
        ...

    def receive(self, text: bytes) -> Outcome:
        """Understand a request."""
        ...

    def overdue(self, age_s: float) -> bytes | None:
        """Return what is said, before the connection ends, to a client that is still a stranger at this age."""
        ...

    def left(self, now_s: float, *, abruptly: bool) -> None:
        """Note that the connection has ended, `abruptly` when nobody said goodbye; `now_s` as for `admit`."""
        ...


class OpenDoor:
    """What a session adds for a venue without logins: nobody is greeted, a stranger or missed."""

    greeting: Final[bytes | None] = None

    def overdue(self, age_s: float) -> bytes | None:  # noqa: ARG002 - every client is welcome at any age
        """Return nothing: nobody has to log in."""
        return None

    def left(self, now_s: float, *, abruptly: bool) -> None:
        """Take no notice."""


class Playback(Protocol):
    """What the pump drives: something that has outputs when their time has come."""

    @property
    def waits(self) -> bool:
        """True: begins when somebody listens, holds while a client is slow, and ends. False: never waits."""
        ...

    @property
    def paced(self) -> bool:
        """False: everything is due as soon as it can be sent."""
        ...

    def start(self, now_ns: int) -> None: ...

    def take(self, now_ns: int) -> Iterable[Output]:
        """Return some of what is due at `now_ns`, a bounded number at a time."""
        ...

    def next_ns(self) -> int | None:
        """Return when the next output is due, 0 for at once; None when there will never be one."""
        ...


class Wording(Protocol):
    """How streams are named and their frames written."""

    def encode(self, frame: Frame, variant: Variant) -> bytes:
        """Return the text of a frame for sessions of this variant."""
        ...

    def route(self, stream: str) -> tuple[str, str]:
        """Return the kind and the symbol of a stream, for counters."""
        ...


class Venue(Wording, Protocol):
    """A venue's dialect."""

    @property
    def name(self) -> str: ...

    @property
    def symbols(self) -> Iterable[str]: ...

    def owns(self, stream: str) -> bool:
        """Tell whether a stream has this venue's kind of name."""
        ...

    def serves(self, target: str) -> bool:
        """Tell whether a path is this venue's, for WebSockets or GETs."""
        ...

    def open(self, target: str) -> Session | None:
        """Return a session for a WebSocket request; None when the venue serves no sockets at this path."""
        ...

    def get(self, target: str, now_ns: int) -> HttpReply:
        """Answer a GET."""
        ...

    def fail_rest(self, status: int, count: int, retry_after_s: int | None) -> None:
        """Answer the next `count` GETs with this HTTP status."""
        ...
