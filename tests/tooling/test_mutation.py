"""The mutation check itself: on a toy it kills what is tested, and finds what is not."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
TOY = '''\
"""A toy; what it says is no code: 1 < 2."""

from typing import Final

EDGE: Final = 10
UNUSED: Final = 3


def inside(values: list[int], now: int) -> list[int]:
    return [value for value in values if now - EDGE < value <= now]


def untested(left: bool, right: bool) -> bool:
    return left and right
'''
ENDLESS = """

def countdown(number: int) -> int:
    while number > 0:
        number -= 1
    return number
"""
TESTS = """\
from toy import window


def test_inside():
    assert window.inside([9, 10, 11, 20, 21], 20) == [11, 20]


def test_countdown():
    assert not hasattr(window, "countdown") or window.countdown(3) == 0
"""
SURVIVORS = ["6:17: 3 -> 2: survived", "6:17: 3 -> 4: survived", "14:12: and -> or: survived"]
UNUSED = "from typing import Final\n\nUNUSED: Final = 3\n"
ACCEPTED = """\
[[accepted]]
module = "toy.window"
line = "UNUSED: Final = 3"
changes = [{changes}]
reason = "nothing reads it"
"""

Check = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "__init__.py").touch()
    (tmp_path / "toy" / "window.py").write_text(TOY)
    (tmp_path / "test_toy.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\n")

    def run(accepted: str = "") -> subprocess.CompletedProcess[str]:
        (tmp_path / "accepted.toml").write_text(accepted or "accepted = []\n")
        where = ["--source", str(tmp_path), "--package", "toy", "--tests", "test_toy.py", "--limit", "1.5"]
        where += ["--accepted", str(tmp_path / "accepted.toml")]
        command = [sys.executable, "tests/mutation_check.py", *where, "window"]
        return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=100, check=False)

    return run


def test_what_no_test_notices_is_found_with_its_place_and_all_else_is_killed(check: Check, tmp_path: Path) -> None:
    (tmp_path / "toy" / "window.py").write_text(TOY + ENDLESS)
    found = check()
    assert found.returncode == 1, found.stderr
    path = str(tmp_path / "toy" / "window.py")
    survivors = [line.removeprefix(f"{path}:").split(" (")[0] for line in found.stdout.splitlines() if path in line]
    assert sorted(survivors) == sorted(SURVIVORS)
    assert "0 accepted, 3 to explain, 0 accepted in vain" in found.stdout
    assert "2 timeout" in found.stdout, "a loop that never ends is noticed"


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ('"3 -> 2", "3 -> 4"', 0, "2 accepted, 0 to explain, 0 accepted in vain"),
        ('"3 -> 2", "3 -> 5"', 1, "1 accepted, 1 to explain, 1 accepted in vain"),
    ],
)
def test_an_accepted_survivor_is_no_failure_and_one_accepted_in_vain_is(
    check: Check, tmp_path: Path, changes: str, code: int, said: str
) -> None:
    (tmp_path / "toy" / "window.py").write_text(UNUSED)
    (tmp_path / "test_toy.py").write_text("from toy import window\n\n\ndef test_it():\n    assert window.UNUSED\n")
    found = check(ACCEPTED.format(changes=changes))
    assert (found.returncode, found.stdout.splitlines()[-1]) == (code, said)
    assert code == 0 or "accepted, but no survivor: 3 -> 5" in found.stdout


def test_tests_that_fail_anyway_prove_nothing(check: Check, tmp_path: Path) -> None:
    (tmp_path / "test_toy.py").write_text("def test_it():\n    assert False\n")
    found = check()
    assert (found.returncode, found.stdout) == (2, "")
    assert "the tests fail without any change" in found.stderr
