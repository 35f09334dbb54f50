"""Whose the folder is: one process's, and no other user's."""

import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.journal import Journal, JournalError
from md_contract.events import Trade

MIB = 1 << 20
SETPRIV = Path("/usr/bin/setpriv")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_folder_and_files_are_for_the_owner_alone(tmp_path: Path, trade: Callable[..., Trade]) -> None:
    folders = [tmp_path / "new" / "deep" / "nats"]
    for others in (0o077, 0o001, 0o010, 0o020):
        folders.append(tmp_path / f"open-{others:o}")
        folders[-1].mkdir()
        folders[-1].chmod(0o700 | others)
    for folder in folders:
        journal = Journal(folder, MIB)
        journal.append(trade(1))
        journal.flush()
        assert mode(folder) == 0o700
        assert {mode(file) for file in folder.iterdir()} == {0o600}
        journal.close()


@pytest.mark.skipif(os.name != "posix", reason="symbolic links need rights on Windows")
def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for folder in (tmp_path / "link", tmp_path / "link" / "nats"):
        with pytest.raises(JournalError, match="found a symbolic link"):
            Journal(folder, MIB)
    (tmp_path / "j").mkdir()
    (tmp_path / "j" / "lock").symlink_to(tmp_path / "elsewhere" / "file")
    with pytest.raises(JournalError, match="cannot keep events in"):
        Journal(tmp_path / "j", MIB)
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="symbolic links need rights on Windows")
def test_nor_is_one_in_the_place_of_a_segment(tmp_path: Path, trade: Callable[..., Trade]) -> None:
    journal = Journal(tmp_path / "j", MIB)
    journal.append(trade(1))
    journal.close()
    segment = next((tmp_path / "j").glob("*.spill"))
    segment.rename(tmp_path / "elsewhere")
    segment.symlink_to(tmp_path / "elsewhere")
    journal = Journal(tmp_path / "j", MIB)
    assert (journal.records, journal.read_errors) == (0, 1)
    journal.close()
    assert (tmp_path / "elsewhere").stat().st_size


def test_a_place_where_no_folder_can_be_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "nats"):
        with pytest.raises(JournalError, match=r"cannot keep events in .*: (File exists|Not a directory)"):
            Journal(folder, MIB)


@pytest.mark.skipif(os.name != "posix", reason="rights are POSIX's")
@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0 and not SETPRIV.exists(), reason="root may write anywhere")
def test_a_folder_without_the_right_to_write_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(mode=0o555)
    for parent in tmp_path.parents:
        if parent.stat().st_uid == os.geteuid() and parent != Path("/") and not mode(parent) & 0o001:
            parent.chmod(mode(parent) | 0o011)
    tmp_path.chmod(0o755)
    code = (
        "import sys; from pathlib import Path; from app.journal import Journal, JournalError\n"
        "try: Journal(Path(sys.argv[1]), 1000)\n"
        "except JournalError as error: print(error)"
    )
    nobody = [str(SETPRIV), "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*nobody, sys.executable, "-c", code, str(tmp_path / "mine" / "nats")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and nobody:
        pytest.skip(f"another user cannot run this Python here: {done.stderr.splitlines()[-1:]}")
    assert done.stdout == f"cannot keep events in {tmp_path / 'mine' / 'nats'}: Permission denied\n"


@pytest.mark.skipif(sys.platform == "win32", reason="nobody is locked out there")
def test_a_second_process_is_told_who_has_the_folder_and_gets_it_afterwards(tmp_path: Path) -> None:
    folder = tmp_path / "j"
    journal = Journal(folder, MIB)
    code = "import sys; from pathlib import Path; from app.journal import Journal\nJournal(Path(sys.argv[1]), 1000)"

    def other() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, str(folder)],
            cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False,
        )  # fmt: skip

    in_use = f"{folder} is in use by another process (pid {os.getpid()})"
    assert in_use in other().stderr
    with pytest.raises(JournalError, match=re.escape(in_use)):
        Journal(folder, MIB)
    journal.close()
    assert other().returncode == 0
    Journal(folder, MIB).close()
