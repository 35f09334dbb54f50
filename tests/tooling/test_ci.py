"""What runs the checks elsewhere: .ci/run, the workflow, pre-commit."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))


def workflow() -> dict[str, Any]:
    parsed = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    assert isinstance(parsed, dict)
    return parsed


def steps() -> list[dict[str, Any]]:
    return list(workflow()["jobs"]["test"]["steps"])


def test_ci_run_calls_make_test_and_nothing_else() -> None:
    path = ROOT / ".ci" / "run"
    commands = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    assert commands == ['cd "$(dirname "$0")/.." && exec make test']
    assert os.access(path, os.X_OK)


def test_the_workflow_covers_every_supported_python() -> None:
    assert workflow()["jobs"]["test"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]


def test_the_workflow_may_only_read_and_takes_actions_by_version() -> None:
    assert workflow()["permissions"] == {"contents": "read"}
    for step in steps():
        if "uses" in step:
            assert re.fullmatch(r"actions/[a-z-]+@v\d+\.\d+\.\d+", step["uses"])


def test_the_workflow_sets_up_lints_tests_and_imports_both_services() -> None:
    commands = "\n".join(step.get("run", "") for step in steps())
    targets = re.findall(r"make ([a-z-]+)", commands)
    assert targets == ["setup", "lint", "pytest"]
    assert set(targets) <= TARGETS
    assert "import app" in commands
    assert "import senpai.md_consumer" in commands


def test_pre_commit_fetches_nothing() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    for hook in config["repos"][0]["hooks"]:
        assert hook["language"] == "system"
        program, *words = hook["entry"].split()
        assert program.startswith(".venv/bin/") or (program == "make" and words[0] in TARGETS)


def test_pre_commit_accepts_its_configuration(tmp_path: Path) -> None:
    command = [f"{sysconfig.get_path('scripts')}/pre-commit", "validate-config", str(ROOT / ".pre-commit-config.yaml")]
    said = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PRE_COMMIT_HOME": str(tmp_path)}
    )
    assert said.returncode == 0, said.stdout + said.stderr
