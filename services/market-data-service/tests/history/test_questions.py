"""The questions against exact arithmetic, in every form an answer can have, and the documentation's own examples."""

import csv
import json
import os
import random
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import duckdb
import pytest
from typer.testing import CliRunner

from app.cli import app
from md_contract.events import Heartbeat, Trade

SERVICE = Path(__file__).resolve().parents[2]
DOCS = SERVICE.parents[1] / "docs" / "recorded-data.md"
MINUTE = 60 * 10**9
START = 490_000 * 60 * MINUTE  # 2025-11-24T16:00Z


def make_trades() -> list[Trade]:
    chance = random.Random(11)
    trades = []
    for n in range(2_000):
        ts = START + chance.randrange(20) * MINUTE + chance.randrange(MINUTE)
        price = f"{chance.randrange(60_000_00, 61_000_00) / 100:.2f}"
        size = f"{chance.randrange(1, 10**6) / 10**5:.5f}"
        symbol = chance.choice(["BTCUSDT", "ETHUSDT"])
        provider = "bybit" if n % 10 == 0 else "binance"
        trades.append(Trade(provider, symbol, ts + 7, price, size, side="buy", trade_id=f"{n:06d}", ts_event=ts))
    return trades


def batch_vwap(trades: list[Trade], *, by_provider: bool) -> dict[tuple[Any, ...], tuple[float, float, int]]:
    """VWAP, volume and count per minute of BTCUSDT, in fractions."""
    groups = defaultdict(list)
    for trade in trades:
        if trade.symbol == "BTCUSDT":
            assert trade.ts_event is not None
            key = (trade.ts_event // MINUTE * MINUTE,) + ((trade.provider,) if by_provider else ())
            groups[key].append((Fraction(Decimal(trade.price)), Fraction(Decimal(trade.size))))
    return {
        key: (float(sum(p * s for p, s in rows) / sum(s for _, s in rows)), float(sum(s for _, s in rows)), len(rows))
        for key, rows in groups.items()
    }


@pytest.fixture
async def stored(recorded: Any, tmp_path: Path) -> list[Trade]:
    trades = make_trades()
    beats = [Heartbeat("binance", "__system__", START + n * 5 * 10**9, "live", 0, False) for n in range(720)]
    async with recorded() as store:
        await store.put([*trades, *beats])
    return trades


class Answer(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Answer]:
    """`python -m app ...` in a folder of its own, in this process."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, url: str = f"sqlite+aiosqlite:///{tmp_path}/market.db") -> Answer:
        monkeypatch.setenv("STORAGE_URL", url)
        result = CliRunner().invoke(app, arguments)
        return Answer(result.exit_code, result.stdout, result.stderr)

    return run


Ask: TypeAlias = Callable[..., Answer]
SPAN = ("--symbol", "btcusdt", "--since", "2025-11-24T16:05", "--until", "2025-11-24T18:15+02:00")


def test_trades_between_two_times_as_csv(stored: list[Trade], ask: Ask, tmp_path: Path) -> None:
    answer = ask("query", "trades", *SPAN, "--format", "csv")
    assert answer.returncode == 0, answer.stderr
    rows = list(csv.DictReader(answer.stdout.splitlines()))
    expected = sorted(
        (trade.ts_event, trade.trade_id, trade.price, trade.size, trade.provider)
        for trade in stored
        if trade.symbol == "BTCUSDT" and trade.ts_event and START + 5 * MINUTE <= trade.ts_event < START + 15 * MINUTE
    )
    assert [(int(r["ts"]), r["trade_id"], r["price"], r["size"], r["provider"]) for r in rows] == expected


def test_trades_of_one_provider_as_parquet(stored: list[Trade], ask: Ask, tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "trades.parquet"
    answer = ask("query", "trades", *SPAN, "--provider", "bybit", "--format", "parquet", "--output", str(path))
    assert answer.returncode == 0, answer.stderr
    rows = duckdb.execute(f"SELECT ts, price, price_exact, provider FROM '{path}' ORDER BY ts").fetchall()
    expected = sorted(
        (trade.ts_event, float(trade.price), None, "bybit")
        for trade in stored
        if (trade.symbol, trade.provider) == ("BTCUSDT", "bybit")
        and trade.ts_event
        and START + 5 * MINUTE <= trade.ts_event < START + 15 * MINUTE
    )
    assert rows == expected
    assert f"{len(expected)} rows in {path}" in answer.stderr


def test_vwap_per_minute(stored: list[Trade], ask: Ask, tmp_path: Path) -> None:
    answer = ask(
        "query", "vwap", "--symbol", "BTCUSDT", "--since", "2025-11-24", "--until", "2025-11-25",
        "--format", "csv",
    )  # fmt: skip
    expected = batch_vwap(stored, by_provider=True)
    found = {
        (int(row["minute"]), row["provider"]): (float(row["vwap"]), float(row["volume"]), int(row["trades"]))
        for row in csv.DictReader(answer.stdout.splitlines())
    }
    assert found.keys() == expected.keys()
    for key, (vwap, volume, count) in expected.items():
        assert found[key][:2] == pytest.approx((vwap, volume), rel=1e-12, abs=0)
        assert found[key][2] == count


def test_a_table_is_short_and_says_so(stored: list[Trade], ask: Ask, tmp_path: Path) -> None:
    answer = ask("query", "trades", *SPAN)
    lines = answer.stdout.splitlines()
    assert lines[0].split() == ["ts", "price", "size", "side", "trade_id", "provider", "backfill"]
    assert lines[1].startswith("2025-11-24T16:05:")
    assert len(lines) == 52
    assert "these are the first 50" in lines[-1]
    assert len(ask("query", "trades", *SPAN, "--limit", "3").stdout.splitlines()) == 5


@pytest.mark.parametrize(
    "command", [("query", "trades", "--symbol", "BTCUSDT"), ("query", "vwap", "--symbol", "BTCUSDT"), ("completeness",)]
)
def test_a_time_with_nothing_in_it_is_said_to_be_so(stored: list[Trade], ask: Ask, command: tuple[str, ...]) -> None:
    answer = ask(*command, "--since", "2001-01-01", "--until", "2001-01-02")
    assert (answer.returncode, answer.stdout) == (0, "nothing is stored in this time\n")


def test_the_report(stored: list[Trade], ask: Ask, tmp_path: Path) -> None:
    span = ("--since", "2025-11-24T16:00", "--until", "2025-11-24T17:00")
    table = ask("completeness", *span).stdout.splitlines()
    assert table[0].split()[:5] == ["hour", "symbol", "trades", "quotes", "books"]
    assert len(table) == 3
    answer = ask("completeness", *span, "--format", "json", "--at-least", "99")
    reports = json.loads(answer.stdout)
    assert [report["symbol"] for report in reports] == ["BTCUSDT", "ETHUSDT"]
    assert [report["trades"] for report in reports] == [
        sum(trade.symbol == symbol for trade in stored) for symbol in ("BTCUSDT", "ETHUSDT")
    ]
    assert answer.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("query", "trades", "--symbol", "XRPUSDT"), 1, "nothing is stored of 'XRPUSDT'; there is: BTCUSDT, ETHUSDT"),
        (("query", "trades", "--symbol", "BTCUSDT", "--since", "noon"), 2, "expected a time like 2026-01-31"),
        (("query", "vwap", "--symbol", "BTCUSDT", "--since", "1h", "--until", "2h"), 2, "--since 1h is not before"),
        (("query", "vwap", "--symbol", "BTCUSDT", "--format", "parquet"), 2, "add --output FILE.parquet"),
        (("archive", "--types", "trade,ticks"), 2, "found ticks"),
    ],
)
def test_what_cannot_be_asked_is_told_in_one_line(
    stored: list[Trade], ask: Ask, arguments: tuple[str, ...], code: int, message: str
) -> None:
    answer = ask(*arguments)
    assert (answer.returncode, answer.stdout) == (code, "")
    assert message in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_a_file_that_cannot_be_made_is_told_in_one_line(stored: list[Trade], ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    answer = ask("query", "trades", *SPAN, "--format", "csv", "--output", str(tmp_path / "file" / "trades.csv"))
    assert (answer.returncode, answer.stderr) == (1, f"{tmp_path}/file: File exists\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
@pytest.mark.parametrize(
    "command",
    [("query", "trades", *SPAN), ("completeness", "--since", "2025-11-24T16:00", "--until", "2025-11-24T17:00")],
)
def test_a_full_disk_behind_the_output_is_told_in_one_line(
    stored: list[Trade], tmp_path: Path, command: tuple[str, ...]
) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/market.db"
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "app", *command],
            cwd=SERVICE, env={**os.environ, "STORAGE_URL": url}, stdout=full, stderr=subprocess.PIPE, text=True,
            timeout=60, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "output: No space left on device\n")


def test_without_a_store(ask: Ask, tmp_path: Path) -> None:
    for url, message in (("", "STORAGE_URL is empty"), ("sqlite+aiosqlite:///nowhere.db", "there is no such file")):
        answer = ask("query", "trades", "--symbol", "BTCUSDT", url=url)
        assert (answer.returncode, message in answer.stderr) == (2, True), answer.stderr
        assert len(answer.stderr.splitlines()) == 1
    assert not (tmp_path / "nowhere.db").exists()


def test_a_store_that_is_away_is_a_failure_and_no_wrong_setting(ask: Ask) -> None:
    url = "postgresql+asyncpg://me:canary@127.0.0.1:1/market"
    answer = ask("query", "trades", "--symbol", "BTCUSDT", url=url)
    assert answer.returncode == 1
    assert "is it running?" in answer.stderr
    assert "canary" not in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_a_table_in_a_file_says_elsewhere_that_it_was_cut(stored: list[Trade], ask: Ask, tmp_path: Path) -> None:
    answer = ask("query", "trades", *SPAN, "--output", str(tmp_path / "t.txt"))
    assert "these are the first 50" in answer.stderr
    assert "these are the first 50" in (tmp_path / "t.txt").read_text()


def test_the_archive_command_and_the_documented_readers(stored: list[Trade], ask: Ask, tmp_path: Path) -> None:
    first = ask("archive", "--types", "trade")
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("2,000 rows of 1 hours in 1 files")
    assert "done: trade 2025-11-24T16h" in first.stderr
    assert ask("archive", "--types", "trade").stdout.startswith("0 rows of 0 hours")
    expected = batch_vwap(stored, by_provider=False)
    examples = dict(re.findall(r"```python (\w+)\n(.*?)```", DOCS.read_text(), re.DOTALL))
    assert examples.keys() == {"duckdb", "polars"}
    for code in examples.values():
        script = "import os\n" + code + "\nfor row in vwap: print(row[1].isoformat(), *row[2:])\n"
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
        )
        rows = [line.split() for line in done.stdout.splitlines()]
        assert len(rows) == len(expected)
        for (minute,), (vwap, volume, count) in sorted(expected.items()):
            shown = f"2025-11-24T16:{(minute - START) // MINUTE:02d}:00"
            [row] = [row for row in rows if row[0] == shown]
            assert (float(row[1]), float(row[2])) == pytest.approx((vwap, volume), rel=1e-9, abs=0)
            assert int(row[3]) == count
