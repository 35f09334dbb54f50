"""Renew every lock file from its inputs, so that all agree: the dev lock first, the others bound by it.

    python tools/lock.py [--upgrade]

Only third parties are locked; the local packages lie beside the locks. Needs the uv of `.venv` and the index.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEV_LOCK = Path("requirements-dev.lock")


def locks() -> dict[Path, Path]:
    """Input file of each lock, in the order of compilation."""
    services = sorted(path.relative_to(ROOT) for path in (ROOT / "services").glob("*/requirements.txt"))
    return {
        DEV_LOCK: Path("requirements-dev.in"),
        Path("requirements.lock"): Path("requirements.in"),
        Path("tools/bootstrap.lock"): Path("tools/bootstrap.in"),
        **{path.with_suffix(".lock"): path for path in services},
    }


def local_names() -> list[str]:
    return sorted(
        path.parent.name for folder in ("packages", "services") for path in ROOT.glob(f"{folder}/*/pyproject.toml")
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Renew the lock files.")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that the inputs allow")
    upgrade = parser.parse_args().upgrade
    uv = [
        str(Path(sysconfig.get_path("scripts")) / "uv"),
        "pip",
        "compile",
        "--quiet",
        "--universal",
        "--generate-hashes",
    ]
    uv += ["--python-version", "3.11", "--custom-compile-command", "make lock"]
    for name in local_names():
        uv += ["--no-emit-package", name]
    for lock, source in locks().items():
        print(f"lock: {lock}", flush=True)
        bound = (
            ["--upgrade"] * upgrade
            if lock == DEV_LOCK
            else ["--upgrade", "--constraint", os.path.relpath(DEV_LOCK, lock.parent)]
        )
        command = [*uv, *bound, source.name, "--output-file", lock.name]
        if subprocess.run(command, cwd=ROOT / lock.parent, check=False).returncode != 0:
            print(f"lock: {lock} could not be compiled, see above; the locks may disagree until it is", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
