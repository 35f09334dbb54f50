import gzip
import json
from bisect import bisect_right
from pathlib import Path

import pytest

from exchange_sim import ExchangeSim, Move, Tape
from exchange_sim.shapes import write_tape


@pytest.mark.parametrize("sign", [1, -1])
def test_a_shaped_tape_moves_as_asked_and_is_calm_otherwise(tmp_path: Path, sign: int) -> None:
    path = tmp_path / "moves.gz"
    moves = [Move(at_s=20, size=0.005 * sign, over_s=5), Move(at_s=60, size=0.005 * sign, over_s=5)]
    lines = write_tape(path, seconds=90, moves={"BTCUSDT": moves}, rate=100)
    with gzip.open(path, "rt") as file:
        rows = [json.loads(line.partition(" ")[2]) for line in file]
    assert len(rows) == lines
    trades = [row["data"] for row in rows if row.get("stream") == "btcusdt@trade"]
    times = [row["T"] for row in trades]
    returns = []
    for row in trades:
        before = bisect_right(times, row["T"] - 10_000) - 1
        if before >= 0:
            returns.append(((row["T"] - times[0]) / 1000, float(row["p"]) / float(trades[before]["p"]) - 1))
    strong = [at_s for at_s, change in returns if change * sign > 0.003]
    assert all(22 < at_s < 33 or 62 < at_s < 73 for at_s in strong)
    assert min(strong) < 25 < 62 < max(strong)
    assert max(change * sign for _, change in returns) == pytest.approx(0.005, abs=0.0002)
    quiet = [abs(change) for at_s, change in returns if not 20 < at_s < 36 and not 60 < at_s < 76]
    assert max(quiet) < 0.001


def test_a_shaped_tape_is_a_tape_with_a_book(tmp_path: Path) -> None:
    path = tmp_path / "calm"
    write_tape(path, seconds=5, moves={"BTCUSDT": [], "ETHUSDT": []}, rate=100)
    sim = ExchangeSim(Tape(path))
    assert sim.survey is not None
    assert list(sim.symbols) == ["BTCUSDT", "ETHUSDT"]
    assert set(sim.survey.snapshots) == {"BTCUSDT", "ETHUSDT"}
    assert sim.survey.seconds == pytest.approx(5, abs=0.2)


def test_the_same_shape_is_written_the_same(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_tape(tmp_path / name, seconds=3, moves={"BTCUSDT": []})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
