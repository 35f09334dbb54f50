"""What can go wrong on purpose: with the frames of a stream here, with connections and REST calls in `Controls`."""

from collections import Counter
from collections.abc import Iterable
from typing import Protocol

from exchange_sim.frame import Frame


class Faults:
    """Faults that wait for the next frames of a stream, such as `btcusdt@trade`. Each is used up, except silence."""

    def __init__(self) -> None:
        self._mute_all = False
        self._muted: frozenset[str] = frozenset()
        self._lose: Counter[str] = Counter()
        self._repeat: Counter[str] = Counter()
        self._swap: Counter[str] = Counter()
        self._held: dict[str, Frame] = {}
        self.active = False  # false: every frame goes through as it is, which is checked once a frame
        self.lost: Counter[str] = Counter()  # frames that a fault kept from their subscribers, by stream

    def mute(self, streams: Iterable[str] | None = None) -> None:
        """Send nothing on these streams (None: on no stream at all) until `unmute`."""
        if streams is None:
            self._mute_all = True
        else:
            self._muted |= frozenset(streams)
        self.active = True

    def unmute(self) -> None:
        """End every silence."""
        self._mute_all = False
        self._muted = frozenset()

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
        if self._mute_all or stream in self._muted:
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


class Controls(Protocol):
    """What scripts and the HTTP control can do to a running exchange; `ExchangeSim` documents each."""

    @property
    def faults(self) -> Faults: ...
    def drop(self, code: int | None = None, reason: str = "") -> int: ...
    def refuse(self, on: bool = True) -> None: ...
    def stale_depth(self, count: int = 1) -> None: ...
    def fail_rest(self, status: int, count: int = 1, retry_after_s: int | None = None) -> None: ...
    def server_shutdown(self, then_close: bool = False) -> None: ...
    def send_raw(self, data: bytes | str, *, binary: bool = False) -> None: ...
