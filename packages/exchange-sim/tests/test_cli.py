"""The command line in a process of its own."""

import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange_sim import Move
from exchange_sim.shapes import write_tape

COMMAND = [sys.executable, "-m", "exchange_sim"]


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def start(started: list[subprocess.Popen[str]], *options: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    started.append(process)
    return process


def first_lines(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline() for _ in range(3)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_that_it_is_a_simulation_answers_and_stops_at_once(
    started: list[subprocess.Popen[str]], unused_tcp_port: int, number: signal.Signals
) -> None:
    process = start(started, "--port", str(unused_tcp_port), "--symbols", "btcusdt, solusdt", "--rate", "50")
    lines = first_lines(process)
    assert lines[0].startswith("SIMULATION")
    assert "BTCUSDT, SOLUSDT" in lines[0]
    assert f"ws://127.0.0.1:{unused_tcp_port}" in lines[1]
    assert f"BINANCE_WS_URL=ws://127.0.0.1:{unused_tcp_port}" in lines[2]
    assert f"BYBIT_WS_URL=ws://127.0.0.1:{unused_tcp_port}" in lines[2]
    with urllib.request.urlopen(f"http://127.0.0.1:{unused_tcp_port}/sim/health", timeout=5) as reply:
        assert json.load(reply)["simulation"] is True
    asked = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "", "")
    assert time.monotonic() - asked < 3


def test_shares_and_coins_lead_to_alpaca(started: list[subprocess.Popen[str]], unused_tcp_port: int) -> None:
    lines = first_lines(start(started, "--port", str(unused_tcp_port), "--symbols", "aapl,btc/usd"))
    assert "AAPL, BTC/USD" in lines[0]
    assert f"ws://127.0.0.1:{unused_tcp_port}/v2/iex" in lines[1]
    assert f"ALPACA_WS_URL=ws://127.0.0.1:{unused_tcp_port}" in lines[2]
    assert "ALPACA_API_KEY=" in lines[2]
    assert "BINANCE" not in lines[2]


def test_a_taken_port_is_one_line_that_names_it(started: list[subprocess.Popen[str]], unused_tcp_port: int) -> None:
    first_lines(start(started, "--port", str(unused_tcp_port)))
    second = start(started, "--port", str(unused_tcp_port))
    out, err = second.communicate(timeout=20)
    assert (second.returncode, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert f"port {unused_tcp_port}" in err
    assert "--port" in err


def test_a_tape_is_described(started: list[subprocess.Popen[str]], unused_tcp_port: int, tmp_path: Path) -> None:
    path = tmp_path / "tape.gz"
    write_tape(path, seconds=4, moves={"BTCUSDT": [Move(1, 0.002, 2)]})
    process = start(started, "--port", str(unused_tcp_port), "--tape", str(path), "--speed", "0")
    lines = first_lines(process)
    assert "SIMULATION" in lines[0]
    assert "BTCUSDT" in lines[0]
    assert "event times moved to now" in lines[0]


def test_a_tape_of_bybit_leads_to_bybit_only(
    started: list[subprocess.Popen[str]], unused_tcp_port: int, tmp_path: Path
) -> None:
    path = tmp_path / "tape"
    path.write_text('1790000000000000000 {"topic":"publicTrade.XYUSDT","ts":1790000000000,"data":[]}\n')
    lines = first_lines(start(started, "--port", str(unused_tcp_port), "--tape", str(path)))
    assert "XYUSDT on bybit, 1 frames" in lines[0]
    assert f"ws://127.0.0.1:{unused_tcp_port}/v5/public/spot" in lines[1]
    assert "BYBIT_REST_URL=" in lines[2]
    assert "BINANCE" not in lines[2]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--tape", "nowhere.gz"], "cannot play nowhere.gz: No such file"),
        (["--symbols", " , "], "expected at least one symbol"),
        (["--tape", __file__], "line 1 is neither"),
        (["--times", "never", "--tape", "x"], "expected --times now or original"),
    ],
)
def test_a_wrong_option_is_one_line_and_exit_2(
    started: list[subprocess.Popen[str]], options: list[str], words: str
) -> None:
    process = start(started, "--port", "0", *options)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert words in err


def test_help_teaches(started: list[subprocess.Popen[str]]) -> None:
    out, _ = start(started, "--help").communicate(timeout=20)
    for word in (
        "Nothing it sends is real",
        "--tape",
        "--speed",
        "--seed",
        "--rate",
        "/sim/health",
        "/sim/control",
        "/v5/public/spot",
    ):
        assert word in out
