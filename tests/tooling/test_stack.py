"""`make run`: the real NATS, simulator and services together, and what is said when they cannot run."""

from __future__ import annotations

import json
import re
import signal
import socket
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., Any]
OPTIONS = ("--nats-port", "--nats-monitor-port", "--sim-port", "--producer-port", "--consumer-port")
STOP_ORDER = ["market-data-service", "senpai-md-consumer", "exchange-sim", "nats-server"]


@pytest.fixture
def stack(root: Path, tmp_path: Path, free_ports: Start) -> Callable[..., list[str]]:
    """Command line of the stack on ports and a store of its own."""

    def command(*more: str, ports: list[int] | None = None) -> list[str]:
        chosen = zip(OPTIONS, ports or free_ports(len(OPTIONS)), strict=True)
        numbers = [word for option, port in chosen for word in (option, str(port))]
        return [sys.executable, str(root / "tools" / "stack.py"), "--data", str(tmp_path / "data"), *numbers, *more]

    return command


def test_a_taken_port_is_named_with_what_to_do(start: Start, stack: Start, free_ports: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = holder.getsockname()[1]
        refused = start(stack(ports=[*free_ports(4), taken]))
        assert refused.finish() == 2
    assert len(refused.lines) == 1
    assert f"port {taken} for senpai-md-consumer is taken" in refused.output
    assert "make run CONSUMER_PORT=" in refused.output
    assert f"lsof -i :{taken}" in refused.output


def test_one_port_for_two_is_refused(start: Start, stack: Start, free_ports: Start) -> None:
    one, two, three, four = free_ports(4)
    refused = start(stack(ports=[one, two, three, four, four]))
    assert refused.finish() == 2
    assert f"port {four} for senpai-md-consumer is wanted by market-data-service too" in refused.output


def test_a_port_that_is_no_number_is_refused_when_it_comes_from_the_environment(start: Start, root: Path) -> None:
    refused = start([sys.executable, str(root / "tools" / "stack.py")], env={"NATS_PORT": "many"})
    assert refused.finish() == 2
    assert "argument --nats-port: invalid int value: 'many'" in refused.output


def test_against_a_live_exchange_no_simulator_is_started(
    start: Start, stack: Start, free_ports: Start, is_running: Start
) -> None:
    """The provider is one that market-data-service does not know, so nothing leaves this machine."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        nats, monitor, producer, consumer = free_ports(4)
        ports = [nats, monitor, holder.getsockname()[1], producer, consumer]  # the simulator's port does not matter
        live = start(stack("--provider", "no-such-exchange", ports=ports))
        assert live.finish() == 1
    assert "exchange-sim" not in live.output
    assert "no-such-exchange" in live.output
    assert "market-data-service ended by itself (exit code 2)" in live.lines[-1]


def test_prices_flow_from_the_simulator_to_features_and_everything_stops_in_order(
    start: Start, stack: Start, free_ports: Start, is_running: Start, wait_until: Start
) -> None:
    ports = free_ports(len(OPTIONS))
    command = start(stack("--look-every", "0.5", ports=ports))
    command.wait_for_line("SIMULATED data: no price here is real")
    assert any("SIMULATION" in line for line in command.lines if line.startswith("exchange-sim"))
    features = re.compile(r"ETHUSDT +mid +[\d,]+\.\d\d ")
    while not features.search(command.wait_for_line("ETHUSDT")):
        pass
    with urllib.request.urlopen(f"http://127.0.0.1:{ports[-1]}/features/latest?symbol=BTCUSDT", timeout=5) as answer:
        assert json.load(answer)["features"]["mid"] > 0

    command.popen.send_signal(signal.SIGINT)
    assert command.finish() == 0, command.output
    stopped = re.findall(r"^stack +\| (\S+) stopped after [\d.]+ s \(exit code 0\)$", command.output, re.MULTILINE)
    assert stopped == STOP_ORDER
    for port in ports:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0, f"somebody still listens on {port}"
