"""The lane of what must arrive: first in, first out, over memory and disk.

    given back | head    | journal | tail
    memory     | memory  | disk    | memory

Events come in at the right and leave at the left. While the journal holds anything, newer events go behind it: into
the journal, or, when that refuses, into the tail; so the order is kept whatever the disk does. The head is filled again
from the journal in batches. A record is released once the sink has brought its event home (`settled`), and only then
the next batch is read: a crash may repeat a batch, not lose it.
"""

import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Generic

from app.bus.account import Account
from app.bus.item import M
from app.bus.journal import Journal

READ_BATCH: Final = 256  # records decoded at a time, unless that is much for the memory there is
SETTLED_BATCH: Final = 1_000  # the same where each batch has to be brought home before the next one: a transaction
_AGAIN: Final = sys.maxsize  # in place of a number: it was given back, and has to leave once more


class DurableLane(Generic[M]):
    """Keeps `spilled`, `queued` and `recovered` of the accounts while events move between memory and disk."""

    def __init__(
        self,
        accounts: Mapping[type[M], Account],
        journal: Journal[M] | None,
        capacity: int,
        on_failure: Callable[[Exception], None],
        settled: Callable[[], int] | None = None,
    ) -> None:
        """Make a lane that begins with what the journal holds.

        Args:
            accounts: by type of event.
            journal: None: memory alone.
            capacity: events that the whole buffer may have in memory, at least 4.
            on_failure: told of an event that cannot be written because of what it holds; it is dropped.
            settled: how many of the events that the sink took it has brought home, in the order in which it took them;
                None: all.
        """
        self.arrived = 0 if journal is None else journal.records
        self.gone = 0
        self._accounts = accounts
        self._journal = journal
        self._batch = min(READ_BATCH if settled is None else SETTLED_BATCH, capacity // 4)
        self._settled = settled
        self._on_failure = on_failure
        self._given_back: deque[M] = deque()
        self._head: deque[M] = deque()
        self._read = 0  # how many of the head, from its left, came from the journal
        self._left: deque[int] = deque()  # of those that left and are not released yet: which hand-over each was
        self._tail: deque[M] = deque()  # empty unless the journal holds something
        self._refused = False  # by the journal, when last asked

    def __len__(self) -> int:
        """Events in memory."""
        return len(self._given_back) + len(self._head) + len(self._tail)

    @property
    def blocked(self) -> bool:
        """What comes stays in memory, however full that is."""
        return self._journal is None or self._refused or bool(self._tail)

    @property
    def empty(self) -> bool:
        """Neither memory nor disk holds anything."""
        return not (self._given_back or self._head or (self._journal is not None and self._journal.records))

    @property
    def unsettled(self) -> bool:
        """What has left is on disk still, because the sink has not brought it home yet."""
        return bool(self._left)

    def add(self, event: M, *, full: bool) -> None:
        """Keep `event`: on disk when memory is full, or when older events are there."""
        self.arrived += 1
        journal, lane = self._journal, self._head
        if journal is not None and (full or journal.records):
            if not self._tail and self._spill(journal, event):
                return
            if journal.records:
                lane = self._tail
        lane.append(event)
        self._accounts[event.__class__].queued += 1

    def give_back(self, events: Sequence[M], taken: int) -> None:
        """Put events that had left, oldest first, before all others; `taken`: how many the sink still answers for."""
        kept = [number for number in self._left if number <= taken]
        self._left = deque(kept + [_AGAIN] * (len(self._left) - len(kept)))
        self._given_back.extendleft(reversed(events))
        self.gone -= len(events)
        for event in events:
            self._accounts[event.__class__].queued += 1

    def fill(self) -> bool:
        """Read from the journal if memory has nothing to hand over; False when there is nothing anywhere."""
        if self._given_back or self._head:
            return True
        journal = self._journal
        if journal is None or not journal.records:
            return False
        self._release()
        if self._left:
            return False
        while journal.records and not self._head:
            self._read_batch(journal)
        if not journal.records:
            self._head.extend(self._tail)
            self._tail.clear()
            self._refused = False
            self._write_off()
        return bool(self._head)

    def oldest(self) -> M:
        """The event to hand over next; `fill` has said that there is one."""
        return (self._given_back or self._head)[0]

    def pop(self) -> None:
        """The oldest event leaves."""
        self.gone += 1
        if self._given_back:
            event = self._given_back.popleft()
            if not self._given_back:
                self._left = deque(self._handed() if number == _AGAIN else number for number in self._left)
        else:
            event = self._head.popleft()
            if self._read:
                self._read -= 1
                self._left.append(self._handed())
        self._accounts[event.__class__].queued -= 1

    def settle(self, limit: int) -> None:
        """After events have left: free their place on disk, and move up to `limit` events from the tail there."""
        self._release()
        for _ in range(min(limit, len(self._tail))):
            if self._journal is None or not self._spill(self._journal, self._tail[0]):
                break
            self._accounts[self._tail.popleft().__class__].queued -= 1

    def put_aside(self) -> None:
        """At the end: bring all of memory to disk, in order, and close the journal. What finds no place is dropped."""
        self._release()
        journal, read = self._journal, self._read
        again = self._left.count(_AGAIN)
        unknown = len(self._left) - again  # the sink neither brought them home nor gave them back
        first, head, last = [*self._given_back], [*self._head], [*self._tail]
        for lane in (self._given_back, self._head, self._tail):
            for event in lane:
                self._accounts[event.__class__].queued -= 1
            lane.clear()
        self._journal, self._read, self.gone = None, 0, self.arrived
        if journal is None:
            self._drop(first + head + last)
            return
        if read == len(head) and not again:
            self._put_on_disk(head)  # all of the head is there still
        else:
            first += head
        if not again and read in (0, len(head)):
            journal.rewind()
            refused = journal.prepend(first)
        else:  # part of what is in memory is there still, and the rest belongs between that and the journal
            refused = journal.prepend(first)
            if unknown:
                journal.rewind()
            else:
                journal.release(again + read)
        self._put_on_disk(first)
        self._take_off_disk(refused)
        self._drop(refused + [event for event in last if not self._spill(journal, event)])
        unwritten = journal.close()
        self._take_off_disk(unwritten)
        self._drop(unwritten)

    def _spill(self, journal: Journal[M], event: M) -> bool:
        """Bring `event` to disk; False when that is not possible now. One that never will be is dropped."""
        account = self._accounts[event.__class__]
        try:
            taken = journal.append(event)
        except Exception as error:  # noqa: BLE001 - what one event holds may stop neither the socket nor the others
            self._on_failure(error)
            account.dropped += 1
            self.gone += 1
            return True
        self._refused = not taken
        account.spilled += taken
        return taken

    def _read_batch(self, journal: Journal[M]) -> None:
        events = journal.read(self._batch)
        for event in events:
            account = self._accounts[event.__class__]
            account.queued += 1
            if journal.recovering:
                account.recovered += 1
            else:
                account.spilled -= 1
        self._head.extend(events)
        self._read = len(events)

    def _write_off(self) -> None:
        """The journal is read to its end, so what is missing of this run could not be read any more."""
        for account in self._accounts.values():
            account.dropped += account.spilled
            account.spilled = 0
        self.gone = self.arrived - len(self)

    def _release(self) -> None:
        left, settled = self._left, _AGAIN - 1 if self._settled is None else self._settled()
        count = 0
        while left and left[0] <= settled:
            left.popleft()
            count += 1
        if count and self._journal is not None:
            self._journal.release(count)

    def _handed(self) -> int:
        """How many events the sink has taken so far; cheap, as it is only asked of what comes from the disk."""
        return 0 if self._settled is None else sum(account.delivered for account in self._accounts.values())

    def _put_on_disk(self, events: Sequence[M]) -> None:
        for event in events:
            self._accounts[event.__class__].spilled += 1

    def _take_off_disk(self, events: Sequence[M]) -> None:
        for event in events:
            self._accounts[event.__class__].spilled -= 1

    def _drop(self, events: Sequence[M]) -> None:
        for event in events:
            self._accounts[event.__class__].dropped += 1
