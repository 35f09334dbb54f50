"""A thread that sees when a call of a plug-in does not end, says which, interrupts it, and at last ends the process."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from traceback import format_stack
from types import FrameType
from typing import Any, Final

import structlog

from md_contract.units import NS_PER_S
from senpai.md_consumer.plugins.guard import Guard, Interrupted, Stopwatch

STUCK_NS: Final = NS_PER_S  # so long the whole service stands still
LOOK_EVERY_S: Final = 0.25
LOOKS_BETWEEN: Final = 4  # from one interruption to the next: a second
MOST_LOOKS: Final = 16  # at a call that is stuck: it has not ended for five seconds
EXIT_CODE: Final = 1
STOPS: Final = (signal.SIGINT, signal.SIGTERM)
_LINES: Final = 4

log = structlog.get_logger(__name__)


class Watchdog:
    """Watches over the thread it is started from, which is the one plug-ins are called on.

    A thread cannot be stopped by another one. But a signal makes the main thread run a handler between two of its
    instructions, and the handler may raise: that ends a loop in Python, and a sleep, though neither a loop inside a
    library in C nor one that catches everything. What is left then is to end the process, so that a supervisor starts
    it anew: after five seconds, or as soon as somebody wants it to stop. Looks are counted instead of time, so that a
    process that was halted itself is given its time.
    """

    def __init__(self, watch: Stopwatch, end: Callable[[int], object] = os._exit) -> None:
        """`end` is called, with the exit code, when nothing else is left."""
        self._watch = watch
        self._end = end
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="plug-in watchdog", daemon=True)
        self._watched = threading.get_ident()
        self._signal = _free_signal()
        self._stuck_since = -1
        self._looks = 0  # at the call that is stuck
        self._wanted: str | None = None  # the signal by which somebody wants the service to stop
        self._handlers: dict[signal.Signals, Any] = {}

    def start(self) -> None:
        """Begin; to be called when the service has its handlers of signals."""
        if self._signal is not None:
            signal.signal(self._signal, self._on_signal)
            self._listen()
        self._thread.start()

    def stop(self) -> None:
        """Stop watching; returns when the thread has ended."""
        self._stop.set()
        self._thread.join()
        if self._signal is not None:
            signal.signal(self._signal, signal.SIG_DFL)
        for number, handler in self._handlers.items():
            _handle(number, handler)

    def _listen(self) -> None:
        """Hear of the wish to stop beside the event loop, which does not while it stands still."""
        for number in STOPS:
            handler = signal.getsignal(number)
            if callable(handler):
                self._handlers[number] = handler
                _handle(number, self._on_stop)

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        self._wanted = signal.Signals(number).name
        self._handlers[signal.Signals(number)](number, frame)

    def _run(self) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            guard, since = self._watch.running, self._watch.since
            if guard is None or time.perf_counter_ns() - since < STUCK_NS:
                continue
            if since != self._stuck_since:
                self._stuck_since, self._looks = since, 0
                log.error(
                    "plugin_stuck", plugin=guard.name, module=guard.module, where=self._where(), next=self._next()
                )
            self._act(guard)
            self._looks += 1

    def _act(self, guard: Guard) -> None:
        """Interrupt; or end the process, when that has not helped for too long, or somebody waits for the end."""
        if self._looks >= MOST_LOOKS or (self._looks and self._wanted is not None):
            why = f"{self._wanted} came while it was stuck" if self._wanted else "interrupting it did not help"
            after_s = round((time.perf_counter_ns() - self._watch.since) / NS_PER_S, 1)
            log.error(
                "plugin_ended_the_service",
                plugin=guard.name,
                module=guard.module,
                after_s=after_s,
                why=why,
                exit_code=EXIT_CODE,
                next="mend the plug-in, or start without it",
            )
            self._end(EXIT_CODE)
        elif self._signal is not None and self._looks % LOOKS_BETWEEN == 0:
            signal.pthread_kill(self._watched, self._signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        """On the main thread: end the call, if it is still the one."""
        if self._watch.running is not None and time.perf_counter_ns() - self._watch.since >= STUCK_NS:
            raise Interrupted("interrupted by the watchdog")

    def _next(self) -> str:
        if self._signal is not None:
            return "it is interrupted; if that does not help, the process ends"
        return "nothing works until it ends; if it does not, the process ends: restart without it"

    def _where(self) -> str:
        frame = sys._current_frames().get(self._watched)
        lines = [] if frame is None else format_stack(frame, limit=None)
        return " | ".join(" ".join(line.split()) for line in lines[-_LINES:])


def _handle(number: signal.Signals, handler: Any) -> None:  # noqa: ANN401  # whatever signal.getsignal gives
    signal.signal(number, handler)
    signal.siginterrupt(number, False)  # as event loops have it


def _free_signal() -> signal.Signals | None:
    """A signal nobody uses here; None where a handler could not run or interrupt."""
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        return None
    number = signal.SIGVTALRM
    return number if signal.getsignal(number) == signal.SIG_DFL else None
