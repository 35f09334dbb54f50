"""The journal on a real disk: first in, first out, bounded, and nothing twice."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.journal import Journal
from md_contract.events import BookL2, Event, Heartbeat, Quote, Status, Trade

MIB = 1 << 20
Make = Callable[..., Trade]
OnDisk = Callable[[Path], list[int]]


def numbers(events: list[Event]) -> list[int]:
    return [event.ts_recv for event in events]


def read_all(journal: Journal, limit: int = 7) -> list[int]:
    """Everything, released as it is read."""
    found = []
    while journal.records:
        events = journal.read(limit)
        journal.release(len(events)) if events else None
        found += numbers(events)
    return found


def test_every_type_comes_back_as_it_went_in(tmp_path: Path) -> None:
    events: list[Event] = [
        Trade("binance", "BTC/USD", 1, "1.000000001", "2", "77", "buy", 5, 6, 7, backfill=True),
        Quote("binance", "BTCUSDT", 2, "1", "2", "3", "4", 5),
        BookL2("bybit", "ÄÖ\n\x00", 3, [("1", "2")], [("3", "4"), ("5", "6")]),
        Heartbeat("x", "__system__", 4, "silent", 9, True),
        Status("x", "BTCUSDT", 5, "gap", {"from": 1, "text": "a\nb", "list": [None, 1.5]}),
    ]
    journal = Journal(tmp_path / "j", MIB)
    assert all(map(journal.append, events))
    assert journal.records == len(events)
    assert journal.read(10) == events
    journal.close()


@pytest.mark.parametrize("block", [1, 300, 64 * 1024])
def test_what_went_in_first_comes_out_first_across_files_while_more_goes_in(
    block: int, tmp_path: Path, trade: Make
) -> None:
    journal = Journal(tmp_path / "j", 8 * 4096, block_bytes=block)
    came, sent = [], 0
    for turn in range(60):
        for _ in range(turn % 11):
            assert journal.append(trade(sent))
            sent += 1
        events = journal.read(5)
        journal.release(len(events)) if events else None
        came += numbers(events)
    assert came + read_all(journal) == list(range(sent))
    assert journal.records == journal.bytes == 0
    assert [file.name for file in (tmp_path / "j").iterdir()] == ["lock"]
    journal.close()


def test_the_bound_holds_for_files_and_memory_together_and_room_comes_back(
    tmp_path: Path, trade: Make, on_disk: OnDisk
) -> None:
    folder, bound = tmp_path / "j", 8 * 2048
    journal = Journal(folder, bound)
    taken = 0
    while journal.append(trade(taken)):
        taken += 1
        assert journal.bytes <= bound
        assert sum(file.stat().st_size for file in folder.glob("*.spill")) <= journal.bytes
    assert bound - journal.bytes < 300, "it refused because the next record would not fit"
    assert (journal.refused, journal.records) == (1, taken)
    assert not journal.recovering
    events = journal.read(1000)
    journal.release(len(events))
    assert journal.append(trade(taken)), "a file that is read makes room"
    assert numbers(events) + read_all(journal) == list(range(taken + 1))
    journal.close()


def test_a_record_larger_than_a_file_is_refused_and_the_next_is_not(tmp_path: Path, trade: Make) -> None:
    journal = Journal(tmp_path / "j", 8 * 1024)
    assert not journal.append(trade(1, padding=1024))
    assert journal.append(trade(2))
    assert (journal.refused, read_all(journal)) == (1, [2])
    journal.close()


def test_a_bound_of_next_to_nothing_is_kept(tmp_path: Path, trade: Make) -> None:
    journal = Journal(tmp_path / "j", 10)
    assert not journal.append(trade(1))
    assert journal.read(5) == []
    assert journal.close() == []


def test_what_was_read_and_not_released_is_read_again_after_a_rewind_and_by_the_next_run(
    tmp_path: Path, trade: Make
) -> None:
    journal = Journal(tmp_path / "j", MIB)
    for number in range(20):
        journal.append(trade(number))
    assert numbers(journal.read(8)) == list(range(8))
    journal.release(3)
    assert journal.records == 12
    journal.rewind()
    assert journal.records == 17
    assert numbers(journal.read(4)) == [3, 4, 5, 6]
    journal.release(2)
    journal.close()
    again = Journal(tmp_path / "j", MIB)
    assert (again.records, again.torn) == (15, 0)
    assert numbers(again.read(3)) == [5, 6, 7]
    assert again.recovering
    again.release(3)
    again.append(trade(20))
    assert read_all(again) == list(range(8, 21))
    assert not again.recovering
    again.close()
    assert Journal(tmp_path / "j", MIB).records == 0


def test_what_is_prepended_comes_first_in_its_own_order_in_this_run_and_the_next(tmp_path: Path, trade: Make) -> None:
    journal = Journal(tmp_path / "j", 8 * 2048, block_bytes=100)
    for number in range(50, 60):
        journal.append(trade(number))
    assert journal.prepend([trade(number) for number in range(20, 50)]) == [], "more than one file of them"
    assert numbers(journal.read(2)) == [20, 21]
    journal.release(2)
    journal.rewind()
    assert journal.prepend([trade(number) for number in range(22)]) == []
    journal.close()
    again = Journal(tmp_path / "j", 8 * 2048)
    assert read_all(again) == list(range(60))
    again.close()


def test_what_finds_no_room_at_the_front_is_given_back(tmp_path: Path, trade: Make) -> None:
    journal = Journal(tmp_path / "j", 8 * 1024)
    events: list[Event] = [trade(number) for number in range(100)]
    refused = numbers(journal.prepend(events))
    assert refused == list(range(len(refused))), "the newest are kept"
    assert journal.bytes <= journal.max_bytes
    assert 30 < len(refused) < 90
    assert read_all(journal) == list(range(len(refused), 100))
    assert journal.refused == len(refused)
    journal.close()


def test_what_the_disk_refuses_at_the_front_leaves_nothing_there(
    tmp_path: Path, trade: Make, monkeypatch: pytest.MonkeyPatch, on_disk: OnDisk
) -> None:
    journal = Journal(tmp_path / "j", MIB)
    write = os.write

    def half(file: int, data: Any) -> int:
        if len(data) < 500:
            raise OSError(28, "No space left on device")
        return write(file, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", half)
    events: list[Event] = [trade(number) for number in range(20)]
    assert journal.prepend(events) == events
    monkeypatch.undo()
    assert (journal.records, journal.bytes, journal.write_errors, journal.refused) == (0, 0, 1, 20)
    assert on_disk(tmp_path / "j") == []
    journal.close()


def test_an_event_that_cannot_be_encoded_harms_nobody(tmp_path: Path, trade: Make) -> None:
    journal = Journal(tmp_path / "j", MIB)
    poison = Status("x", "BTCUSDT", 1, "gap", {"text": "\ud800"})
    with pytest.raises(UnicodeEncodeError):
        journal.append(poison)
    assert journal.prepend([trade(1), poison, trade(2)]) == [poison]
    assert read_all(journal) == [1, 2]
    journal.close()


def test_damaged_records_are_passed_over_and_counted(tmp_path: Path, trade: Make) -> None:
    journal = Journal(tmp_path / "j", MIB)
    for number in range(10):
        journal.append(trade(number))
    journal.flush()
    file = next((tmp_path / "j").glob("*.spill"))
    lines = file.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b"1.25", b"9.25")
    lines[9] = b"nonsense\n"
    file.write_bytes(b"".join(lines))
    assert read_all(journal) == [0, 1, 2, 4, 5, 6, 7, 8]
    assert (journal.corrupt, journal.records, journal.bytes) == (2, 0, 0)
    assert "damaged" in (journal.last_error or "")
    journal.close()


def test_a_tail_that_a_killed_run_left_unfinished_is_cut_at_any_byte_and_counted(tmp_path: Path, trade: Make) -> None:
    journal = Journal(tmp_path / "whole", MIB)
    for number in range(3):
        journal.append(trade(number))
    journal.close()
    whole = next((tmp_path / "whole").glob("*.spill"))
    data = whole.read_bytes()
    ends = [i + 1 for i, byte in enumerate(data) if byte == ord("\n")]
    for cut in range(len(data) + 1):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / whole.name).write_bytes(data[:cut])
        again = Journal(folder, MIB)
        kept = sum(end <= cut for end in ends)
        assert (again.records, again.torn) == (kept, int(cut not in (0, *ends)))
        again.close()
        again = Journal(folder, MIB)
        assert (again.records, again.torn) == (kept, 0), "cut off once"
        assert read_all(again) == list(range(kept))
        again.close()
        assert not list(folder.glob("*.spill"))


def test_a_file_that_vanished_costs_its_records_and_not_the_others(tmp_path: Path, trade: Make) -> None:
    journal = Journal(tmp_path / "j", 8 * 1024, block_bytes=100)
    sent = 0
    while len(files := sorted((tmp_path / "j").glob("*.spill"))) < 3:
        journal.append(trade(sent))
        sent += 1
    journal.flush()
    first = files[0].read_bytes().count(b"\n")
    files[0].unlink()
    assert read_all(journal) == list(range(first, sent))
    assert (journal.read_errors, journal.records, journal.bytes) == (1, 0, 0)
    assert "No such file" in (journal.last_error or "")
    journal.close()


def test_when_the_disk_refuses_nothing_that_was_accepted_is_lost_and_it_recovers(
    tmp_path: Path, trade: Make, monkeypatch: pytest.MonkeyPatch, on_disk: OnDisk
) -> None:
    journal = Journal(tmp_path / "j", MIB, block_bytes=500)
    accepted = 0
    for _ in range(12):
        accepted += journal.append(trade(accepted))
    write = os.write

    def half(file: int, data: Any) -> int:
        if len(data) < 50:
            raise OSError(28, "No space left on device")
        return write(file, data[: len(data) // 2])

    written = sum(map(len, (file.read_bytes() for file in (tmp_path / "j").glob("*.spill"))))
    monkeypatch.setattr(os, "write", half)
    while journal.append(trade(accepted)):
        accepted += 1
    assert journal.write_errors > 0
    assert "No space left" in (journal.last_error or "")
    assert journal.bytes - written < 2 * 500, "what is kept in memory meanwhile is one block"
    first = numbers(journal.read(5))
    assert first == list(range(5)), "reading goes on"
    monkeypatch.undo()
    journal.release(5)
    assert journal.append(trade(accepted))
    assert read_all(journal) == list(range(5, accepted + 1))
    journal.close()


def test_what_the_disk_never_took_is_read_from_memory_and_at_the_end_given_back(
    tmp_path: Path, trade: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> int:
        raise OSError(5, "Input/output error")

    journal = Journal(tmp_path / "j", MIB)
    monkeypatch.setattr(os, "write", refuse)
    for number in range(10):
        assert journal.append(trade(number))
    all_bytes = journal.bytes
    assert numbers(journal.read(4)) == [0, 1, 2, 3]
    journal.release(2)
    journal.rewind()
    assert (journal.records, journal.bytes) == (8, all_bytes * 8 // 10)
    journal.append(trade(10))
    assert numbers(journal.read(1)) == [2]
    journal.append(trade(11))
    journal.rewind()
    journal.append(trade(12))
    assert numbers(journal.close()) == list(range(2, 13))
    assert journal.records == 0
    monkeypatch.undo()
    assert list((tmp_path / "j").glob("*.spill")) == [], "not even an empty one"
    assert not journal.append(trade(13)), "it is closed"
    assert journal.refused == 1
