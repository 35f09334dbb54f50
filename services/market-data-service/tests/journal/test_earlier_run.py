"""What an earlier run left in several files, and how this run goes on behind and before it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.journal import Journal
from md_contract.events import Event, Trade

MIB = 1 << 20
SMALL = 8 * 1024
Make = Callable[..., Trade]


def read_all(journal: Journal[Event]) -> list[int]:
    """Everything, released as it is read."""
    found = []
    while events := journal.read(7):
        journal.release(len(events))
        found += [event.ts_recv for event in events]
    return found


@pytest.fixture
def left(tmp_path: Path, trade: Make) -> int:
    """How many events an earlier run left in `j`, in three files at least."""
    journal = Journal(tmp_path / "j", SMALL, block_bytes=100)
    count = 0
    while len(list((tmp_path / "j").glob("*.spill"))) < 4:
        assert journal.append(trade(count))
        count += 1
    journal.close()
    return count


def test_what_comes_now_is_written_behind_it_at_once(tmp_path: Path, trade: Make, left: int) -> None:
    journal = Journal(tmp_path / "j", MIB)
    files = len(list((tmp_path / "j").glob("*.spill")))
    for number in range(left, left + 10):
        journal.append(trade(number))
    assert journal.flush()
    assert (journal.write_errors, len(list((tmp_path / "j").glob("*.spill")))) == (0, files + 1)
    assert read_all(journal) == list(range(left + 10))
    assert (journal.records, journal.bytes) == (0, 0)
    journal.close()


def test_what_is_given_back_is_put_before_all_of_it(tmp_path: Path, trade: Make, left: int) -> None:
    journal = Journal(tmp_path / "j", MIB)
    assert journal.prepend([trade(number) for number in (-2, -1)]) == []
    assert read_all(journal) == list(range(-2, left))
    journal.close()


def test_where_it_leaves_too_little_room_less_is_put_before_it(tmp_path: Path, trade: Make, left: int) -> None:
    journal = Journal(tmp_path / "j", SMALL)
    before = journal.bytes
    assert before > SMALL // 3
    refused = [event.ts_recv for event in journal.prepend([trade(number) for number in range(-90, 0)])]
    assert before < journal.bytes <= SMALL
    assert refused == list(range(-90, refused[-1] + 1))
    assert read_all(journal) == list(range(refused[-1] + 1, left))
    journal.close()


def test_two_records_that_became_one_count_as_one_that_is_lost(tmp_path: Path, left: int) -> None:
    journal = Journal(tmp_path / "j", MIB)
    assert journal.records == left
    first = min((tmp_path / "j").glob("*.spill"))
    lines = first.read_bytes().splitlines(keepends=True)
    first.write_bytes(lines[0][:-1] + b" " + b"".join(lines[1:]))
    assert read_all(journal) == list(range(2, left))
    assert (journal.records, journal.corrupt) == (0, 1)
    journal.close()


def test_what_a_torn_write_left_that_could_not_be_cut_off_is_not_read_twice(
    tmp_path: Path, trade: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "j", MIB)
    journal.append(trade(0))
    journal.flush()
    write = os.write

    def torn(file: int, data: Any) -> int:
        write(file, data[: len(data) * 3 // 4])
        raise OSError(28, "No space left on device")

    def refuse(*_: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "write", torn)
    monkeypatch.setattr(os, "ftruncate", refuse)
    journal.append(trade(1))
    journal.append(trade(2))
    assert not journal.flush()
    assert [event.ts_recv for event in journal.read(9)] == [0]
    journal.release(1)
    monkeypatch.undo()
    assert read_all(journal) == [1, 2]
    assert (journal.corrupt, journal.records, journal.bytes) == (0, 0, 0)
    journal.close()


def test_an_earlier_run_under_a_larger_bound_is_read_and_nothing_more_taken_meanwhile(
    tmp_path: Path, trade: Make
) -> None:
    journal = Journal(tmp_path / "j", MIB)
    for number in range(100):
        journal.append(trade(number))
    journal.close()
    again = Journal(tmp_path / "j", 8 * 1024)
    assert not again.append(trade(100))
    assert read_all(again) == list(range(100))
    assert again.append(trade(100))
    again.close()


def test_what_was_damaged_or_went_away_of_an_earlier_run_is_told_from_what_was_of_this_one(
    tmp_path: Path, trade: Make, left: int
) -> None:
    journal = Journal(tmp_path / "j", MIB)
    files = sorted((tmp_path / "j").glob("*.spill"))
    files[0].write_bytes(files[0].read_bytes().replace(b"1.25", b"9.25", 2))
    gone = files[1].read_bytes().count(b"\n")
    files[1].unlink()
    for number in range(left, left + 10):
        journal.append(trade(number))
    journal.flush()
    newest = max((tmp_path / "j").glob("*.spill"))
    newest.write_bytes(newest.read_bytes().replace(b"1.25", b"9.25", 1))
    found = []
    while journal.records:
        found += read_all(journal)
    assert (journal.corrupt_before, journal.corrupt) == (2 + gone, 3 + gone)
    assert len(found) + journal.corrupt == left + 10
    journal.close()


@pytest.mark.parametrize("wrong_by", [-1, 1, 1_000_000])
def test_a_file_whose_name_cannot_be_true_is_read_from_its_start(tmp_path: Path, left: int, wrong_by: int) -> None:
    first = min((tmp_path / "j").glob("*.spill"))
    number, _, _ = first.name.partition("-")
    first.rename(first.with_name(f"{number}-{first.stat().st_size + wrong_by:012d}.spill"))
    for misnamed in (1, 0):  # its name is mended at once
        journal = Journal(tmp_path / "j", MIB)
        assert (journal.records, journal.misnamed) == (left, misnamed)
        journal.close()
    journal = Journal(tmp_path / "j", MIB)
    assert read_all(journal) == list(range(left))
    assert (journal.records, journal.bytes, journal.corrupt) == (0, 0, 0)
    journal.close()
    assert not list((tmp_path / "j").glob("*.spill"))
