"""The journal against a disk that is really full, and a process that is really killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.bus import NATS, Bus
from app.journal import Journal
from md_contract.events import Event, Trade

MIB = 1 << 20
SERVICE = Path(__file__).parents[2]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    if not sys.platform.startswith("linux"):
        pytest.skip("tmpfs is Linux's")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount a small file system here: {done.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_disk_saturates_the_buffer_and_loses_nothing_and_room_ends_it(
    small_disk: Path, trade: Callable[..., Trade]
) -> None:
    taken: list[int] = []
    room = 0

    def take(event: Event) -> bool:
        if len(taken) >= room:
            return False
        taken.append(event.ts_recv)
        return True

    other = small_disk / "other"
    other.write_bytes(bytes(100 * 1024))
    told: list[bool] = []
    bus = Bus(told.append)
    journal = Journal(small_disk / "j", 8 * MIB)
    buffer = bus.attach("sink", take, 100, NATS, journal)
    account = buffer.accounts[Trade]
    sent = 0
    while not buffer.saturated:
        bus.publish(trade(sent))
        sent += 1
        assert account.difference == 0
    assert journal.write_errors > 0
    assert "No space left on device" in (journal.last_error or "")
    assert 500 < account.spilled < sent
    for _ in range(50):  # what was read before the sockets stopped
        bus.publish(trade(sent))
        sent += 1
    other.unlink()
    room = 120
    buffer.drain(1000)
    assert not buffer.saturated, "its memory is on the disk now"
    for _ in range(200):
        bus.publish(trade(sent))
        sent += 1
    assert told == [True, False]
    room = sent
    while buffer.drain(512):
        assert account.difference == 0
    assert taken == list(range(sent))
    assert account.delivered == sent
    assert buffer.empty
    journal.close()


WRITER = """
import sys
from pathlib import Path
from app.journal import Journal
from md_contract.events import Trade
journal = Journal(Path(sys.argv[1]), 64 << 20)
number = 0
while journal.append(Trade("x", "BTCUSDT", number, "1", "1", str(number))):
    number += 1
    if number % 500 == 0:
        journal.flush()
        print(number, flush=True)
"""


def test_a_process_killed_while_it_appends_loses_no_more_than_what_was_not_flushed(
    tmp_path: Path, on_disk: Callable[[Path], list[int]]
) -> None:
    for attempt in range(8):
        folder = tmp_path / str(attempt)
        child = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], cwd=SERVICE, stdout=subprocess.PIPE)
        assert child.stdout is not None
        for _ in range(3 + 7 * attempt):
            flushed = int(child.stdout.readline())
        os.kill(child.pid, signal.SIGKILL)
        flushed = max([flushed, *(int(line) for line in child.stdout.read().splitlines() if line)])
        child.stdout.close()
        child.wait()
        there = on_disk(folder)
        assert there == list(range(len(there)))
        assert flushed <= len(there)
        journal = Journal(folder, 64 * MIB)
        assert journal.records == len(there)
        found: list[int] = []
        while events := journal.read(1000):
            journal.release(len(events))
            found += [event.ts_recv for event in events]
        assert found == there
        assert journal.corrupt == 0
        journal.close()


READER = """
import sys
from pathlib import Path
from app.journal import Journal
journal = Journal(Path(sys.argv[1]), 64 << 20)
while events := journal.read(256):
    for event in events:
        print(f"{event.ts_recv:>100}", flush=True)  # a full pipe holds some hundred of them
    journal.release(len(events))
"""


def test_a_process_killed_while_it_hands_over_repeats_one_batch_at_most_and_skips_nothing(
    tmp_path: Path, trade: Callable[..., Trade], on_disk: Callable[[Path], list[int]]
) -> None:
    folder, total = tmp_path / "j", 30_000
    journal = Journal(folder, 64 * MIB)
    for number in range(total):
        journal.append(trade(number))
    journal.close()
    heard: list[int] = []
    for lines in (100, 300, 5_000, 9_999):
        child = subprocess.Popen([sys.executable, "-c", READER, str(folder)], cwd=SERVICE, stdout=subprocess.PIPE)
        assert child.stdout is not None
        heard += [int(child.stdout.readline()) for _ in range(lines)]
        os.kill(child.pid, signal.SIGKILL)
        heard += [int(line) for line in child.stdout.read().split(b"\n")[:-1]]
        child.stdout.close()
        child.wait()
        left = on_disk(folder)
        assert left == list(range(left[0], total))
        assert 0 <= heard[-1] + 1 - left[0] <= 256
    assert set(heard) == set(range(heard[-1] + 1))
