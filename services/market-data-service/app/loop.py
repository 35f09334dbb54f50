"""What every process of this service has: its event loop, its two signals, and a look at who may read its secrets."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Protocol

import structlog

log: Final = structlog.get_logger("app")


class Stoppable(Protocol):
    """What a process runs."""

    @property
    def stopping(self) -> bool:
        """It was asked to stop."""
        ...

    def request_stop(self) -> None:
        """Begin the orderly stop."""
        ...

    def end(self) -> None:
        """Put aside at once what is still under way, and say what became of everything."""
        ...


def make_runner() -> asyncio.Runner:
    """A runner with the fastest event loop there is for this system."""
    if sys.platform == "win32":
        return asyncio.Runner()
    import uvloop

    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def stop_on_signals(part: Stoppable) -> None:
    """From now on SIGTERM and Ctrl-C stop `part`: the first one in order, a second one at once, with exit code 1."""

    def on_signal(number: int) -> None:
        if part.stopping:
            log.warning("second signal: stopping at once", signal=signal.Signals(number).name)
            part.end()
            os._exit(1)
        log.info("stopping", signal=signal.Signals(number).name, next="a second signal stops at once")
        part.request_stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, on_signal, number)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda number, _frame: loop.call_soon_threadsafe(on_signal, number))


def warn_of_open_secrets(files: Iterable[Path]) -> None:
    """Say which of these files others may read."""
    for file in files:
        if os.name == "posix" and file.stat().st_mode & 0o077:
            log.warning("others may read a secret", file=str(file), next=f"chmod 600 {file}")
