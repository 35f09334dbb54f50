"""Run a command so that the terminal's Ctrl-C reaches it alone, and not the `make` that started us.

    python tools/foreground.py COMMAND [ARGUMENT...]

`make` ends with "Interrupt" and exit code 130 on Ctrl-C, even when its recipe stops cleanly. So the command gets a
process group of its own, which is made the terminal's foreground; signals sent to us by other means are passed on.
Without a terminal (or in the background) there is no Ctrl-C to steer, and the command takes our place.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import NoReturn

from orphan import follow_parent

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def open_terminal() -> int | None:
    """Descriptor of the terminal whose foreground we are, or None."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR)
        if os.tcgetpgrp(terminal) == os.getpgrp():
            return terminal
    except OSError:
        return None
    return None


def take_terminal(terminal: int, group: int) -> None:
    """Make `group` the foreground; a background process that does so is stopped unless it ignores SIGTTOU."""
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    os.tcsetpgrp(terminal, group)
    signal.signal(signal.SIGTTOU, before)


def replace_with(command: list[str], parent: int) -> NoReturn:
    follow_parent(parent)
    try:
        os.execvp(command[0], command)  # noqa: S606 - there is no shell to want
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        os._exit(127)


def main() -> int:
    command = sys.argv[1:]
    parent = os.getppid()
    terminal = open_terminal()
    if terminal is None:
        replace_with(command, parent)
    follow_parent(parent)
    us = os.getpid()
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        take_terminal(terminal, os.getpgrp())
        signal.signal(signal.SIGTSTP, signal.SIG_IGN)  # make would not learn of a Ctrl-Z and wait for ever
        replace_with(command, us)
    for number in PASSED_ON:
        signal.signal(number, lambda received, _frame: os.kill(child, received))
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(OSError):  # the terminal may have been closed
        if os.tcgetpgrp(terminal) == child:
            take_terminal(terminal, os.getpgrp())
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
