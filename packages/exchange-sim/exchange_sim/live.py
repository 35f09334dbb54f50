"""The invented market as one or several venues tell of it, each in its own words and at its own pace."""

from collections.abc import Iterable
from typing import Final, Protocol

from exchange_sim.frame import Frame
from exchange_sim.market import MarketEvent, MarketModel

_STEP_NS: Final = 200_000_000  # of the market's time in one take, so that a late pump does not block its loop


class Teller(Protocol):
    """A venue that is told what happens, in order of time, and writes frames.

    The same events and times give the same frames, in any steps of time.
    """

    def open(self, now_ns: int) -> None:
        """Take the books as the market opens."""
        ...

    def pass_time(self, until_ns: int, frames: list[Frame]) -> None:
        """Let what speaks at fixed times do so, up to and including `until_ns`."""
        ...

    def tell(self, event: MarketEvent, frames: list[Frame]) -> None:
        """Write of an event, if the venue trades its symbol; time has passed to just before it."""
        ...

    def next_ns(self) -> int | None:
        """Return when something may speak without an event; None when nothing will."""
        ...


class MarketPlayback:
    """Drives a market model and lets every venue tell of it."""

    waits = False
    paced = True

    def __init__(self, model: MarketModel, tellers: Iterable[Teller]) -> None:
        self._model = model
        self._tellers = tuple(tellers)
        self._now_ns = 0

    def start(self, now_ns: int) -> None:
        """Open the market."""
        self._model.open(now_ns)
        self._now_ns = now_ns
        for teller in self._tellers:
            teller.open(now_ns)

    def next_ns(self) -> int | None:
        """Return when the next frame may be due."""
        event_ns = self._model.next_ns()
        if event_ns is None:
            return None
        beats = (teller.next_ns() for teller in self._tellers)
        return min([event_ns, *(beat_ns for beat_ns in beats if beat_ns is not None)])

    def take(self, now_ns: int) -> list[Frame]:
        """Return the frames of what happened since the last call, at most 200 ms of it."""
        self._now_ns = max(self._now_ns, min(now_ns, self._now_ns + _STEP_NS))
        frames: list[Frame] = []
        for event in self._model.until(self._now_ns):
            for teller in self._tellers:
                teller.pass_time(event.ts_ns - 1, frames)
                teller.tell(event, frames)
        for teller in self._tellers:
            teller.pass_time(self._now_ns, frames)
        return frames
