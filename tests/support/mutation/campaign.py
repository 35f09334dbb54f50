"""All mutants of some modules: which tests may notice each, run them, a few at a time, and tell what survived."""

import ast
import json
import os
import signal
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from mutation.mutants import Mutant, mutants
from mutation.trial import Replacement, fork, parse, run_tests, watch_tests

POLL_S: Final = 0.005
SLOWER: Final = 10  # than all of its tests, watched: it will never end
KILLERS: Final = 6  # so many of the tests that killed the last mutants are run before all others
WATCH_LIMIT_S: Final = 1_800.0  # all tests once, watched
FAILED: Final = (1, 2)  # pytest: a test failed, or a test file could not be imported


class CheckError(RuntimeError):
    """The check itself cannot be done."""


@dataclass(frozen=True)
class Target:
    """A module to break."""

    name: str
    path: Path


@dataclass
class Trial:
    """One mutant, and what became of it."""

    target: Target
    mutant: Mutant
    source: str  # its line
    block: int = 0  # first line of the function that it is in
    tests: list[str] = field(default_factory=list)
    limit_s: float = 0.0  # for all of its tests
    test_limit_s: float = 0.0  # for one of them
    outcome: str = "untested"  # or `killed`, `timeout`, `survived`

    @property
    def where(self) -> str:
        return f"{self.target.path}:{self.mutant.line}:{self.mutant.column + 1}"


@dataclass
class Coverage:
    """Which tests run which lines, and how long each takes."""

    seconds: dict[str, float]
    runs: dict[tuple[str, int], set[str]]

    def tests_of(self, target: Target, tree: ast.Module, line: int) -> list[str]:
        """Those that run the line, the quickest first; of one that runs at import, all: its module's first."""
        path = str(target.path)
        found: set[str] = set()
        users: set[str] = set()
        for first, last in _blocks(tree, line):
            found = {test for at in range(first, last + 1) for test in self.runs.get((path, at), ())}
            if found or (first, last) != (line, line):
                break
        else:
            users = {test for (file, _), tests in self.runs.items() if file == path for test in tests}
            found = set(self.seconds)
        return sorted(found, key=lambda test: (test not in users, self.seconds[test]))


def _blocks(tree: ast.Module, line: int) -> Iterator[tuple[int, int]]:
    """The line, if it is in a function, and then the body of that function."""
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body[0].lineno <= line <= (node.end_lineno or 0)
    ]
    if around:
        yield line, line
        inner = max(around, key=lambda node: node.lineno)
        yield inner.body[0].lineno, inner.end_lineno or 0


def observe(targets: Iterable[Target], tests: list[str]) -> Coverage:
    """Run all tests once, unbroken. Raises `CheckError` when they fail as they are."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        pid = fork(lambda: watch_tests(tests, [target.path for target in targets], report), WATCH_LIMIT_S)
        _, status = os.waitpid(pid, 0)
        if os.waitstatus_to_exitcode(status) != 0:
            code = os.waitstatus_to_exitcode(status)
            raise CheckError(f"the tests fail without any change (pytest: {code}): run pytest {' '.join(tests)}")
        seen = json.loads(report.read_text())
    runs: dict[tuple[str, int], set[str]] = {}
    for test, what in seen.items():
        for file, line in what["lines"]:
            runs.setdefault((file, line), set()).add(test)
    return Coverage({test: what["seconds"] for test, what in seen.items()}, runs)


def plan(targets: Iterable[Target], coverage: Coverage, least_limit_s: float) -> list[Trial]:
    """One trial per mutant."""
    trials = []
    for target in targets:
        tree, lines = parse(target.path), target.path.read_text().splitlines()
        for mutant in mutants(tree):
            trial = Trial(target, mutant, lines[mutant.line - 1].strip())
            trial.block = [0, *(first for first, _ in _blocks(tree, mutant.line))][-1]
            trial.tests = coverage.tests_of(target, tree, mutant.line)
            seconds = [coverage.seconds[test] for test in trial.tests]
            trial.limit_s = least_limit_s + SLOWER * sum(seconds)
            trial.test_limit_s = least_limit_s + SLOWER * max(seconds, default=0)
            trials.append(trial)
    return trials


class Killers:
    """The tests that killed the last mutants of each module."""

    def __init__(self) -> None:
        self._last: dict[Path, list[tuple[int, str]]] = {}  # the newest first, with the block of their mutant

    def batches(self, trial: Trial) -> list[list[str]]:
        """The tests of a trial: first those that may well kill it (of its own function first), then the others."""
        known, tests = self._last.get(trial.target.path, []), set(trial.tests)
        ordered = sorted(known, key=lambda killer: killer[0] != trial.block)
        first = list(dict.fromkeys(test for _, test in ordered if test in tests))[:KILLERS]
        return [first, [test for test in trial.tests if test not in first]]

    def note(self, trial: Trial, test: str) -> None:
        last = self._last.setdefault(trial.target.path, [])
        if (trial.block, test) in last:
            last.remove((trial.block, test))
        last.insert(0, (trial.block, test))


def carry_out(trials: Iterable[Trial], workers: int) -> Iterator[Trial]:
    """Run the trials, `workers` at a time; yield each when it is over."""
    waiting, killers = iter(trials), Killers()
    running: dict[int, tuple[Trial, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            while True:
                for trial in waiting:
                    if not trial.tests:
                        yield trial
                        continue
                    pid = _start(trial, killers.batches(trial), Path(folder))
                    running[pid] = trial, time.monotonic() + trial.limit_s
                    if len(running) >= workers:
                        break
                if not running:
                    return
                for pid, trial in _reap(running):
                    report = Path(folder, str(pid))
                    if report.exists():
                        killers.note(trial, report.read_text())
                    yield trial
        finally:
            for pid in running:
                _kill(pid)


def _start(trial: Trial, batches: list[list[str]], folder: Path) -> int:
    def work() -> int:
        path = trial.target.path
        code = trial.mutant.compile(parse(path), str(path))
        replacement = Replacement(trial.target.name, path, code)
        return run_tests(batches, replacement, folder / str(os.getpid()), trial.test_limit_s)

    return fork(work, trial.limit_s)


def _reap(running: dict[int, tuple[Trial, float]]) -> Iterator[tuple[int, Trial]]:
    """Wait until at least one is over."""
    over: list[tuple[int, Trial]] = []
    while not over:
        for pid, (trial, deadline) in list(running.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended and time.monotonic() < deadline:
                continue
            if not ended:
                _kill(pid)
            del running[pid]
            trial.outcome = _outcome(trial, os.waitstatus_to_exitcode(status)) if ended else "timeout"
            over.append((pid, trial))
        time.sleep(POLL_S if not over else 0)
    yield from over


def _kill(pid: int) -> None:
    """End a child and all that it started."""
    with suppress(ProcessLookupError):  # not a group of its own yet
        os.killpg(pid, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _outcome(trial: Trial, code: int) -> str:
    if code == 0:
        return "survived"
    if code == -signal.SIGPROF:
        return "timeout"
    if code in FAILED or code < 0:  # below zero: ended by a signal, out of memory
        return "killed"
    raise CheckError(f"{trial.where}: pytest ended with {code} for {trial.mutant.change}")
