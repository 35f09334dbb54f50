"""Buffer and journal together against a plain list, over failing disks, orderly ends and crashes.

The list holds what waits, in arrival order. Where the buffer keeps it is its own affair; the model only asks the
account how much of it is on disk, because that decides how full memory is, and reads the files for itself after an end.
"""

import json
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from app.bus import NATS, STORAGE, Buffer, Policy
from app.journal import Journal
from app.journal.folder import Folder
from md_contract.events import EVENT_TYPES, TYPE_OF, BookL2, Event, Heartbeat, Quote, Status, Trade

CAPACITY = 20
BLOCK = 300
MAX_BYTES = 12_000  # some hundred records
IN_MEMORY = "/dev/shm"  # a disk would be as good, and slower
OUTCOMES = ("delivered", "conflated", "dropped")
TYPES = st.sampled_from(["trade", "trade", "trade", "quote", "quote", "book_l2", "heartbeat", "status"])
SYMBOLS = st.sampled_from(["A", "B"])


def make_event(kind: str, symbol: str, number: int) -> Event:
    """An event that is recognised by its `ts_recv`."""
    match kind:
        case "trade":
            return Trade("x", symbol, number, "1", "1", str(number))
        case "quote":
            return Quote("x", symbol, number, "1", "1", "2", "1")
        case "book_l2":
            return BookL2("x", symbol, number, [("1", "1")], [("2", "1")])
        case "heartbeat":
            return Heartbeat("x", "__system__", number, "silent", 1, True)
        case _:
            return Status("x", symbol, number, "gap", {})


def on_disk(folder: Path) -> list[int]:
    """`ts_recv` of all records, by the description of the format alone."""
    found = []
    for file in sorted(folder.glob("*.spill")):
        match = re.fullmatch(r"\d{12}-(\d{12})\.spill", file.name)
        assert match
        *lines, _torn = file.read_bytes()[int(match[1]) :].split(b"\n")
        found += [json.loads(line[9:])["ts_recv"] for line in lines]
    return found


class SpillAgainstList(RuleBasedStateMachine):
    """One run after another on one folder."""

    policy: Policy = NATS

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="spill", dir=IN_MEMORY if Path(IN_MEMORY).is_dir() else None))
        self.runs = 0
        self.number = 0
        self.room = 0
        self.disk_refuses = False
        self.taken: list[int] = []
        self.expected: list[int] = []
        self.events: dict[int, Event] = {}
        self.queue: list[Event] = []
        self.patched = pytest.MonkeyPatch()
        self.patched.setattr(Folder, "write_all", self._disk(Folder.write_all))
        self._begin()

    def teardown(self) -> None:
        self.patched.undo()
        self.journal.close()
        shutil.rmtree(self.root)

    def _disk(self, write_all: Callable[[Folder, int, bytes], None]) -> Callable[[Folder, int, bytes], None]:
        def write(folder: Folder, file: int, data: bytes) -> None:
            if self.disk_refuses:
                write_all(folder, file, data[: len(data) // 2])
                raise OSError(28, "No space left on device")
            write_all(folder, file, data)

        return write

    def _begin(self) -> None:
        self.told: list[bool] = []
        self.given = 0
        self.journal = Journal(self.root / str(self.runs), MAX_BYTES, block_bytes=BLOCK)
        self.buffer = Buffer("sink", self._take, CAPACITY, self._tell, self.policy, self.journal)
        self.counts = {name: dict.fromkeys(OUTCOMES, 0) for name in EVENT_TYPES}
        self.received = dict.fromkeys(EVENT_TYPES, 0)
        self.before = {event.ts_recv for event in self.queue}  # what this run will count as recovered

    def _take(self, event: Event) -> bool:
        if not self.room:
            return False
        self.room -= 1
        self.taken.append(event.ts_recv)
        return True

    def _tell(self) -> None:
        self.told.append(self.buffer.saturated)

    def _in_memory(self) -> int:
        return len(self.queue) - self._spilled()

    def _spilled(self) -> int:
        """Of the queue, how many are on disk: those of this run by the account, those of others by the journal."""
        mine = sum(account.spilled for account in self.buffer.accounts.values())
        read_back = sum(account.recovered for account in self.buffer.accounts.values())
        return mine + self.recoverable - read_back

    recoverable = 0

    def _count(self, event: Event, outcome: str) -> None:
        self.counts[TYPE_OF[type(event)]][outcome] += 1

    def _lasts(self, event: Event) -> bool:
        return type(event) in self.policy.spilling

    @rule(kind=TYPES, symbol=SYMBOLS)
    def put(self, kind: str, symbol: str) -> None:
        self.number += 1
        event = self.events[self.number] = make_event(kind, symbol, self.number)
        self.received[kind] += 1
        memory, straight = self._in_memory(), not self.queue and self.room > 0
        told = len(self.told)
        self.buffer.put(event)
        if straight:
            self._count(event, "delivered")
            self.expected.append(self.number)
            return
        if not self._lasts(event) and isinstance(event, Heartbeat) and memory >= 0.8 * CAPACITY:
            self._count(event, "dropped")
            return
        self.queue.append(event)
        if self._in_memory_before_thinning(event, memory) >= 0.9 * CAPACITY:
            self._thin_out()
        if len(self.told) > told:
            assert self.journal.refused, "the journal is asked first"
            assert self._in_memory() >= CAPACITY

    def _in_memory_before_thinning(self, event: Event, memory: int) -> int:
        account = self.buffer.accounts[type(event)]
        went_to_disk = self._lasts(event) and account.spilled > self.spilled_before.get(type(event), 0)
        return memory if went_to_disk else memory + 1

    def _thin_out(self) -> None:
        latest = {(type(kept), kept.symbol): kept.ts_recv for kept in self.queue}
        survivors = []
        for kept in self.queue:
            if (
                not self._lasts(kept)
                and isinstance(kept, (Quote, BookL2))
                and latest[type(kept), kept.symbol] != kept.ts_recv
            ):
                self._count(kept, "conflated")
            else:
                survivors.append(kept)
        self.queue = survivors

    @rule(kind=TYPES, symbol=SYMBOLS, times=st.integers(5, 60))
    def burst(self, kind: str, symbol: str, times: int) -> None:
        for _ in range(times):
            self.remember()
            self.put(kind, symbol)

    @rule(room=st.integers(0, 60))
    def make_room(self, room: int) -> None:
        self.room = room

    @rule(refuses=st.booleans())
    def the_disk(self, refuses: bool) -> None:
        self.disk_refuses = refuses

    @rule(limit=st.integers(1, 60))
    def drain(self, limit: int) -> None:
        moved = min(limit, len(self.queue), self.room)
        for event in self.queue[:moved]:
            self._count(event, "delivered")
            self.expected.append(event.ts_recv)
        self.queue = self.queue[moved:]
        assert self.buffer.drain(limit) == moved
        if len(self.buffer) <= CAPACITY // 2:
            assert not self.buffer.saturated

    @rule(count=st.integers(1, 8))
    def give_back(self, count: int) -> None:
        again = [self.events[number] for number in self.expected[-count:]]
        if any(number in self.before for number in self.expected[-count:]):
            return  # counted under another run
        dropped = self.buffer.give_back(again)
        for event in again:
            self.counts[TYPE_OF[type(event)]]["delivered"] -= 1
        kept = [event for event in again if self._lasts(event)]
        assert dropped == len(again) - len(kept)
        for event in again:
            if not self._lasts(event):
                self._count(event, "dropped")
        self.expected = self.expected[: len(self.expected) - len(again)]
        self.taken = self.taken[: len(self.expected)]
        self.queue = kept + self.queue
        self.given += len(kept)

    @rule()
    def end_and_begin_again(self) -> None:
        lasting = [event.ts_recv for event in self.queue if self._lasts(event)]
        dropped = self.buffer.abandon()
        left = on_disk(self.root / str(self.runs))
        assert dropped == len(self.queue) - len(left)
        assert [number for number in lasting if number in set(left)] == left
        room = sum(len(TYPE_OF[type(event)]) + 170 for event in self.queue) < MAX_BYTES // 2
        if room and not self.disk_refuses:
            assert left == lasting, "nothing that should last is lost while there is room"
        assert all(account.difference == account.queued == 0 for account in self.buffer.accounts.values())
        self._go_on_with(left, self.runs)

    @rule()
    def crash_and_begin_again(self) -> None:
        """What was in the files at that instant is all there is."""
        shutil.copytree(self.root / str(self.runs), self.root / str(self.runs + 1))
        lasting = [event.ts_recv for event in self.queue if self._lasts(event)]
        spilled = self._spilled()
        self.journal.close()
        left = on_disk(self.root / str(self.runs + 1))
        assert [number for number in lasting if number in set(left)] == left, "in order, none twice, none handed over"
        if not self.disk_refuses:
            assert spilled - len(left) <= BLOCK / 100, "it loses memory and a block"
        self._go_on_with(left, self.runs + 1)

    def _go_on_with(self, left: list[int], run: int) -> None:
        self.runs = run
        self.queue = [self.events[number] for number in left]
        self.recoverable = len(left)
        self._begin()

    @invariant()
    def remember(self) -> None:
        self.spilled_before: dict[Any, int] = {cls: account.spilled for cls, account in self.buffer.accounts.items()}

    @invariant()
    def the_ledger_equals_the_model_and_closes(self) -> None:
        waiting = dict.fromkeys(EVENT_TYPES, 0)
        for event in self.queue:
            waiting[TYPE_OF[type(event)]] += event.ts_recv not in self.before
        recovered = 0
        for name, cls in EVENT_TYPES.items():
            account = self.buffer.accounts[cls]
            assert account.difference == 0
            assert account.received == self.received[name]
            assert {outcome: getattr(account, outcome) for outcome in OUTCOMES} == self.counts[name]
            assert min(account.queued, account.spilled, account.recovered) >= 0
            recovered += account.recovered
        on_its_way = sum(account.queued + account.spilled for account in self.buffer.accounts.values())
        assert on_its_way + self.recoverable - recovered == len(self.queue)
        assert len(self.buffer) == self._in_memory()
        assert self.buffer.empty == (not self.queue)

    @invariant()
    def what_left_is_what_the_model_says_in_its_order(self) -> None:
        assert self.taken == self.expected

    @invariant()
    def the_bounds_hold(self) -> None:
        assert self.journal.bytes <= MAX_BYTES
        assert sum(file.stat().st_size for file in (self.root / str(self.runs)).glob("*.spill")) <= MAX_BYTES
        if not self.buffer.saturated:
            assert len(self.buffer) < CAPACITY + 2 * 2 + 2 + self.given, "one quote and one book per symbol beyond it"

    @invariant()
    def saturation_is_told(self) -> None:
        assert self.told == [i % 2 == 0 for i in range(len(self.told))]
        assert (self.told[-1] if self.told else False) == self.buffer.saturated


class StorageAgainstList(SpillAgainstList):
    policy = STORAGE


TestSpillAgainstList = SpillAgainstList.TestCase
TestStorageAgainstList = StorageAgainstList.TestCase
TestSpillAgainstList.settings = TestStorageAgainstList.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None
)
