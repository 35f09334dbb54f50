"""The documentation is checked against what it describes."""

import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PAGES = sorted(
    page
    for page in REPOSITORY.rglob("*.md")
    if not {".venv", ".git", "node_modules", ".hypothesis", ".pytest_cache"} & set(page.relative_to(REPOSITORY).parts)
)
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
MAKE = re.compile(r"\bmake ([a-z][a-z-]*)")


def name(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text()) if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_make_target_that_is_mentioned_exists(page: Path) -> None:
    code = re.findall(r"`([^`\n]+)`", page.read_text()) + re.findall(
        r"^ {4}(.+)$|^(make .+)$", page.read_text(), re.MULTILINE
    )
    text = "\n".join("".join(piece) for piece in code)
    targets = set(re.findall(r"^([a-z][a-z-]*):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    assert set(MAKE.findall(text)) - targets == set()


def test_nothing_in_the_repository_names_a_place_on_one_machine() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    found = []
    for line in listed.stdout.splitlines():
        path = REPOSITORY / line
        if path.is_file() and path.stat().st_size < 1_000_000:
            text = path.read_text(errors="ignore")
            found += [line for top in ("work", "home", "Users", "root") if f"/{top}/" in text]
    assert found == []
