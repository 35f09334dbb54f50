"""Ctrl-C under make, in a real terminal: make must not see it, and must end with the recipe's own exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., Any]
CTRL_C = "\x03"
CTRL_Z = "\x1a"
IN_A_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"


@pytest.fixture
def make(tmp_path: Path, root: Path) -> Callable[[list[str]], list[str]]:
    """Command that runs another command from a Makefile, the way `make run` does."""

    def write(command: list[str]) -> list[str]:
        foreground = [sys.executable, str(root / "tools" / "foreground.py"), *command]
        recipe = " ".join(f"'{word}'" for word in foreground)
        (tmp_path / "Makefile").write_text(f"run:\n\t@exec {recipe}\n\t@echo next line of the recipe\n")
        return ["make", "-C", str(tmp_path), "--no-print-directory", "run"]

    return write


def test_ctrl_c_stops_the_stack_in_order_and_make_ends_with_0(
    start: Start, stand_ins: Start, make: Start, tmp_path: Path
) -> None:
    command = make(stand_ins({"a": "obey", "b": "obey"}, order="b a"))
    terminal = start([sys.executable, "-c", IN_A_TERMINAL, *command], stdin=-1)
    terminal.wait_for_line("all up")
    terminal.popen.stdin.write(CTRL_Z + CTRL_C)
    terminal.popen.stdin.flush()
    terminal.wait_for_line("next line of the recipe")  # make went on as after any recipe line that succeeded
    terminal.popen.stdin.close()
    assert terminal.finish() == 0, terminal.output
    assert (tmp_path / "journal").read_text().splitlines()[2:] == ["term b", "term a"]


def test_a_failure_reaches_make_through_the_terminal(start: Start, stand_ins: Start, make: Start) -> None:
    command = make(stand_ins({"a": "die"}, order="a"))
    terminal = start([sys.executable, "-c", IN_A_TERMINAL, *command], stdin=-1)
    terminal.wait_for_line("Error 1")
    terminal.popen.stdin.close()
    assert terminal.finish() == 2  # make's own code for a failed recipe


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_without_a_terminal_a_signal_to_the_group_stops_the_stack_in_order(
    start: Start, stand_ins: Start, make: Start, tmp_path: Path, number: int
) -> None:
    stack = start(make(stand_ins({"a": "obey", "b": "obey"}, order="b a")))
    stack.wait_for_line("all up")
    os.killpg(stack.popen.pid, number)
    stack.wait_for_line("all stopped")
    stack.finish()
    assert (tmp_path / "journal").read_text().splitlines()[2:] == ["term b", "term a"]


def test_terminating_make_alone_stops_the_stack_in_order(
    start: Start, stand_ins: Start, make: Start, tmp_path: Path
) -> None:
    stack = start(make(stand_ins({"a": "obey", "b": "obey"}, order="b a")))
    stack.wait_for_line("all up")
    stack.popen.terminate()
    stack.wait_for_line("all stopped")
    stack.finish()
    assert (tmp_path / "journal").read_text().splitlines()[2:] == ["term b", "term a"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent was killed")
def test_killing_make_stops_the_stack_in_order(start: Start, stand_ins: Start, make: Start, tmp_path: Path) -> None:
    stack = start(make(stand_ins({"a": "obey", "b": "obey"}, order="b a")))
    stack.wait_for_line("all up")
    stack.popen.kill()
    stack.wait_for_line("all stopped")
    assert (tmp_path / "journal").read_text().splitlines()[2:] == ["term b", "term a"]


def test_a_command_that_does_not_exist_is_named(start: Start, root: Path) -> None:
    missing = start([sys.executable, str(root / "tools" / "foreground.py"), "no-such-command"])
    assert missing.finish() == 127
    assert missing.output == "no-such-command: No such file or directory"
