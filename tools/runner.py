"""Run processes together: start them one after another, each when the one before is ready; stop them in order.

Each process gets a session of its own, so a Ctrl-C in the terminal reaches us alone and the order is ours. One thread
per process prints its output with its name in front; everything else happens in the main thread, which polls.

Exit codes of `Runner.run`: 0 when everything stopped cleanly after being asked to, 1 otherwise.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from threading import Event, Lock, Thread
from types import FrameType
from typing import IO

POLL_S = 0.05
LONGEST_LINE = 64 * 1024
ORPHAN = Path(__file__).with_name("orphan.py")
COLOURS = ("36", "33", "35", "32", "34", "31")


@dataclass(frozen=True)
class Process:
    """What to run, and how to know that it is ready.

    `not_ready` returns None once the process is ready, else a few words about what is missing; it must return within
    a second or so. A process that is not ready after `ready_within_s` ends everything, unless it `may_lag`.
    Lines of its output that contain `hidden` are not shown.
    """

    name: str
    command: Sequence[str]
    not_ready: Callable[[], str | None]
    cwd: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    ready_within_s: float = 30.0
    may_lag: bool = False
    stop_within_s: float = 12.0
    hidden: str | None = None


class Output:
    """Prints whole lines, each with the name of who says it; in colour on a terminal. Safe to use from threads."""

    def __init__(self, names: Sequence[str]) -> None:
        self._width = max(map(len, names))
        in_colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self._colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)} if in_colour else {}
        self._lock = Lock()
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # whatever a process prints, printing must go on
        self.is_closed = False

    def line(self, name: str, text: str) -> None:
        start = f"{name:<{self._width}} |"
        if name in self._colours:
            start = f"\x1b[{self._colours[name]}m{start}\x1b[0m"
        with self._lock:
            if self.is_closed:
                return
            try:
                print(start, text, flush=True)
            except OSError:  # the reader is gone: `make run | head`, or a closed terminal
                self.is_closed = True
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Child:
    """A started process."""

    def __init__(self, process: Process, output: Output) -> None:
        self.process = process
        self.is_end_told = False
        self.popen = subprocess.Popen(
            [sys.executable, str(ORPHAN), str(os.getpid()), *process.command],
            cwd=process.cwd,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **process.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._printer = Thread(target=self._print, args=(self.popen.stdout, output), daemon=True)
        self._printer.start()

    def _print(self, lines: IO[bytes], output: Output) -> None:
        for line in iter(lambda: lines.readline(LONGEST_LINE), b""):
            text = line.decode(errors="replace").rstrip()
            if self.process.hidden is None or self.process.hidden not in text:
                output.line(self.process.name, text)

    def how_it_ended(self) -> str | None:
        """A few words; None while it runs."""
        code = self.popen.poll()
        if code is None:
            return None
        return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"

    def kill_group(self) -> None:
        """Kill it and everything it started that is left."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: not permitted when all are zombies
            os.killpg(self.popen.pid, signal.SIGKILL)

    def finish(self) -> None:
        """Wait for its end and for its last words."""
        self.kill_group()
        self.popen.wait()
        self._printer.join(timeout=2)


class Runner:
    """Runs `processes` until asked to stop or until one of them ends by itself."""

    def __init__(self, processes: Sequence[Process], stop_order: Sequence[str], me: str = "stack") -> None:
        self._processes = processes
        self._stop_order = stop_order
        self._me = me
        self._children: dict[str, Child] = {}
        self._failures: list[str] = []
        self.stopping = Event()  # for threads of others
        self._is_asked_to_stop = False
        self._interrupts = 0
        self._output = Output([me, *(process.name for process in processes)])

    def say(self, text: str) -> None:
        self._output.line(self._me, text)

    def run(self, when_up: Callable[[], None]) -> int:
        """Start all, call `when_up`, wait, stop all; returns the exit code."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        try:
            for process in self._processes:
                self._start(process)
                if self.is_ending():
                    break
            else:
                when_up()
            while not self.is_ending():
                time.sleep(POLL_S)
        finally:
            self._stop_all()
        return 1 if self._failures else 0

    def is_ending(self) -> bool:
        """Whether it is time to stop; notices processes that ended by themselves."""
        for child in self._children.values():
            self._tell_of_end(child)
        return bool(self._failures) or self._is_asked_to_stop or self._output.is_closed

    def ask_to_stop(self) -> None:
        self._is_asked_to_stop = True

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self.ask_to_stop()
        self._interrupts += number == signal.SIGINT  # SIGHUP and SIGTERM come together when a terminal is closed

    def _fail(self, text: str) -> None:
        self._failures.append(text)
        self.say(text)

    def _tell_of_end(self, child: Child) -> None:
        ended = child.how_it_ended()
        if ended and not child.is_end_told:
            child.is_end_told = True
            self._fail(f"{child.process.name} ended by itself ({ended}): see its last lines")

    def _start(self, process: Process) -> None:
        started = time.monotonic()
        child = self._children[process.name] = Child(process, self._output)
        while not self.is_ending():
            missing = process.not_ready()
            if child.how_it_ended() is not None:
                continue  # whoever answered was somebody else
            waited = time.monotonic() - started
            if missing is None:
                self.say(f"{process.name} is ready after {waited:.1f} s")
                return
            if waited > process.ready_within_s:
                text = f"{process.name} is not ready after {waited:.0f} s: {missing}"
                if process.may_lag:
                    self.say(f"{text}; going on, it may become ready later")
                else:
                    self._fail(text)
                return
            time.sleep(POLL_S)

    def _stop_all(self) -> None:
        self.stopping.set()
        if self._is_asked_to_stop:
            self.say("stopping (Ctrl-C again to hurry)")
        for name in self._stop_order:
            if name in self._children:
                self._stop(self._children[name])
        self.say("stopped after a failure: " + "; ".join(self._failures) if self._failures else "all stopped")

    def _stop(self, child: Child) -> None:
        """SIGTERM, then SIGKILL when it takes too long or somebody hurries."""
        self._tell_of_end(child)
        started = time.monotonic()
        if not child.is_end_told:
            child.popen.send_signal(signal.SIGTERM)
        while child.how_it_ended() is None and self._interrupts < 2:
            if time.monotonic() - started > child.process.stop_within_s:
                break
            time.sleep(POLL_S)
        ended = child.how_it_ended()
        child.finish()
        if child.is_end_told:
            return
        child.is_end_told = True
        waited = time.monotonic() - started
        if ended is None:
            self._fail(f"{child.process.name} did not stop within {waited:.1f} s and was killed")
        elif child.popen.returncode not in (0, -signal.SIGTERM):
            self._fail(f"{child.process.name} stopped badly after {waited:.1f} s ({ended}): see its last lines")
        else:
            self.say(f"{child.process.name} stopped after {waited:.1f} s ({ended})")
