"""The lock files agree with each other and with what the packages say they need."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
SERVICES = sorted(path.parent for path in ROOT.glob("services/*/pyproject.toml"))
PACKAGES = sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml"))
LOCAL = {folder.name for folder in SERVICES + PACKAGES}
DEV = ROOT / "requirements-dev.lock"
RUN = ROOT / "requirements.lock"
BOOTSTRAP = ROOT / "tools" / "bootstrap.lock"
LOCKS = [DEV, RUN, BOOTSTRAP, *(service / "requirements.lock" for service in SERVICES)]
PIN = re.compile(r"^(?P<name>[a-z0-9.-]+)==(?P<version>\S+)(?: ; (?P<marker>[^\\]+))? \\$", re.MULTILINE)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def pins(lock: Path) -> dict[str, str]:
    return {match["name"]: match["version"] for match in PIN.finditer(lock.read_text())}


def requirements(lines: list[str]) -> dict[str, Requirement]:
    """Third parties by name, out of a pyproject's dependencies or the lines of a requirements file."""
    stripped = (line.split("  #")[0].strip() for line in lines)
    wanted = [Requirement(line) for line in stripped if line and not line.startswith(("#", "-", "."))]
    return {requirement.name: requirement for requirement in wanted if requirement.name not in LOCAL}


def of_pyproject(folder: Path) -> dict[str, Requirement]:
    return requirements(tomllib.loads((folder / "pyproject.toml").read_text())["project"]["dependencies"])


def of_file(path: Path) -> dict[str, Requirement]:
    return requirements(path.read_text().splitlines())


@pytest.mark.parametrize("lock", LOCKS, ids=name_of)
def test_every_line_of_a_lock_is_a_pin_with_hashes(lock: Path) -> None:
    text = lock.read_text()
    starts = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert len(starts) == len(pins(lock)) > 0
    for block in re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in block, block.splitlines()[0]


@pytest.mark.parametrize("lock", LOCKS, ids=name_of)
def test_a_lock_names_no_index_no_local_package_and_no_place_on_a_machine(lock: Path) -> None:
    text = lock.read_text()
    assert not re.search(r"https?://|--index|--find-links|file:|/home|/work|/root|/Users", text)
    assert not LOCAL & set(pins(lock))


@pytest.mark.parametrize("lock", [lock for lock in LOCKS if lock != DEV], ids=name_of)
def test_every_lock_is_a_part_of_the_dev_lock(lock: Path) -> None:
    assert pins(lock).items() <= pins(DEV).items()


def test_running_needs_what_installing_and_the_services_need() -> None:
    run = pins(RUN).items()
    for lock in (BOOTSTRAP, *(service / "requirements.lock" for service in SERVICES)):
        assert pins(lock).items() <= run


@pytest.mark.parametrize("folder", SERVICES + PACKAGES, ids=name_of)
def test_the_run_lock_is_inside_the_ranges_of_every_package(folder: Path) -> None:
    locked = pins(RUN)
    for name, requirement in of_pyproject(folder).items():
        assert name in locked, f"{name} is not locked: run make lock"
        assert Version(locked[name]) in requirement.specifier, f"{name}: run make lock"


@pytest.mark.parametrize("service", SERVICES, ids=name_of)
def test_requirements_txt_says_what_pyproject_says(service: Path) -> None:
    assert of_file(service / "requirements.txt") == of_pyproject(service)


@pytest.mark.parametrize("service", SERVICES, ids=name_of)
def test_requirements_txt_brings_the_local_packages_by_their_place(service: Path) -> None:
    lines = (service / "requirements.txt").read_text().splitlines()
    places = [(service / line).resolve() for line in lines if line.startswith(".")]
    dependencies = tomllib.loads((service / "pyproject.toml").read_text())["project"]["dependencies"]
    assert {place.name for place in places} == LOCAL & set(dependencies)
    assert all((place / "pyproject.toml").is_file() for place in places)


def test_the_root_inputs_name_every_local_package() -> None:
    lines = (ROOT / "requirements.in").read_text().splitlines()
    assert {(ROOT / line).resolve() for line in lines if line.startswith("./")} == set(SERVICES + PACKAGES)


@pytest.mark.parametrize(("lock", "source"), [(DEV, "requirements-dev.in"), (BOOTSTRAP, "tools/bootstrap.in")])
def test_the_locks_are_inside_the_ranges_of_their_inputs(lock: Path, source: str) -> None:
    locked = pins(lock)
    for name, requirement in of_file(ROOT / source).items():
        assert Version(locked[name]) in requirement.specifier, f"{name}: run make lock"
