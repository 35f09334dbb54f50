"""A thread that sees when a call of a plug-in does not end, says which, and interrupts it where that can be done."""

import signal
import sys
import threading
import time
from traceback import format_stack
from types import FrameType
from typing import Final

import structlog

from md_contract.units import NS_PER_S
from senpai.md_consumer.plugins.guard import Interrupted, Stopwatch

STUCK_NS: Final = NS_PER_S  # so long the whole service stands still
LOOK_EVERY_S: Final = 0.25
_LINES: Final = 4

log = structlog.get_logger(__name__)


class Watchdog:
    """Watches over the thread it is started from, which is the one plug-ins are called on.

    A thread cannot be stopped by another one. But a signal makes the main thread run a handler between two of its
    instructions, and the handler may raise: that ends a loop in Python, and a sleep, though not a loop inside a
    library in C. Where there are no such signals, or the service is not on the main thread, the log is all.
    """

    def __init__(self, watch: Stopwatch) -> None:
        self._watch = watch
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="plug-in watchdog", daemon=True)
        self._watched = threading.get_ident()
        self._signal = _free_signal()
        self._told = -1

    def start(self) -> None:
        if self._signal is not None:
            signal.signal(self._signal, self._on_signal)
        self._thread.start()

    def stop(self) -> None:
        """Stop watching; returns when the thread has ended."""
        self._stop.set()
        self._thread.join()
        if self._signal is not None:
            signal.signal(self._signal, signal.SIG_DFL)

    def _run(self) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            guard, since = self._watch.running, self._watch.since
            if guard is None or time.perf_counter_ns() - since < STUCK_NS:
                continue
            if since != self._told:
                self._told = since
                log.error(
                    "plugin_stuck", plugin=guard.name, module=guard.module, where=self._where(), next=self._next()
                )
            if self._signal is not None:
                signal.pthread_kill(self._watched, self._signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        """On the main thread: end the call, if it is still the one."""
        if self._watch.running is not None and time.perf_counter_ns() - self._watch.since >= STUCK_NS:
            raise Interrupted("interrupted by the watchdog")

    def _next(self) -> str:
        return "it is interrupted" if self._signal is not None else "nothing works until it ends: restart without it"

    def _where(self) -> str:
        frame = sys._current_frames().get(self._watched)
        lines = [] if frame is None else format_stack(frame, limit=None)
        return " | ".join(" ".join(line.split()) for line in lines[-_LINES:])


def _free_signal() -> signal.Signals | None:
    """A signal nobody uses here; None where a handler could not run or interrupt."""
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        return None
    number = signal.SIGVTALRM
    return number if signal.getsignal(number) == signal.SIG_DFL else None
