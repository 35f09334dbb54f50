"""A recording as a playback: everything on it once, in its order, at its pace or as fast as it is read."""

from collections import Counter
from collections.abc import Iterator
from typing import Final, Protocol

from exchange_sim.frame import Frame
from exchange_sim.tape import Recorded, Tape

_NS_PER_MS: Final = 1_000_000
_LEAST_LATENCY_NS: Final = _NS_PER_MS  # of the fastest frame, once the times are moved to now
_BATCH: Final = 256


class Contents(Protocol):
    """What a first reading tells of a tape."""

    @property
    def tape(self) -> Tape: ...
    @property
    def streams(self) -> Counter[str]: ...
    @property
    def first_ns(self) -> int: ...
    @property
    def last_ns(self) -> int: ...
    @property
    def least_latency_ns(self) -> int | None: ...


class Player(Protocol):
    """The venue that is on the tape."""

    def play(self, recorded: Recorded, offset_ms: int) -> list[Frame]:
        """Return the frames to send for one recorded text, with all event times moved by the offset."""
        ...


class TapePlayback:
    """Plays a tape that was read before.

    What the player keeps of the frames is as old as the frame just taken, and never newer, so that a client which
    subscribes between two frames gets a book that the next frame continues.
    """

    waits = True

    def __init__(self, contents: Contents, player: Player) -> None:
        self._contents = contents
        self._speed = contents.tape.speed
        self._player = player
        self._tape: Iterator[Recorded] = iter(())
        self._next: Recorded | None = None
        self._offset_ms = 0
        self._start_ns = 0

    @property
    def paced(self) -> bool:
        return self._speed > 0

    def start(self, now_ns: int) -> None:
        """Begin to play."""
        contents = self._contents
        self._start_ns = now_ns
        self._tape = contents.tape.read()
        self._next = next(self._tape, None)
        if contents.tape.times == "now" and contents.least_latency_ns is not None:
            ahead_ns = now_ns - contents.first_ns + contents.least_latency_ns - _LEAST_LATENCY_NS
            self._offset_ms = ahead_ns // _NS_PER_MS

    def next_ns(self) -> int | None:
        """Return when the next frame is due."""
        if self._next is None:
            return None
        return self._due_ns(self._next) if self.paced else 0

    def take(self, now_ns: int) -> Iterator[Frame]:
        """Yield what is due, a batch at a time."""
        taken = 0
        while self._next is not None and taken < _BATCH:
            if self.paced and self._due_ns(self._next) > now_ns:
                break
            frames = self._player.play(self._next, self._offset_ms)
            self._next = next(self._tape, None)
            taken += len(frames)
            yield from frames

    def _due_ns(self, recorded: Recorded) -> int:
        return self._start_ns + int((recorded.ts_ns - self._contents.first_ns) / self._speed)
