"""Run a command that ends when its parent dies, however that happens.

    python tools/orphan.py PARENT_PID COMMAND [ARGUMENT...]

On Linux the kernel sends the command SIGTERM when the parent is gone (`kill -9` included); the setting survives exec.
Elsewhere there is nothing alike and the command simply runs.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # from linux/prctl.h


def follow_parent(parent: int) -> None:
    """Ask for SIGTERM when `parent`, the process id of our parent, ends."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGTERM))
    if os.getppid() != parent:  # it ended before we asked
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    follow_parent(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - there is no shell to want
