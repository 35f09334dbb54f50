"""What the tests of the journal share: events to put in, and a second opinion on what lies in its folder."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import pytest

from md_contract.events import Trade


def make_trade(number: int, padding: int = 0) -> Trade:
    return Trade("x", "BTCUSDT", number, "1.25", "0.5", str(number) + "0" * padding)


def numbers_on_disk(folder: Path) -> list[int]:
    """`ts_recv` of what a reader of these files would find, by the description of the format alone."""
    found = []
    for file in sorted(folder.glob("*.spill")):
        done = int(re.fullmatch(r"\d{12}-(\d{12})\.spill", file.name)[1])  # type: ignore[index]  # it has that name
        *lines, _torn = file.read_bytes()[done:].split(b"\n")
        for line in lines:
            assert int(line[:8], 16) == crc32(line[9:])
            found.append(json.loads(line[9:])["ts_recv"])
    return found


@pytest.fixture
def trade() -> Callable[..., Trade]:
    return make_trade


@pytest.fixture
def on_disk() -> Callable[[Path], list[int]]:
    return numbers_on_disk
