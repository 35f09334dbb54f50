"""Several venues on one port: who answers at which path, and whose frame is whose."""

from collections.abc import Iterable
from typing import Final

from exchange_sim.frame import Frame
from exchange_sim.venue import HttpReply, Session, Variant, Venue

_NO_PATH: Final = HttpReply(404, b"no such path in this simulation")
_NO_STREAM: Final = HttpReply(
    404,
    b"no stream at this path; try /stream?streams=btcusdt@trade, /ws, /v5/public/spot or /v2/iex, "
    b"if the market has that venue",
)
_REFUSED: Final = HttpReply(503, b"the simulated exchange refuses connections")


class Venues:
    """All venues that tell of the market. When two of them would take a path or a stream, the first does."""

    def __init__(self, venues: Iterable[Venue]) -> None:
        self._venues = {venue.name: venue for venue in venues}
        self.refused: set[str] = set()  # venues that turn every connection and GET away

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._venues)

    @property
    def symbols(self) -> list[str]:
        """Everything that is traded on any of them."""
        return list(dict.fromkeys(symbol for venue in self._venues.values() for symbol in venue.symbols))

    def named(self, name: str | None) -> list[Venue]:
        """Return the venue of this name, or all of them for None. Raises ValueError for an unknown name."""
        if name is None:
            return list(self._venues.values())
        if name not in self._venues:
            raise ValueError(f"expected a venue of {', '.join(sorted(self._venues))}, found {name!r}")
        return [self._venues[name]]

    def refuse(self, on: bool, name: str | None) -> None:
        """Turn every new connection and GET of a venue away, or of all for None, or stop doing so."""
        names = {venue.name for venue in self.named(name)}
        self.refused = self.refused | names if on else self.refused - names

    def open(self, target: str) -> Session | HttpReply:
        """Return a session for a WebSocket request, or why there is none."""
        venue = self._at(target)
        if venue is None:
            return _NO_STREAM
        return _REFUSED if venue.name in self.refused else venue.open(target) or _NO_STREAM

    def get(self, target: str, now_ns: int) -> HttpReply:
        """Answer a GET."""
        venue = self._at(target)
        if venue is None:
            return _NO_PATH
        return _REFUSED if venue.name in self.refused else venue.get(target, now_ns)

    def _at(self, target: str) -> Venue | None:
        return next((venue for venue in self._venues.values() if venue.serves(target)), None)

    def _owner(self, stream: str) -> Venue:
        for venue in self._venues.values():
            if venue.owns(stream):
                return venue
        return venue  # nobody's stream is written as the last one writes

    def venue_of(self, stream: str) -> str:
        """Return the name of the venue that a stream belongs to."""
        return self._owner(stream).name

    def encode(self, frame: Frame, variant: Variant) -> bytes:
        """Return the text of a frame for sessions of this variant."""
        return self._owner(frame.stream).encode(frame, variant)

    def route(self, stream: str) -> tuple[str, str]:
        """Return the kind and the symbol of a stream."""
        return self._owner(stream).route(stream)
