"""A real PostgreSQL for tests: the machine's own binaries, on 127.0.0.1 and a free port, in a temporary folder."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Literal, Self

from nats_link.testing import free_port

USER: Final = "postgres"
START_S: Final = 60
STOP: Final = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}


class PostgresError(RuntimeError):
    """The server did not do what it was asked; the text ends with what it said."""


def find_binaries() -> Path | None:
    """The folder of initdb and postgres, the newest version first; None where PostgreSQL is not installed."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name, reverse=True)
    on_path = shutil.which("initdb")
    for folder in [*installed, *([Path(on_path).resolve().parent] if on_path else [])]:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    return None


class PostgresServer:
    """One server process, as a context manager; it keeps its port and its files over `start` and `stop`."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._data = self._folder / "data"
        self._database: str | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    def url(self, database: str, password: str = "") -> str:
        """Where a database is, written as in STORAGE_URL; every password is as good as any other."""
        return f"postgresql+asyncpg://test{':' + password if password else ''}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it, and return when it accepts clients."""
        where = ("-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self._folder}")
        quick = ("-c", "recovery_init_sync_method=syncfs", "-c", "client_min_messages=warning")
        with (self._folder / "log").open("ab") as log:
            self._process = self._open(log, "postgres", "-D", self._data, "-p", self.port, *where, *quick)
        deadline = time.monotonic() + START_S
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise PostgresError(f"it did not start: {(self._folder / 'log').read_text()[-500:]}")
            time.sleep(0.01)

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop it as `pg_ctl stop -m` does; `immediate` is as good as a crash."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(STOP[mode])
            process.wait(START_S)

    @property
    def running(self) -> bool:
        return self._process is not None

    def new_database(self) -> str:
        """Empty the one database, or make it; return its name. A thousand files for each test would cost seconds."""
        if self._database is None:
            self._database = f"test_{os.getpid()}"
            self._ask("postgres", f"CREATE DATABASE {self._database}")
        else:
            self._ask(self._database, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        return self._database

    def _ask(self, database: str, sql: str) -> None:
        self._do("psql", "-h", "127.0.0.1", "-p", self.port, "-U", "test", "-qc", sql, database)

    def __enter__(self) -> Self:
        if os.getuid() == 0:  # a server refuses to run as root
            shutil.chown(self._folder, USER, USER)
        self._do(
            "initdb", "-D", self._data, "-U", "test", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-instructions"
        )
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop("immediate")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _is_ready(self) -> bool:
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) == 8 and lines[7].strip() == "ready" and self._process_id == int(lines[0])

    @property
    def _process_id(self) -> int:
        return -1 if self._process is None else self._process.pid

    def _do(self, program: str, *arguments: object) -> None:
        with (self._folder / "words").open("w+b") as words:
            code = self._open(words, program, *arguments).wait(START_S)
            words.seek(0)
            if code:
                raise PostgresError(f"{program} ended with {code}: {words.read().decode()[-500:]}")

    def _open(self, words: IO[bytes], program: str, *arguments: object) -> subprocess.Popen[bytes]:
        owner = pwd.getpwnam(USER) if os.getuid() == 0 else None
        return subprocess.Popen(
            [self._binaries / program, *map(str, arguments)],
            stdin=subprocess.DEVNULL, stdout=words, stderr=words, cwd=self._folder,
            user=None if owner is None else owner.pw_uid, group=None if owner is None else owner.pw_gid,
            extra_groups=None if owner is None else [],
        )  # fmt: skip


@contextmanager
def running() -> Iterator[PostgresServer | None]:
    """A server; None where there is no PostgreSQL, or nobody it may run as."""
    binaries = find_binaries()
    try:
        may = os.getuid() != 0 or bool(pwd.getpwnam(USER))
    except KeyError:
        may = False
    if binaries is None or not may:
        yield None
        return
    with PostgresServer(binaries) as server:
        yield server
