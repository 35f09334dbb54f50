"""How much is held back before it is written, and that blocks and files are filled to the last byte."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.journal import Journal
from app.journal.folder import Folder
from app.journal.framing import frame
from app.journal.pieces import cut_to_pieces
from app.journal.writer import Writer
from md_contract.codec import encode
from md_contract.events import Trade

MIB = 1 << 20
RECORD = b"x" * 99 + b"\n"
Make = Callable[..., Trade]


def written(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.spill"))


def test_a_process_that_is_killed_loses_less_than_64_kib(tmp_path: Path, trade: Make) -> None:
    journal = Journal(tmp_path / "j", 64 * MIB)
    for number in range(2_000):
        journal.append(trade(number))
        assert journal.bytes - written(tmp_path / "j") < 64 * 1024
    assert written(tmp_path / "j")
    journal.close()


@pytest.mark.parametrize(("block_bytes", "records"), [(300, 3), (301, 4)])
def test_a_block_is_as_many_records_as_reach_its_size_one_after_the_other(
    tmp_path: Path, block_bytes: int, records: int
) -> None:
    writer = Writer(Folder(tmp_path / "j"), 1, MIB, block_bytes)
    for _ in range(3):
        for _ in range(records):
            assert not writer.has_block
            writer.add(RECORD)
        assert writer.has_block
        writer.flush()
    for _ in range(records - 1):
        writer.add(RECORD)
    assert writer.take_pending() == RECORD * (records - 1)
    writer.put_back(RECORD)
    for _ in range(records - 1):
        assert not writer.has_block
        writer.add(RECORD)
    assert writer.has_block
    writer.flush()
    assert written(tmp_path / "j") == 4 * records * len(RECORD)
    writer.finish()


def test_a_record_that_just_fits_is_taken(tmp_path: Path, trade: Make) -> None:
    size = len(frame(encode(trade(1))))
    journal = Journal(tmp_path / "bound", 8 * size)
    assert [journal.append(trade(1)) for _ in range(9)] == [True] * 8 + [False]
    assert journal.bytes == journal.max_bytes
    assert not journal.append(trade(1))
    assert journal.refused == 2
    journal.close()


def test_what_just_fits_at_the_front_is_taken(tmp_path: Path, trade: Make) -> None:
    size = len(frame(encode(trade(1))))
    journal = Journal(tmp_path / "j", 8 * size)
    assert journal.prepend([trade(1)] * 9) == [trade(1)]
    assert journal.bytes == journal.max_bytes
    journal.close()


def test_pieces_are_filled_to_the_last_byte(trade: Make) -> None:
    record = frame(encode(trade(1)))
    pieces, refused = cut_to_pieces([trade(1)] * 5, 2 * len(record))
    assert [data for data, _ in pieces] == [record * 2, record * 2, record]
    assert [len(held) for _, held in pieces] == [2, 2, 1]
    assert refused == []
