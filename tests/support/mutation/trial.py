"""One run of pytest in a forked process, with a module replaced or watched. The parent has the libraries loaded."""

import ast
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterable
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, NoReturn

import hypothesis
import pytest

EXAMPLES: Final = 40
OPTIONS: Final = (
    *("-x", "-q", "--no-header", "--tb=no", "-p", "no:cacheprovider"),
    "--assert=plain",  # nobody reads why a test fails
    *("-k", "not recorded"),  # they need recordings, which are not everywhere, and are slow
)
MEMORY_BYTES: Final = 4 << 30  # a mutant may forget to stop


def fork(work: Callable[[], int], limit_s: float) -> int:
    """Do `work` in a silent child process of a group of its own; return its pid. What work returns is its exit code.

    It ends by itself when it has worked for `limit_s`, also if nobody waits for it any more.
    """
    pid = os.fork()
    if pid == 0:
        _be_child(work, round(limit_s) + 1)
    return pid


def _be_child(work: Callable[[], int], cpu_s: int) -> NoReturn:
    code = 70
    try:
        os.setsid()
        silence = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(silence, stream)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
        code = work()
    finally:
        os._exit(code)


class Replacement(MetaPathFinder):
    """Gives the code of one module, in place of its file."""

    def __init__(self, name: str, path: Path, code: CodeType) -> None:
        self.name = name
        self._path = path
        self._code = code

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        code = self._code

        class Loader(SourceFileLoader):
            def get_code(self, fullname: str) -> CodeType:
                return code

        return spec_from_file_location(fullname, self._path, loader=Loader(fullname, str(self._path)))


def run_tests(batches: Iterable[list[str]], replacement: Replacement, report: Path, limit_s: float) -> int:
    """Run these tests, a batch after the other, until one fails; return pytest's exit code.

    The name of the test that failed is written to `report`. The process is ended by SIGPROF when a test computes for
    longer than `limit_s`.
    """
    sys.meta_path.insert(0, replacement)
    code = 0
    for tests in batches:
        if tests and code == 0:
            failure = Failure(report, limit_s)
            code = int(pytest.main([*OPTIONS, *tests], plugins=[Profile(), failure]))
            if failure.at_import:
                return int(pytest.ExitCode.INTERRUPTED)  # what pytest says depends on how the test was named
    return code


class Profile:
    """A pytest plugin that makes Hypothesis the same every time, short, and not look for the simplest failure.

    Fewer examples can only miss a change that more would notice, so what is called killed is.
    """

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:  # after every conftest.py above the tests has set its own
        phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
        hypothesis.settings.register_profile(
            "mutation", derandomize=True, database=None, deadline=None, max_examples=EXAMPLES, phases=phases
        )
        hypothesis.settings.load_profile("mutation")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Shorten the tests as well that say themselves how many examples they want."""
        for item in items:
            test: Any = getattr(item, "obj", None)
            wish = getattr(test, "_hypothesis_internal_use_settings", None)
            if wish is not None and wish.max_examples > EXAMPLES:
                test._hypothesis_internal_use_settings = hypothesis.settings(wish, max_examples=EXAMPLES)


class Failure:
    """A pytest plugin that writes down the test that failed, and ends one that would never end."""

    def __init__(self, report: Path, limit_s: float) -> None:
        self._limit_s = limit_s
        self.at_import = False  # a test file could not even be imported
        self._report = report
        self._name = ""

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.at_import |= report.failed

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self._name = name_of(item)
        signal.setitimer(signal.ITIMER_PROF, self._limit_s)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._report.write_text(self._name)


class Watch:
    """A pytest plugin that writes down how long each test takes, and which lines of some files it runs."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._files = {str(path) for path in files}
        self._lines: set[tuple[str, int]] = set()
        self.tests: dict[str, dict[str, Any]] = {}

    def _trace(self, frame: FrameType, event: str, arg: object) -> Any:
        if frame.f_code.co_filename not in self._files:
            return None
        self._lines.add((frame.f_code.co_filename, frame.f_lineno))
        return self._trace

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        self._lines = set()
        began = time.perf_counter()
        sys.settrace(self._trace)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            self.tests[name_of(item)] = {"seconds": time.perf_counter() - began, "lines": sorted(self._lines)}


def name_of(item: pytest.Item) -> str:
    """The name that pytest finds a test by, wherever its root is."""
    return f"{item.path}::{item.nodeid.partition('::')[2]}"


def watch_tests(tests: Iterable[str], files: Iterable[Path], report: Path) -> int:
    """Run all of these tests and write what `Watch` saw to `report`; return pytest's exit code."""
    watch = Watch(files)
    code = int(pytest.main([*OPTIONS, *tests], plugins=[watch, Profile()]))
    report.write_text(json.dumps(watch.tests))
    return code


def parse(path: Path) -> ast.Module:
    """The tree of a source file."""
    return ast.parse(path.read_text(), str(path))
