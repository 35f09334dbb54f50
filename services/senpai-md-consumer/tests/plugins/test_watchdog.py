"""A call that does not end is told, and interrupted where it is Python that runs."""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from senpai.md_consumer.plugins.guard import FAILED, Guard, Limits, Stopwatch
from senpai.md_consumer.plugins.watchdog import Watchdog

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")


@pytest.fixture
def guard() -> Iterator[Guard]:
    watch = Stopwatch(time.perf_counter_ns)
    watchdog = Watchdog(watch)
    watchdog.start()
    yield Guard("mine", "feature", "module", watch, Limits())
    watchdog.stop()
    assert signal.getsignal(signal.SIGVTALRM) == signal.SIG_DFL


def test_an_endless_loop_is_interrupted_and_told_with_its_place(guard: Guard) -> None:
    def endless() -> None:
        while True:
            try:
                pass
            except Exception:  # noqa: BLE001  # as users do
                continue

    with capture_logs() as lines:
        assert guard.call(endless) is FAILED
    assert guard.why_off is not None
    assert "had not ended after 1." in guard.why_off
    (line,) = lines
    assert (line["event"], line["plugin"]) == ("plugin_stuck", "mine")
    assert line["next"] == "it is interrupted; if that does not help, the process ends"
    assert "in endless" in line["where"]


def test_a_sleep_is_interrupted(guard: Guard) -> None:
    with capture_logs():
        assert guard.call(lambda: time.sleep(60)) is FAILED


def test_quick_calls_are_let_be(guard: Guard) -> None:
    began = time.monotonic()
    with capture_logs() as lines:
        while time.monotonic() - began < 1.6:
            guard.call(lambda: 1)
    assert (lines, guard.why_off) == ([], None)


def test_on_another_thread_it_only_tells() -> None:
    watch = Stopwatch(time.perf_counter_ns)
    guard = Guard("mine", "feature", "module", watch, Limits())
    told = threading.Event()
    found = []

    def work() -> None:
        watchdog = Watchdog(watch)
        watchdog.start()
        found.append(guard.call(lambda: told.wait(20)))
        watchdog.stop()

    thread = threading.Thread(target=work)
    with capture_logs() as lines:
        thread.start()
        deadline = time.monotonic() + 10
        while not lines and time.monotonic() < deadline:
            thread.join(0.01)
        told.set()
        thread.join()
    assert found == [True]
    assert lines[0]["plugin"] == "mine"
    assert "restart without it" in lines[0]["next"]


def test_a_loop_that_catches_everything_is_interrupted_each_second_and_then_the_process_is_ended() -> None:
    watch = Stopwatch(time.perf_counter_ns)
    codes: list[int] = []
    caught: list[float] = []
    watchdog = Watchdog(watch, codes.append)

    def deaf() -> None:
        while not codes:
            try:
                time.sleep(0.05)
            except BaseException:  # noqa: BLE001  # what this is about
                caught.append(time.monotonic())

    with capture_logs() as lines:
        watchdog.start()
        Guard("mine", "feature", "module", watch, Limits()).call(deaf)
        watchdog.stop()
    assert codes == [1]
    assert len(caught) == 4
    assert all(later - earlier > 0.7 for earlier, later in pairwise(caught))
    assert [line["event"] for line in lines] == ["plugin_stuck", "plugin_ended_the_service"]
    assert lines[1]["plugin"] == "mine"


def test_the_handlers_of_signals_are_left_as_they_were() -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    watchdog = Watchdog(Stopwatch(time.perf_counter_ns))
    watchdog.start()
    watchdog.stop()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
