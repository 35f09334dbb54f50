"""What the bus itself lost, repeated or restarted: `seq` and `epoch` of every (type, symbol). Pure.

Within one epoch (one run of a producer) `seq` grows by one per message. A jump up is a hole: that many messages were
lost on the way. A number that is not above the last is a duplicate. An epoch not seen before means that the producer
was restarted, and that an unknown number of messages never came. Events without both numbers come from other producers
and are not tracked.

A stream of JetStream loses nothing on the way (`lossless`). There a hole means that a repeated message was not stored,
or that one comes late because it had to be sent again; a number inside a hole is late, not repeated. Messages are lost
only where the stream deleted some before they were read (`skips`).
"""

from typing import Final

from msgspec import Struct, field

from md_contract.events import EVENT_TYPES

UNKNOWN_AMOUNT: Final = -1
MOST_LOST_AT_ONCE: Final = 1_000_000  # a jump beyond this is believed only when the next message goes on from there
LARGEST: Final = 2**63 - 1
HOLES_KEPT: Final = 16  # of a lossless stream: what comes later than that is taken for a repeat
EPOCHS_KEPT: Final = 4  # of earlier producers, per stream: two that take turns are still followed
REBASE_AFTER: Final = 20  # messages in a row, out of what was taken for a hole: then the jump was wrong, not they


class Stream(Struct):
    """One (type, symbol): where it stands, and what is missing that nobody has been told of yet."""

    event_type: str
    symbol: str
    epoch: int = 0
    seq: int = 0
    missing: int = 0  # UNKNOWN_AMOUNT wins over any number
    doubted: int = 0  # the last number that was too far ahead to be believed
    low: int = 0  # the last hole is between these two: its numbers were never applied
    high: int = 0
    run: int = 0  # messages in a row out of that hole, while nothing else came
    run_at: int = 0  # the last of them
    stood_at: int = 0  # `seq` meanwhile
    earlier: dict[int, int] = field(default_factory=dict)  # epoch -> its last seq
    late: list[tuple[int, int]] = field(default_factory=list)  # holes (first, last) whose messages may still come
    skips: int = 0  # of the whole, as of the last hole
    subject: str = ""  # the last one that was found to agree with type and symbol

    def miss(self, amount: int) -> None:
        """Note that `amount` messages of this stream will never be applied."""
        if self.missing != UNKNOWN_AMOUNT:
            self.missing = UNKNOWN_AMOUNT if amount == UNKNOWN_AMOUNT else self.missing + amount


class Sequences:
    """All streams, bounded: those beyond `max_streams` are delivered but not checked, and counted."""

    def __init__(self, max_streams: int, *, lossless: bool = False) -> None:
        self.skips = 0  # how often messages of any stream may have been lost; counted by whoever knows
        self.unstored = dict.fromkeys(EVENT_TYPES, 0)  # by type: numbers not in their place, lossless
        self.late = dict.fromkeys(EVENT_TYPES, 0)  # by type: those of them that came later
        self.holes = dict.fromkeys(EVENT_TYPES, 0)  # by type: jumps in seq
        self.missing = dict.fromkeys(EVENT_TYPES, 0)  # by type: messages those jumps stand for
        self.duplicates = dict.fromkeys(EVENT_TYPES, 0)
        self.new_epochs = dict.fromkeys(EVENT_TYPES, 0)
        self.rebased = dict.fromkeys(EVENT_TYPES, 0)  # by type: jumps that were found out to be wrong
        self.unchecked = 0  # events of streams beyond the bound
        self._max_streams = max_streams
        self._lossless = lossless
        self._streams: dict[str, dict[str, Stream]] = {name: {} for name in EVENT_TYPES}

    def __len__(self) -> int:
        return sum(map(len, self._streams.values()))

    def of_type(self, event_type: str) -> dict[str, Stream]:
        """The streams of one type by symbol, to look up without a call per message."""
        return self._streams[event_type]

    def open(self, event_type: str, symbol: str) -> Stream | None:
        """Begin to follow a stream; None beyond the bound."""
        if len(self) >= self._max_streams:
            self.unchecked += 1
            return None
        stream = self._streams[event_type][symbol] = Stream(event_type, symbol, skips=self.skips)
        return stream

    def is_plausible(self, stream: Stream, epoch: int, seq: int) -> bool:
        """Tell whether the numbers can be true. One wrong `seq` far ahead would make all that follow a duplicate."""
        if not (0 <= epoch <= LARGEST and 0 <= seq <= LARGEST):
            return False
        if epoch != stream.epoch or epoch == 0 or seq - stream.seq <= MOST_LOST_AT_ONCE:
            return True
        confirmed = seq == stream.doubted + 1
        stream.doubted = seq
        return confirmed

    def admit(self, stream: Stream, epoch: int, seq: int) -> bool:
        """Move the stream to `seq` of `epoch`; False for a duplicate, which must not be applied."""
        if epoch <= 0 or seq <= 0:
            return True
        if epoch != stream.epoch and not self._turn_to(stream, epoch, seq):
            return True
        ahead = seq - stream.seq
        if ahead <= 0:
            if self._lossless and self._is_late(stream, seq):
                self.late[stream.event_type] += 1
                return True
            return self._goes_on(stream, seq)
        if ahead > 1:
            if self._lossless and stream.skips == self.skips:
                self.unstored[stream.event_type] += ahead - 1
                stream.late = [*stream.late[1 - HOLES_KEPT :], (stream.seq + 1, seq - 1)]
            else:
                stream.skips = self.skips
                self.holes[stream.event_type] += 1
                self.missing[stream.event_type] += ahead - 1
                stream.miss(ahead - 1)
            stream.low, stream.high = stream.seq, seq
        stream.seq = seq
        return True

    def _goes_on(self, stream: Stream, seq: int) -> bool:
        """Take a number that is not above the last one; False for a duplicate.

        It is none when the jump that left it behind was wrong: a producer goes on number by number, all of them out of
        the hole and so never applied, while nothing comes from beyond it. The stream then stands where that one is.
        """
        if not self._lossless and stream.low < seq < stream.high:
            in_a_row = seq == stream.run_at + 1 and stream.seq == stream.stood_at
            stream.run = stream.run + 1 if in_a_row else 1
            stream.run_at, stream.stood_at = seq, stream.seq
            if stream.run >= REBASE_AFTER:
                self.rebased[stream.event_type] += 1
                if stream.low:  # the hole was counted
                    self.missing[stream.event_type] -= stream.high - seq
                stream.miss(stream.run - 1)
                stream.seq = stream.low = stream.high = seq
                return True
        self.duplicates[stream.event_type] += 1
        return False

    @staticmethod
    def _is_late(stream: Stream, seq: int) -> bool:
        """Whether the number lies in a hole; that is smaller then."""
        for at, (first, last) in enumerate(stream.late):
            if first <= seq <= last:
                stream.late[at : at + 1] = [hole for hole in ((first, seq - 1), (seq + 1, last)) if hole[0] <= hole[1]]
                return True
        return False

    def _turn_to(self, stream: Stream, epoch: int, seq: int) -> bool:
        """Make `epoch` the current one; True when it was known and its `seq` can be judged."""
        if stream.epoch:
            stream.earlier[stream.epoch] = stream.seq
        known = stream.earlier.pop(epoch, None)
        if known is None and stream.epoch:
            self.new_epochs[stream.event_type] += 1
            stream.miss(UNKNOWN_AMOUNT)
        stream.late = []
        while len(stream.earlier) > EPOCHS_KEPT:
            del stream.earlier[next(iter(stream.earlier))]
        stream.epoch, stream.seq = epoch, seq if known is None else known
        stream.low, stream.high = stream.seq if known else 0, stream.seq
        return known is not None
