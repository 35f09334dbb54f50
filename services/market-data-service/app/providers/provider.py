"""What a provider is to the rest of the service: a description of one venue, and the pure side of its connections.

Nothing here opens a socket or reads a clock. A `Provider` lives as long as the feed and holds what must survive a
reconnect (the trade sequence of each symbol, the counters). For every connection it makes a `Conversation`: bytes in,
events out, and what it wants done meanwhile (a message sent, a REST resource fetched, the connection ended) in `wants`.
The shell that does those things, `app.feed`, knows no venue.

Times: `ts_recv` is wall-clock ns UTC and only ever stamps events. `now` is monotonic ns and drives every timer.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

from msgspec import Struct

from app.books.diff_sync import BookCounters
from app.providers.quarantine import Quarantine
from md_contract.events import Event


class Send(Struct, frozen=True):
    """Send this text frame now; pacing has been done."""

    frame: bytes


class Fetch(Struct, frozen=True):
    """GET this path (with its query) from the REST endpoint and hand the body of a 2xx answer to `fetched`."""

    path: str
    topic: str  # what it is for; a repeat of the same topic within a minute is slowed down
    weight: int  # its price in the venue's request budget
    paced: bool = False  # whoever wants it sees to it that it is not repeated too often
    optional: bool = False  # a 403 says that it is not offered here, and nothing about us


class HangUp(Struct, frozen=True):
    """End this connection; the next attempt comes no sooner than in `wait_s`."""

    reason: str
    wait_s: float = 0.0


class Replace(Struct, frozen=True):
    """Open another connection for the same symbols, and end this one when that one is ready."""

    reason: str


class Ready(Struct, frozen=True):
    """Everything that this connection is for is flowing: one that it replaces may end."""


class Notice(Struct, frozen=True):
    """Something people should read in the log: an event name and its fields."""

    event: str
    fields: Mapping[str, object]


Want: TypeAlias = Send | Fetch | HangUp | Replace | Ready | Notice


class Limits(Struct, frozen=True):
    """What the venue allows, as far as the shell has to keep to it."""

    connects_per_5_min: int
    rest_weight_per_min: int
    rotate_after_s: float | None = None  # the age at which a connection is replaced; None: the venue ends none by age
    used_weight: tuple[str, int] | None = None  # header that tells what is used up; where we stop for the minute


class Counters:
    """What a provider counts over the life of the feed; plain ints, read on scrape."""

    def __init__(self) -> None:
        self.duplicate_trades = 0
        self.late_trades = 0  # came after younger ones, and filled a hole
        self.backfilled_trades = 0
        self.gaps = 0  # reported: what could not be filled
        self.missing_trades = 0  # the sum over all gaps
        self.sequence_restarts = 0
        self.stale_quotes = 0
        self.repeated_quotes = 0  # signs of life: the same update again, published once
        self.one_sided_quotes = 0  # a side of the market was empty: nothing to publish
        self.crossed_quotes = 0  # bid above ask: published as the venue said it
        self.subscriptions_refused = 0
        self.books = BookCounters()


class BookOptions(Struct, frozen=True):
    """How books are published."""

    depth: int = 20  # levels a side
    rate_hz: float = 10.0  # per symbol


class UnreadableListingError(ValueError):
    """The venue's list of instruments could not be understood."""


class Conversation(Protocol):
    """The pure side of one connection, from its opening to its end.

    `due` is the monotonic time at which `on_time` wants to be called: 0 at once, NEVER not at all. It turns 0 whenever
    something is added to `wants`, which the caller empties after each `on_time`: one number tells it all.
    """

    due: int
    wants: list[Want]

    @property
    def refused(self) -> Mapping[str, str]:
        """The symbols that the venue would not give, or not all of, and why; complete once all has been answered."""
        ...

    def opened(self, ts_recv: int, reconnect_reason: str | None) -> Sequence[Event]:
        """The socket is open. `reconnect_reason`: how the previous connection of these symbols ended, or None."""
        ...

    def decode(self, frame: bytes, ts_recv: int) -> Sequence[Event]:
        """Read one frame. Never raises: what cannot be used is counted in the provider's quarantine."""
        ...

    def fetched(self, fetch: Fetch, body: bytes, ts_recv: int) -> Sequence[Event]:
        """Read the answer to a `Fetch`. Never raises; what is still missing is asked for again."""
        ...

    def on_time(self, now: int) -> Sequence[Event]:
        """Do what has come due by `now`, and set `due` anew."""
        ...

    def closed(self) -> Sequence[Event]:
        """The socket is gone; return what was still held back."""
        ...

    def subscribed(self) -> bool:
        """True once every subscription has been answered."""
        ...


class Errands(Protocol):
    """What a provider fetches apart from any connection. Pure, as a `Conversation` is, and as long-lived as the feed.

    `due` and `wants` are as there; of the wants, only `Fetch` and `Notice`. `on_wake` is called whenever `due` has
    become earlier between two calls; the caller sets it.
    """

    due: int
    wants: list[Want]
    on_wake: Callable[[], None]

    def fetched(self, fetch: Fetch, body: bytes, now: int, ts_recv: int) -> Sequence[Event]:
        """Read the answer to a `Fetch`. Never raises."""
        ...

    def failed(self, fetch: Fetch, status: int | None, now: int) -> None:
        """A `Fetch` got no answer, or one with this HTTP status; it is not tried again unless wanted again."""
        ...

    def on_time(self, now: int, ts_recv: int) -> Sequence[Event]:
        """Do what has come due by `now`, and set `due` anew. `ts_recv` stamps the events."""
        ...

    def closed(self, ts_recv: int) -> Sequence[Event]:
        """The feed has ended; return what remains to be said."""
        ...


class Provider(Protocol):
    """One venue. A new one is one file beside this one and one line in the registry."""

    name: str
    limits: Limits
    counters: Counters
    quarantine: Quarantine

    @property
    def errands(self) -> Errands | None:
        """What runs beside the connections, or None when there is nothing."""
        ...

    def refuse(self, symbol: str) -> str | None:
        """Say why `symbol` cannot be one of this venue's symbols, or None when it can."""
        ...

    def listing(self) -> Fetch | None:
        """The list of the venue's instruments, or None when it has none to offer."""
        ...

    def unlisted(self, body: bytes, symbols: Sequence[str]) -> dict[str, str]:
        """Say which of `symbols` the listing does not know, and why they cannot be subscribed.

        Raises:
            UnreadableListingError: the body is no listing.
        """
        ...

    def split(self, symbols: Sequence[str]) -> list[tuple[str, ...]]:
        """Share the symbols out over as few connections as the venue's limits allow."""
        ...

    def url(self, ws_url: str, symbols: Sequence[str]) -> str:
        """The address to connect to for these symbols."""
        ...

    def converse(self, symbols: Sequence[str], books: BookOptions) -> Conversation:
        """Start the pure side of one new connection that carries these symbols."""
        ...
