"""The Makefile and the set-up, in a folder of their own where they change something."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def make(*words: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", "-C", str(folder), *words], capture_output=True, text=True, check=False)


@pytest.fixture
def bare_project(tmp_path: Path) -> Path:
    """A project with the real set-up and nothing to install, in a folder with a space in its name."""
    folder = tmp_path / "a project"
    for name in ("Makefile", "tools/setup.sh", "tools/environment.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def a_python(folder: Path, version: str, body: str = "") -> Path:
    """A `python3` that claims to be of another version, or lacks something."""
    path = folder / f"python-{version}"
    claim = f"import sys; sys.version_info = ({version.replace('.', ', ')}, 'final', 0); {body}"
    path.write_text(
        f"""#!{sys.executable}
{claim}
import runpy
if sys.argv[1] == "-c":
    exec(sys.argv[2])
else:
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
"""
    )
    path.chmod(0o755)
    return path


def test_make_alone_lists_every_target_that_is_for_people() -> None:
    listed = set(re.findall(r"^  ([a-z-]+) +\S", make().stdout, re.MULTILINE))
    assert listed >= {"help", "setup", "run", "test", "lint", "format", "lock", "images-test", "mutation", "clean"}
    assert make().stdout == make("help").stdout


def test_an_old_python_is_named_in_one_line(bare_project: Path) -> None:
    old = a_python(bare_project, "3.9.6")
    done = make("setup", f"PYTHON={old}", folder=bare_project)
    assert done.returncode == 2
    assert f"{old} is Python 3.9.6; Python 3.11 or newer is needed" in done.stderr.splitlines()[0]
    assert not (bare_project / ".venv").exists()


def test_a_missing_python_is_named_in_one_line(bare_project: Path) -> None:
    done = make("setup", "PYTHON=no-such-python", folder=bare_project)
    assert done.returncode == 2
    assert "no no-such-python found" in done.stderr.splitlines()[0]


def test_a_python_without_venv_is_told_how_to_get_it(bare_project: Path) -> None:
    python = a_python(bare_project, "3.11.9", "sys.modules['ensurepip'] = None; sys.modules['venv'] = None")
    done = make("setup", f"PYTHON={python}", folder=bare_project)
    assert done.returncode == 2
    assert "has no venv module" in done.stderr
    assert "apt-get install python3-venv" in done.stderr


@pytest.fixture
def installed_project(bare_project: Path) -> Path:
    """A project whose `.venv` has a uv that only writes down what it is asked to do."""
    scripts = bare_project / ".venv" / "bin"
    scripts.mkdir(parents=True)
    (scripts / "python").symlink_to(sys.executable)
    (scripts / "uv").write_text(f"#!/bin/sh\necho \"$@\" >> '{bare_project}/asked'\n")
    (scripts / "uv").chmod(0o755)
    for lock in ("requirements.lock", "requirements-dev.lock", "tools/bootstrap.lock"):
        (bare_project / lock).write_text("nothing==1\n")
    package = bare_project / "packages" / "one"
    package.mkdir(parents=True)
    (package / "pyproject.toml").write_text("[project]\n")
    return bare_project


def test_set_up_installs_by_hash_and_the_local_packages_in_place(installed_project: Path) -> None:
    done = make("setup", f"PYTHON={sys.executable}", folder=installed_project)
    assert done.returncode == 0, done.stderr
    third_parties, local = (installed_project / "asked").read_text().splitlines()
    assert "--require-hashes --only-binary :all: -r" in third_parties
    assert third_parties.endswith("requirements-dev.lock")
    assert "--no-build-isolation --no-deps --editable" in local
    assert local.endswith("packages/one")


def test_a_second_set_up_does_nothing_until_something_changes(installed_project: Path) -> None:
    def lines_of_set_up() -> list[str]:
        return make("--quiet", "setup", f"PYTHON={sys.executable}", folder=installed_project).stdout.splitlines()

    assert lines_of_set_up()
    assert not lines_of_set_up()
    for changed in ("requirements-dev.lock", "packages/one/pyproject.toml", "tools/bootstrap.lock"):
        with (installed_project / changed).open("a") as file:
            file.write("# changed\n")
        assert lines_of_set_up(), changed
        assert not lines_of_set_up(), changed


def test_a_moved_project_gets_a_new_venv(installed_project: Path) -> None:
    make("setup", f"PYTHON={sys.executable}", folder=installed_project)
    (installed_project / ".venv" / ".made-for").write_text("/somewhere/else")
    (installed_project / "tools" / "bootstrap.lock").write_text("this is no requirement\n")
    done = make("setup", f"PYTHON={sys.executable}", folder=installed_project)
    assert "creating .venv" in done.stdout
    assert not (installed_project / ".venv" / "bin" / "uv").exists()  # and so uv is to be installed, which fails here
    assert "installing uv failed, see above" in done.stderr
