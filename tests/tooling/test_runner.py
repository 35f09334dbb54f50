"""The runner behind `make run`, with real processes and real signals."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., Any]


def journal(tmp_path: Path) -> list[str]:
    return (tmp_path / "journal").read_text().splitlines()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_processes_start_one_by_one_and_stop_in_their_own_order(
    start: Start, stand_ins: Start, tmp_path: Path, number: int
) -> None:
    stack = start(stand_ins({"a": "obey", "b": "obey", "c": "obey"}, order="b c a"))
    stack.wait_for_line("all up")
    stack.popen.send_signal(number)
    assert stack.finish() == 0, stack.output
    assert journal(tmp_path) == ["start a", "start b", "start c", "term b", "term c", "term a"]
    assert stack.lines[-1].endswith("| all stopped")


def test_ctrl_c_in_the_terminal_does_not_reach_the_processes(start: Start, stand_ins: Start, tmp_path: Path) -> None:
    stack = start(stand_ins({"a": "obey", "b": "obey"}, order="b a"))
    stack.wait_for_line("all up")
    os.killpg(stack.popen.pid, signal.SIGINT)
    assert stack.finish() == 0
    assert journal(tmp_path)[2:] == ["term b", "term a"]


def test_output_carries_the_name_of_who_said_it(start: Start, stand_ins: Start) -> None:
    stack = start(stand_ins({"a": "obey", "longer": "obey"}, order="a longer"))
    stack.wait_for_line("all up")
    stack.popen.terminate()
    stack.finish()
    assert "a      | hello from a" in stack.lines
    assert "longer | hello from longer" in stack.lines


def test_a_process_that_dies_is_named_and_ends_everything(start: Start, stand_ins: Start, tmp_path: Path) -> None:
    stack = start(stand_ins({"a": "obey", "b": "die", "c": "obey"}, order="c b a"))
    assert stack.finish() == 1
    assert "b ended by itself (exit code 7)" in stack.lines[-1]
    assert journal(tmp_path) == ["start a", "start b", "term a"]


def test_a_process_killed_later_is_named_with_its_signal(
    start: Start, stand_ins: Start, is_running: Start, wait_until: Start
) -> None:
    stack = start(stand_ins({"a": "parent", "b": "obey"}, order="b a"))
    grandchild = int(stack.wait_for_line("grandchild").split()[-1])
    stack.wait_for_line("all up")
    os.kill(os.getpgid(grandchild), signal.SIGKILL)
    assert stack.finish() == 1
    assert "a ended by itself (signal SIGKILL)" in stack.lines[-1]
    wait_until(lambda: not is_running(grandchild))


def test_a_process_that_never_becomes_ready_ends_everything(start: Start, stand_ins: Start, tmp_path: Path) -> None:
    stack = start(stand_ins({"a": "obey", "b": "never", "c": "obey"}, order="c b a"))
    assert stack.finish() == 1
    assert "b is not ready after" in stack.lines[-1]
    assert journal(tmp_path) == ["start a", "start b", "term b", "term a"]


def test_a_process_that_ignores_the_request_is_killed_and_told_of(
    start: Start, stand_ins: Start, tmp_path: Path
) -> None:
    stack = start(stand_ins({"a": "obey", "b": "ignore"}, order="b a", patience=0.3))
    stack.wait_for_line("all up")
    stack.popen.send_signal(signal.SIGINT)
    assert stack.finish() == 1
    assert "b did not stop within" in stack.lines[-1]
    assert journal(tmp_path)[2:] == ["term b", "term a"]


def test_a_second_ctrl_c_does_not_wait_for_the_patience_to_end(start: Start, stand_ins: Start, tmp_path: Path) -> None:
    stack = start(stand_ins({"a": "obey", "b": "ignore"}, order="b a", patience=600))
    stack.wait_for_line("all up")
    stack.popen.send_signal(signal.SIGINT)
    stack.wait_for_line("Ctrl-C again")
    stack.popen.send_signal(signal.SIGINT)
    assert stack.finish() == 1
    assert "b did not stop within" in stack.output


def test_a_process_that_fails_while_stopping_is_told_of(start: Start, stand_ins: Start) -> None:
    stack = start(stand_ins({"a": "bad"}, order="a"))
    stack.wait_for_line("all up")
    stack.popen.send_signal(signal.SIGINT)
    assert stack.finish() == 1
    assert "a stopped badly" in stack.lines[-1]
    assert "(exit code 3)" in stack.lines[-1]


def test_what_a_process_started_itself_does_not_outlive_it(
    start: Start, stand_ins: Start, is_running: Start, wait_until: Start
) -> None:
    stack = start(stand_ins({"a": "parent"}, order="a"))
    grandchild = int(stack.wait_for_line("grandchild").split()[-1])
    stack.wait_for_line("all up")
    assert is_running(grandchild)
    stack.popen.send_signal(signal.SIGINT)
    assert stack.finish() == 0
    wait_until(lambda: not is_running(grandchild))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent was killed")
def test_killing_the_runner_ends_the_processes_too(
    start: Start, stand_ins: Start, tmp_path: Path, wait_until: Start
) -> None:
    stack = start(stand_ins({"a": "obey", "b": "obey"}, order="b a"))
    stack.wait_for_line("all up")
    stack.popen.kill()
    wait_until(lambda: sorted(journal(tmp_path)[2:]) == ["term a", "term b"])


def test_the_stack_stops_when_nobody_reads_its_output(start: Start, stand_ins: Start, tmp_path: Path) -> None:
    stack = start(stand_ins({"a": "obey", "b": "chatty"}, order="b a"))
    stack.wait_for_line("all up")
    stack.popen.stdout.close()
    stack.popen.stdout = None
    stack.popen.wait(timeout=30)
    assert journal(tmp_path)[2:] == ["term b", "term a"]
