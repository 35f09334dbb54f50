"""What was taken from the stream and is not in the store yet, and what may be acknowledged. Pure.

A message is home once its row is committed, was there already, or is quarantined. The journal on disk is no home: what
it was given last is still in memory, and nothing of it is synced. The stream keeps the message at least as well.
"""

from collections import deque
from collections.abc import Callable

from app.bus import Buffer
from app.storage.rows import Storable


class Home:
    """How many of all that was put into a buffer, in that order, are home. Never too many, at times too few."""

    def __init__(self, buffer: Buffer[Storable], *, settled: Callable[[], int], pending: Callable[[], int]) -> None:
        """Begin with nothing put.

        Args:
            buffer: may hold what an earlier run left on disk: that goes first.
            settled: how many messages have reached the store, in the order in which they left the buffer.
            pending: how many have left the buffer and not reached it.
        """
        self._buffer = buffer
        self._settled = settled
        self._pending = pending
        self._others = 0 if buffer.journal is None else buffer.journal.records  # settled besides what was put
        self._final = False

    def count(self, put: int) -> int:
        """Of `put` messages.

        What gets lost on its way (a record the disk cannot read back) is settled by nobody, so the count stays behind
        until nothing is on its way any more.
        """
        settled = self._settled()
        if not self._final and self._buffer.empty and not self._pending():
            self._others = settled - put
        return settled - self._others

    def finish(self) -> None:
        """From here on messages may leave the buffer for the disk, or nowhere."""
        self._final = True


class Flight:
    """Messages of the stream between being taken and being home, oldest first."""

    def __init__(self) -> None:
        self._messages: dict[int, tuple[int, str]] = {}  # by number, ascending
        self._elsewhere: deque[int] = deque()  # not home either, and of no number that means anything any more
        self._last = 0
        self._due = ""

    def __len__(self) -> int:
        return len(self._messages) + len(self._elsewhere)

    @property
    def oldest(self) -> int | None:
        """The number of the first message that is not home."""
        return next(iter(self._messages), None)

    def note(self, seq: int, put: int, subject: str) -> None:
        """One is to be acknowledged, on `subject`, when so many of all that was put into the buffer are home.

        One that was noted before is home as early as it would have been then.
        """
        noted = self._messages.get(seq)
        if noted is not None:
            self._messages[seq] = (noted[0], subject)
        elif seq > self._last:
            self._messages[seq], self._last = (put, subject), seq
        elif self.oldest is None or self.oldest > seq:
            self._due = subject  # it has come home meanwhile

    def due(self, home: int) -> str:
        """Where to acknowledge now, which acknowledges all before it, too; empty when nothing has come home."""
        done = []
        for seq, (put, subject) in self._messages.items():
            if put > home:
                break
            done.append(seq)
            self._due = subject or self._due
        for seq in done:
            del self._messages[seq]
        while self._elsewhere and self._elsewhere[0] <= home:
            self._elsewhere.popleft()
        return self._due

    def acknowledged(self) -> None:
        """What was due is done."""
        self._due = ""

    def forget(self, *, after: int | None = None) -> None:
        """The consumer that gave them out is gone; they will be given out again.

        after: the numbers beyond mean other messages from now on, or are taken once more; None: none of them.
        """
        self._due = ""
        if after is not None:
            gone = [seq for seq in self._messages if seq > after]
            self._elsewhere.extend(self._messages.pop(seq)[0] for seq in gone)
            self._last = min(self._last, after)
        self._messages = {seq: (put, "") for seq, (put, _) in self._messages.items()}
