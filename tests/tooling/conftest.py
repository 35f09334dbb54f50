"""Running tools as a person would: as commands, with signals, in an environment of their own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


class Command:
    """A started command whose output can be waited for."""

    def __init__(self, arguments: list[str], **options: Any) -> None:
        self.popen: subprocess.Popen[str] = subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True, **options
        )
        self.lines: list[str] = []

    def wait_for_line(self, part: str) -> str:
        """The first line (read from now on) that contains `part`; fails the test at the end of the output."""
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            self.lines.append(line.rstrip("\n"))
            if part in line:
                return self.lines[-1]
        raise AssertionError(f"no line with {part!r} in:\n" + "\n".join(self.lines))

    def finish(self) -> int:
        """Exit code, once the output is read to its end."""
        assert self.popen.stdout is not None
        self.lines += self.popen.stdout.read().splitlines()
        return self.popen.wait(timeout=60)

    @property
    def output(self) -> str:
        return "\n".join(self.lines)


@pytest.fixture
def root() -> Path:
    return ROOT


@pytest.fixture
def start() -> Iterator[Callable[..., Command]]:
    """Start a command; whatever still runs at the end of the test is killed."""
    started: list[Command] = []

    def start_one(arguments: list[str], **options: Any) -> Command:
        started.append(Command(arguments, **options))
        return started[-1]

    yield start_one
    for command in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(command.popen.pid, signal.SIGKILL)
        command.popen.wait()
        if command.popen.stdout:
            command.popen.stdout.close()


@pytest.fixture
def is_running() -> Callable[[int], bool]:
    """Whether a process (not merely its zombie) exists."""

    def ask(pid: int) -> bool:
        state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return bool(state.stdout.strip()) and not state.stdout.strip().startswith("Z")

    return ask


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], None]:
    def wait(condition: Callable[[], bool], within_s: float = 20) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.02)

    return wait


@pytest.fixture
def free_ports() -> Callable[[int], list[int]]:
    def find(count: int) -> list[int]:
        with contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
            for each in sockets:
                each.bind(("127.0.0.1", 0))
            return [each.getsockname()[1] for each in sockets]

    return find


STAND_IN = """
import signal, subprocess, sys, time
name, mode, journal = sys.argv[1:]

def tell(what):
    with open(journal, "a") as file:
        print(what, name, file=file)

def on_term(*_):
    tell("term")
    if mode != "ignore":
        sys.exit(3 if mode == "bad" else 0)

signal.signal(signal.SIGTERM, on_term)
signal.signal(signal.SIGINT, lambda *_: tell("int"))
if mode == "parent":
    print("grandchild", subprocess.Popen(["sleep", "600"]).pid)
print("hello from", name)  # before it is ready: afterwards the runner may be gone, and with it the pipe's reader
tell("start")
if mode == "die":
    sys.exit(7)
while True:
    time.sleep(0.05)
    if mode == "chatty":
        print("still here")
"""

STACK = """
import sys
sys.path.insert(0, {tools!r})
from pathlib import Path
from runner import Process, Runner

journal = Path({journal!r})

def process(name, mode):
    def not_ready():
        told = journal.read_text() if journal.exists() else ""
        return None if f"start {{name}}\\n" in told and mode != "never" else "nothing said"
    command = [sys.executable, "-u", {stand_in!r}, name, mode, str(journal)]
    return Process(name, command, not_ready, ready_within_s=20 if mode != "never" else 0.3, stop_within_s={patience})

modes = {modes!r}
runner = Runner([process(name, mode) for name, mode in modes.items()], stop_order={order!r})
sys.exit(runner.run(lambda: runner.say("all up")))
"""


@pytest.fixture
def stand_ins(tmp_path: Path) -> Callable[..., list[str]]:
    """Command that runs stand-in processes, each in the given mode, by the runner of `make run`.

    Each writes `start NAME` and, on SIGTERM, `term NAME` into `journal` of `tmp_path`.
    """

    def write(modes: dict[str, str], order: str, patience: float = 30) -> list[str]:
        stand_in = tmp_path / "stand_in.py"
        stand_in.write_text(STAND_IN)
        stack = tmp_path / "a_stack.py"
        stack.write_text(
            STACK.format(
                tools=str(ROOT / "tools"),
                journal=str(tmp_path / "journal"),
                stand_in=str(stand_in),
                patience=patience,
                modes=modes,
                order=order.split(),
            )
        )
        return [sys.executable, str(stack)]

    return write
