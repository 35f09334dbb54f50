"""Bring `.venv` in line with a lock file; do nothing when it already is.

    python3 tools/environment.py requirements.lock

The Makefile runs this by tools/setup.sh, which finds a Python that is new enough.
`.venv` gets uv, exactly what the lock says (hashes checked, nothing built from source), and every folder of
`packages/` and `services/` in editable form. A digest of all that decides it is left in `.venv`.

Exit codes: 0 in line, 1 an install step failed (its own output says why), 2 this machine lacks something.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

MINIMUM = (3, 11)
ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
PLACE = VENV / ".made-for"  # holds the path that the scripts inside were written for
BOOTSTRAP = ROOT / "tools" / "bootstrap.lock"


class UnfitMachineError(Exception):
    """The machine lacks something; the message says what, and what to do."""


class StepError(Exception):
    """An install step failed after printing why."""


def local_packages() -> list[Path]:
    return sorted(
        file.parent for folder in ("packages", "services") for file in (ROOT / folder).glob("*/pyproject.toml")
    )


def digest(lock: Path) -> str:
    """Name of the state that `.venv` has to be in."""
    state = hashlib.sha256(str(ROOT).encode())
    for path in [Path(__file__), BOOTSTRAP, lock, *(package / "pyproject.toml" for package in local_packages())]:
        state.update(b"\0" + path.name.encode() + b"\0" + path.read_bytes())
    return state.hexdigest()


def step(what: str, command: Sequence[str]) -> None:
    print(f"setup: {what}", flush=True)
    if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
        raise StepError(f"{what} failed, see above; run make again when that is mended")


def version_of(python: str) -> tuple[int, ...]:
    """Version of an interpreter; empty when it does not run."""
    asked = [python, "-c", "import sys; print(*sys.version_info[:3])"]
    try:
        answer = subprocess.run(asked, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ()
    return tuple(int(part) for part in answer.stdout.split())


def is_venv_fit(was_chosen: bool) -> bool:
    """Whether `.venv` runs, was made for this place, and has the Python that was asked for."""
    version = version_of(str(VENV_PYTHON))[:2]
    was_moved = PLACE.exists() and PLACE.read_text() != str(ROOT)
    return version >= MINIMUM and not was_moved and (not was_chosen or version == sys.version_info[:2])


def make_venv() -> None:
    python = getattr(sys, "_base_executable", sys.executable)  # when we run in .venv, it is about to vanish
    if not (find_spec("venv") and find_spec("ensurepip")):
        raise UnfitMachineError(
            f"{python} has no venv module: install it (Debian, Ubuntu: apt-get install python3-venv) or name another "
            "Python with make PYTHON=..."
        )
    version = ".".join(map(str, sys.version_info[:3]))
    step(f"creating .venv with Python {version} ({python})", [python, "-m", "venv", "--clear", str(VENV)])
    PLACE.write_text(str(ROOT))


def install(lock: Path) -> None:
    """Install uv, the lock's packages and the local packages into `.venv`."""
    pip = [str(VENV_PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    uv = [str(VENV / "bin" / "uv"), "pip", "install", "--quiet", "--python", str(VENV_PYTHON)]
    pinned = ["--require-hashes", "--only-binary", ":all:", "-r"]
    if not Path(uv[0]).exists():
        step("installing uv", [*pip, *pinned, str(BOOTSTRAP)])
    count = sum("==" in line for line in lock.read_text().splitlines())
    step(f"installing what {lock.name} says (up to {count} packages)", [*uv, *pinned, str(lock)])
    editable = [word for package in local_packages() for word in ("--editable", str(package))]
    names = ", ".join(package.name for package in local_packages())
    step(f"installing {names}", [*uv, "--no-build-isolation", "--no-deps", *editable])


def stamp_of(lock: Path) -> Path:
    return VENV / f".in-line-with-{lock.name}"


def is_in_line(lock: Path) -> bool:
    stamp = stamp_of(lock)
    return stamp.exists() and stamp.read_text() == digest(lock)


def bring_in_line(lock: Path, was_chosen: bool) -> None:
    if VENV_PYTHON.exists() and is_in_line(lock) and (not was_chosen or is_venv_fit(was_chosen)):
        return
    started = time.monotonic()
    if not is_venv_fit(was_chosen):
        make_venv()
    for other in ROOT.glob("requirements*.lock"):  # a stamp left by another commit would lie later
        if stamp_of(other).exists() and not is_in_line(other):
            stamp_of(other).unlink()
    install(lock)
    stamp_of(lock).write_text(digest(lock))
    print(f"setup: done in {time.monotonic() - started:.1f} s", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Bring .venv in line with a lock file.")
    parser.add_argument("lock", type=Path, help="for example requirements.lock")
    parser.add_argument("--chosen", action="store_true", help="the running Python was asked for: use no other")
    arguments = parser.parse_args()
    folder = os.open(ROOT, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)  # two makes at once take turns
    try:
        bring_in_line(ROOT / arguments.lock, arguments.chosen)
    except (UnfitMachineError, StepError) as error:
        print(f"setup: {error}", file=sys.stderr)
        return 2 if isinstance(error, UnfitMachineError) else 1
    finally:
        os.close(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
