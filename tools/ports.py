"""Find out whether a TCP port of this machine is free."""

from __future__ import annotations

import socket

LOOPBACK = "127.0.0.1"


def why_not_free(port: int) -> str | None:
    """What keeps us from listening on `port` of 127.0.0.1; None when nothing does."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        if probe.connect_ex((LOOPBACK, port)) == 0:  # finds a holder on 0.0.0.0 too, which bind does not everywhere
            return "is taken"
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except PermissionError:
            return "needs root"
        except OSError:
            return "is taken"
    return None
