"""A buffer with a journal: what goes to disk, in which order it comes back, and when the sockets have to wait."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.bus import NATS, STORAGE, Buffer, Policy
from app.journal import Journal
from app.ledger import log_ledger
from md_contract.events import BookL2, Event, Heartbeat, Quote, Status, Trade

MIB = 1 << 20


def trade(number: int) -> Trade:
    return Trade("x", "BTCUSDT", number, "1", "1", str(number))


def quote(number: int, symbol: str = "BTCUSDT") -> Quote:
    return Quote("x", symbol, number, "1", "1", "2", "1")


class Bench:
    """A buffer of 20 events before a sink that takes as many as there is room for."""

    def __init__(self, folder: Path, policy: Policy = NATS, max_bytes: int = MIB) -> None:
        self.room = 0
        self.taken: list[int] = []
        self.told = 0
        self.journal = Journal(folder, max_bytes, block_bytes=200)
        self.buffer = Buffer("sink", self.take, 20, self.tell, policy, self.journal)

    def take(self, event: Event) -> bool:
        if not self.room:
            return False
        self.room -= 1
        self.taken.append(event.ts_recv)
        return True

    def tell(self) -> None:
        self.told += 1

    def put(self, *events: Event) -> None:
        for event in events:
            self.buffer.put(event)
            self.closes()

    def drain(self, room: int = 100_000) -> list[int]:
        """What the sink takes now."""
        self.room, before = room, len(self.taken)
        while self.buffer.drain(7):
            self.closes()
        self.room = 0
        return self.taken[before:]

    def closes(self) -> None:
        assert all(account.difference == 0 for account in self.buffer.accounts.values())


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "j")


def test_trades_and_status_beyond_the_bound_go_to_disk_and_the_sockets_are_still_read(bench: Bench) -> None:
    events = [trade(n) if n % 3 else Status("x", "BTCUSDT", n, "gap", {}) for n in range(500)]
    bench.put(*events)
    assert len(bench.buffer) == 20
    assert bench.journal.records == 480
    accounts = bench.buffer.accounts
    assert accounts[Trade].spilled + accounts[Status].spilled == 480
    assert not bench.buffer.saturated
    assert bench.drain() == list(range(500))
    assert accounts[Trade].spilled == accounts[Trade].queued == 0
    assert (bench.told, bench.buffer.empty) == (0, True)


def test_while_anything_is_on_disk_newer_trades_go_behind_it_though_memory_has_room(bench: Bench) -> None:
    bench.put(*map(trade, range(30)))
    assert bench.drain(22) == list(range(22))
    bench.put(*map(trade, range(30, 40)))
    assert len(bench.buffer) <= 5
    assert bench.drain() == list(range(22, 40))
    bench.put(trade(40))
    assert bench.buffer.accounts[Trade].queued == 1, "the disk is empty, so memory is used again"


def test_quotes_keep_their_place_among_trades_on_disk(bench: Bench) -> None:
    bench.put(*map(trade, range(12)), quote(12), *map(trade, range(13, 40)), quote(40, "ETHUSDT"), trade(41))
    bench.put(quote(42))
    assert bench.drain(5) == list(range(5))
    bench.put(quote(43, "ETHUSDT"), *map(trade, range(44, 50)))
    gone = {12} if bench.buffer.accounts[Quote].conflated else set()
    assert bench.drain() == [n for n in range(5, 50) if n not in gone]


def test_quotes_and_books_are_conflated_and_heartbeats_dropped_while_trades_are_on_disk(bench: Bench) -> None:
    bench.put(*map(trade, range(30)))
    for number in range(30, 60):
        bench.put(quote(number), BookL2("x", "BTCUSDT", number, [], []), Heartbeat("x", "y", number, "live", 0, False))
    accounts = bench.buffer.accounts
    assert (accounts[Quote].queued, accounts[Quote].conflated) == (1, 29)
    assert (accounts[BookL2].queued, accounts[BookL2].conflated) == (1, 29)
    assert accounts[Heartbeat].dropped == 30
    assert bench.drain() == [*range(30), 59, 59]
    assert not bench.told


def test_storage_conflates_and_drops_nothing_and_spills_every_kind(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "j", STORAGE)
    events: list[Event] = []
    for number in range(0, 300, 5):
        events += [
            trade(number),
            quote(number + 1),
            BookL2("x", "BTCUSDT", number + 2, [("1", "1")], []),
            Heartbeat("x", "__system__", number + 3, "live", 0, False),
            Status("x", "BTCUSDT", number + 4, "gap", {}),
        ]
    bench.put(*events)
    accounts = bench.buffer.accounts
    assert all(account.spilled > 50 for account in accounts.values())
    assert bench.drain(33) == list(range(33))
    bench.put(quote(300))
    assert bench.drain() == list(range(33, 301))
    assert not any(account.dropped or account.conflated for account in accounts.values())


@pytest.mark.parametrize("policy", [NATS, STORAGE])
def test_a_full_journal_saturates_and_what_was_read_meanwhile_keeps_its_order(tmp_path: Path, policy: Policy) -> None:
    bench = Bench(tmp_path / "j", policy, max_bytes=8 * 1024)
    number = 0
    while not bench.buffer.saturated:
        bench.put(trade(number))
        number += 1
    assert bench.journal.bytes > 7 * 1024
    bench.put(*map(trade, range(number, number + 50)))
    assert len(bench.buffer) > 60
    assert bench.drain(30) == list(range(30))
    assert bench.buffer.saturated
    ahead = number - 20
    assert bench.drain(ahead) == list(range(30, 30 + ahead))
    assert not bench.buffer.saturated, "the rest is on disk by now, or half of the memory is enough for it"
    bench.put(*map(trade, range(number + 50, number + 55)))
    assert bench.drain() == list(range(30 + ahead, number + 55))
    assert (bench.told, bench.buffer.saturations) == (2, 1)


def test_without_a_journal_memory_is_all_there_is() -> None:
    told: list[None] = []
    buffer = Buffer("sink", lambda _: False, 20, lambda: told.append(None), STORAGE)
    for number in range(20):
        assert not buffer.saturated
        buffer.put(quote(number))
    assert buffer.saturated
    assert len(told) == 1


def test_the_end_of_a_run_puts_trades_aside_in_order_and_the_next_run_hands_them_over_first(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "j")
    bench.put(*map(trade, range(10)), quote(10), *map(trade, range(11, 60)))
    assert bench.drain(40) == list(range(40)), "so that a batch is half handed over"
    bench.put(trade(60), quote(61))
    bench.buffer.give_back([trade(38), quote(10), trade(39)])
    bench.closes()
    assert bench.buffer.accounts[Quote].dropped == 1, "it is too old by now"
    assert bench.buffer.abandon() == 1, "the other quote"
    bench.closes()
    account = bench.buffer.accounts[Trade]
    assert (account.delivered, account.dropped, account.queued, account.spilled) == (37, 0, 0, 23)
    assert bench.buffer.abandon() == 0

    again = Bench(tmp_path / "j")
    again.put(trade(62), quote(63))
    assert again.drain(10) == [38, 39, *range(40, 48)]
    account = again.buffer.accounts[Trade]
    assert account.received == 1
    assert account.recovered >= 10
    again.put(trade(64))
    assert again.drain() == [*range(48, 61), 62, 63, 64]
    assert account.recovered == 23
    assert again.buffer.empty


def test_the_end_of_a_run_that_has_handed_over_nothing_keeps_memory_before_disk(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "j")
    bench.put(*map(trade, range(50)))
    assert bench.buffer.abandon() == 0
    again = Bench(tmp_path / "j")
    assert again.drain() == list(range(50))


def test_what_finds_no_place_at_the_end_is_dropped_by_name(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "j", max_bytes=1024)
    bench.put(*map(trade, range(60)))
    dropped = bench.buffer.abandon()
    account = bench.buffer.accounts[Trade]
    assert (account.queued, account.dropped, account.spilled) == (0, dropped, 60 - dropped)
    assert 40 < dropped < 60
    bench.closes()
    assert len(Bench(tmp_path / "j").drain()) == account.spilled


def test_records_that_cannot_be_read_any_more_are_dropped_by_name_and_hold_nobody(tmp_path: Path, bench: Bench) -> None:
    bench.put(*map(trade, range(40)), quote(40))
    bench.journal.flush()
    for file in (tmp_path / "j").glob("*.spill"):
        file.write_bytes(file.read_bytes().replace(b'"price":"1"', b'"price":"9"', 3))
    assert bench.drain() == [*range(20), *range(23, 41)]
    account = bench.buffer.accounts[Trade]
    assert (account.delivered, account.dropped, account.spilled) == (37, 3, 0)
    bench.put(quote(41), trade(42))
    assert bench.drain() == [41, 42], "what was lost does not hold its place"


def test_an_event_that_no_file_can_hold_costs_itself(bench: Bench) -> None:
    bench.put(*map(trade, range(20)))
    bench.put(Status("x", "BTCUSDT", 20, "gap", {"text": "\ud800"}), trade(21))
    account = bench.buffer.accounts[Status]
    assert (account.received, account.dropped, bench.buffer.failures) == (1, 1, 1)
    assert bench.drain() == [*range(20), 21]


def test_what_is_held_beside_an_event_that_no_file_can_hold_keeps_its_place(bench: Bench) -> None:
    bench.put(*map(trade, range(20)))
    bench.put(Status("x", "BTCUSDT", 20, "gap", {"text": "\ud800"}))
    bench.put(trade(21), quote(22), *map(trade, range(23, 40)))  # more than one batch on the disk
    assert bench.drain() == [*range(20), *range(21, 40)]


def test_events_given_back_while_it_runs_go_first(bench: Bench) -> None:
    bench.room = 3
    bench.put(*map(trade, range(3)), quote(3))
    bench.buffer.give_back([trade(1), trade(2)])
    bench.put(trade(4))
    assert bench.buffer.accounts[Trade].delivered == 1
    assert bench.drain() == [1, 2, 3, 4]


def test_nothing_overtakes_what_is_on_disk_when_memory_happens_to_be_empty(bench: Bench) -> None:
    bench.put(*map(trade, range(30)))
    bench.room = 20
    assert bench.buffer.drain(20) == 20
    assert len(bench.buffer) == 0
    bench.room = 5
    bench.put(trade(30), quote(31))
    assert bench.taken == list(range(20))
    assert bench.drain() == list(range(20, 32))


@pytest.mark.parametrize("policy", [NATS, STORAGE])
def test_while_a_full_journal_frees_itself_file_by_file_order_and_bounds_hold(tmp_path: Path, policy: Policy) -> None:
    bench = Bench(tmp_path / "j", policy, max_bytes=8 * 1024)
    number = 0
    while not bench.buffer.saturated:
        bench.put(trade(number))
        number += 1
    for _ in range(400):
        bench.room = 1
        assert bench.buffer.drain(1) == 1
        bench.room = 0
        for _ in range(15 if bench.buffer.fill_ratio <= 0.5 else 0):
            bench.put(trade(number))
            number += 1
            assert bench.buffer.saturated or len(bench.buffer) < 20
    bench.drain()
    assert bench.taken == list(range(number))


def test_once_the_journal_is_read_to_its_end_it_is_trusted_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "j", max_bytes=8 * 1024)
    number = 0
    while not bench.buffer.saturated:
        bench.put(trade(number))
        number += 1
    bench.room = number
    assert bench.buffer.drain(number) == number
    bench.room = 0
    for symbol in range(25):
        bench.put(quote(number, f"S{symbol}"))
    assert len(bench.buffer) == 25
    assert not bench.buffer.saturated, "no trade has been refused since"


def test_the_end_of_a_run_keeps_the_order_when_a_batch_read_back_is_followed_by_memory_and_disk(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "j")
    bench.put(*map(trade, range(5)))
    bench.buffer.abandon()
    again = Bench(tmp_path / "j")
    assert again.buffer.drain(1) == 0, "the sink takes nothing, but a batch is read by now"
    again.put(*map(trade, range(5, 40)))
    assert again.buffer.abandon() == 0
    assert sum(account.spilled for account in again.buffer.accounts.values()) == 40
    assert Bench(tmp_path / "j").drain() == list(range(40))


def test_the_last_line_names_what_was_damaged_on_disk_by_this_run_and_by_the_one_before(tmp_path: Path) -> None:
    before = Bench(tmp_path / "j")
    before.put(*map(trade, range(30)))
    before.buffer.abandon()
    bench = Bench(tmp_path / "j")
    bench.put(*map(trade, range(30, 60)))
    bench.journal.flush()
    first, *_, last = sorted((tmp_path / "j").glob("*.spill"))
    for file, times in ((first, 2), (last, 1)):
        file.write_bytes(file.read_bytes().replace(b"BTCUSDT", b"BTCUSDX", times))
    assert len(bench.drain()) == 57
    bench.buffer.abandon()
    with capture_logs() as log:
        log_ledger([bench.buffer])
    [line] = log
    assert line["corrupt"] == "1 of this run, in dropped + 2 of an earlier one"
    assert line["trade"].startswith("30 received + 28 recovered = 57 delivered + 0 conflated + 1 dropped + ")
    assert line["difference"] == 0
