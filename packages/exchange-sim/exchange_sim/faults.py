"""What can go wrong on purpose: with the frames of a stream here, with connections and REST calls in `Controls`."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol

from exchange_sim.frame import Frame


class Faults:
    """Faults that wait for the next frames of a stream, such as `btcusdt@trade`. Each is used up, except silence."""

    def __init__(self, venues: Iterable[str], venue_of: Callable[[str], str]) -> None:
        """`venue_of` names the venue that a stream belongs to."""
        self._venues = frozenset(venues)
        self._venue_of = venue_of
        self._muted_venues: frozenset[str] = frozenset()
        self._muted: frozenset[str] = frozenset()
        self._lose: Counter[str] = Counter()
        self._repeat: Counter[str] = Counter()
        self._swap: Counter[str] = Counter()
        self._held: dict[str, Frame] = {}
        self.active = False  # false: every frame goes through as it is, which is checked once a frame
        self.lost: Counter[str] = Counter()  # frames that a fault kept from their subscribers, by stream

    def mute(self, streams: Iterable[str] | None = None, *, venue: str | None = None) -> None:
        """Send nothing on these streams, or on any of a venue's, or on any at all, until `unmute`.

        Raises:
            ValueError: there is no such venue.
        """
        if venue is not None:
            self._muted_venues |= {self._known(venue)}
        if streams is not None:
            self._muted |= frozenset(streams)
        elif venue is None:
            self._muted_venues = self._venues
        self.active = True

    def unmute(self, *, venue: str | None = None) -> None:
        """End every silence, or every one of a venue. Raises ValueError when there is no such venue."""
        ended = self._venues if venue is None else {self._known(venue)}
        self._muted_venues -= ended
        self._muted = frozenset(stream for stream in self._muted if self._venue_of(stream) not in ended)

    def silences(self, stream: str) -> bool:
        """Tell whether a stream is mute."""
        return stream in self._muted or (bool(self._muted_venues) and self._venue_of(stream) in self._muted_venues)

    def _known(self, venue: str) -> str:
        if venue not in self._venues:
            raise ValueError(f"expected a venue of {', '.join(sorted(self._venues))}, found {venue!r}")
        return venue

    def lose(self, stream: str, count: int = 1) -> None:
        """Keep back the next `count` frames: a hole in the trade ids or in the diff sequence."""
        self._lose[stream] += count
        self.active = True

    def duplicate(self, stream: str, count: int = 1) -> None:
        """Send each of the next `count` frames twice."""
        self._repeat[stream] += count
        self.active = True

    def reorder(self, stream: str, count: int = 1) -> None:
        """Send the next frame after the one that follows it, `count` times."""
        self._swap[stream] += count
        self.active = True

    def apply(self, frame: Frame) -> tuple[Frame, ...]:
        """Return what is sent instead of a frame."""
        stream = frame.stream
        if self.silences(stream):
            self.lost[stream] += 1
            return ()
        if self._lose[stream] > 0:
            self._lose[stream] -= 1
            self.lost[stream] += 1
            return ()
        if stream in self._held:
            return (frame, self._held.pop(stream))
        if self._swap[stream] > 0:
            self._swap[stream] -= 1
            self._held[stream] = frame
            return ()
        if self._repeat[stream] > 0:
            self._repeat[stream] -= 1
            return (frame, frame)
        return (frame,)


class BybitControls(Protocol):
    """What can be asked of Bybit alone; `exchange_sim.bybit.BybitFaults` documents each."""

    def reorder_keys(self, on: bool = True) -> None: ...
    def text_times(self, on: bool = True) -> None: ...
    def option_pongs(self, on: bool = True) -> None: ...
    def spoil_acks(self, how: str, count: int = 1) -> None: ...
    def resend(self, stream: str) -> None: ...
    def restart(self, stream: str, kind: str = "snapshot") -> None: ...
    def delete_absent(self, stream: str, count: int = 1) -> None: ...


class AlpacaControls(Protocol):
    """What can be asked of Alpaca alone; `exchange_sim.alpaca.AlpacaFaults` documents each."""

    def refuse_logins(self, code: int = 402, count: int | None = None, *, endpoint: str | None = None) -> None: ...
    def accept_logins(self, *, endpoint: str | None = None) -> None: ...
    def limit_symbols(self, count: int | None, *, endpoint: str | None = None) -> None: ...
    def withhold_feed(self, on: bool = True, *, endpoint: str | None = None) -> None: ...
    def slow_client(self) -> int: ...
    def cancel(self, symbol: str) -> None: ...
    def correct(self, symbol: str) -> None: ...
    def begin_again(self, symbol: str) -> None: ...


class Controls(Protocol):
    """What scripts and the HTTP control can do to a running exchange; `ExchangeSim` documents each."""

    @property
    def faults(self) -> Faults: ...
    @property
    def bybit(self) -> BybitControls: ...
    @property
    def alpaca(self) -> AlpacaControls: ...
    def drop(self, code: int | None = None, reason: str = "", *, venue: str | None = None) -> int: ...
    def refuse(self, on: bool = True, *, venue: str | None = None) -> None: ...
    def stale_depth(self, count: int = 1) -> None: ...
    def fail_rest(
        self, status: int, count: int = 1, retry_after_s: int | None = None, *, venue: str | None = None
    ) -> None: ...
    def server_shutdown(self, then_close: bool = False) -> None: ...
    def send_raw(self, data: bytes | str, *, binary: bool = False) -> None: ...
    def burst(self, symbol: str, count: int) -> None: ...
