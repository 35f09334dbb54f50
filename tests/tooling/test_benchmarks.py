"""The benchmark harness: what it says of figures that can be trusted, and of those that cannot."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from harness import report
from harness.case import CPU, Case, Contender, Figure, Stopwatch
from harness.machine import describe
from harness.rounds import Outcome, Plan, run_case
from harness.summary import complaints, misses, summarise

FIGURES = (Figure(CPU, "us/event"), Figure("per_s", "events/s", (">=", 100)))

CHILD = """
import json, os, sys
name, contender, answer = sys.argv[1:]
assert json.load(sys.stdin)["url"] == "somewhere"
if contender == "nowhere":
    print("it is not installed", file=sys.stderr), sys.exit(3)
if contender == "liar":
    print("rows stored: expected 2, found 1", file=sys.stderr), sys.exit(4)
figures = {"cpu_us": 2.0 if contender == "ours" else 3.0, "per_s": 90, "pid": os.getpid()}
json.dump(figures, open(answer, "w"))
"""


def make_case(*names: str) -> Case:
    return Case("a case", tuple(Contender(name, lambda _: {}) for name in names), FIGURES)


def runs(**values: list[float | None]) -> dict[str, list[dict[str, float] | None]]:
    return {
        name: [None if each is None else {CPU: each, "per_s": 100.0} for each in column]
        for name, column in values.items()
    }


def test_ratios_are_taken_inside_a_round() -> None:
    # the machine was ten times slower in the second round, for both
    lines = summarise(make_case("ours", "other"), runs(ours=[1.0, 10.0, 1.0], other=[3.0, 30.0, 3.0]))
    [line] = [line for line in lines if line.contender == "other" and line.figure == CPU]
    assert (line.ratio, line.median, line.least, line.most) == (3.0, 3.0, 3.0, 30.0)


def test_figures_that_spread_too_much_are_told() -> None:
    case = make_case("ours", "other")
    lines = summarise(case, runs(ours=[1.0, 1.2, 1.5], other=[1.0, 1.2, 1.61]))
    assert complaints(lines) == ["other: cpu_us spreads by 0.51 of its median (at most 0.5)"]


def test_a_missed_target_is_told_of_ours_alone() -> None:
    case = make_case("ours: fast", "other")
    found: Any = {name: [{CPU: 1.0, "per_s": 99.0}] for name in ("ours: fast", "other")}
    assert misses(case, summarise(case, found)) == ["ours: fast: per_s is 99 events/s, target >= 100"]


def test_a_round_runs_everybody_once_in_a_process_of_its_own(tmp_path: Path) -> None:
    child = tmp_path / "child.py"
    child.write_text(CHILD)
    told: list[str] = []
    case = Case(
        "a case",
        tuple(Contender(name, lambda _: {}) for name in ("ours", "other", "nowhere", "liar")),
        FIGURES,
        lambda: nullcontext({"url": "somewhere"}),
    )
    outcome = run_case("toy", case, Plan((sys.executable, str(child)), 3, seed=1, look_s=0.01, tell=told.append))
    pids = [run["pid"] for name in ("ours", "other") for run in outcome.runs[name] if run is not None]
    assert len(set(pids)) == 6
    assert outcome.absent == {"nowhere": "it is not installed"}
    assert outcome.wrong == {"liar": "rows stored: expected 2, found 1"}
    assert outcome.runs["liar"] == [None, None, None]
    assert len(told) == 2 * 3 + 2  # those who cannot run are not asked again
    text = report.section("toy", case, outcome)
    assert "| cpu_us, us/event | other | 3 | 3 | 3 | 0.00 | 1.50 |  |" in text
    assert "| | nowhere | absent: it is not installed |" in text
    assert report.faults(case, outcome) == ["liar: rows stored: expected 2, found 1"]
    as_json, as_text = report.write(tmp_path, describe([]), [("toy", case, outcome)])
    assert json.loads(as_json.read_text())["cases"][0]["absent"] == outcome.absent
    assert text in as_text.read_text()


def test_the_stopwatch_counts_the_processor_time_of_every_thread() -> None:
    with Stopwatch(1000) as watch:
        sum(range(200_000))
    figures = watch.figures()
    assert 0 < figures[CPU] <= 1.5 * watch.wall_s * 1e3 + 1
    assert figures["per_s"] == pytest.approx(1000 / watch.wall_s)


def test_the_spread_of_nothing_is_no_spread() -> None:
    case = make_case("ours")
    assert complaints(summarise(case, {"ours": [{CPU: 0.0, "per_s": 0.0}] * 3})) == []
    assert summarise(case, {"ours": [None]}) == []
    assert report.faults(case, Outcome({"ours": [None]}, error="no server")) == ["no server"]


def test_every_case_is_listed_and_a_wrong_name_is_refused(root: Path) -> None:
    bench = [sys.executable, str(root / "benchmarks" / "bench.py")]
    refused = subprocess.run([*bench, "nosuch"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    names = sorted(path.stem for path in (root / "benchmarks" / "cases").glob("[a-z]*.py"))
    assert f"no case is called nosuch; there are: {', '.join(names)}" in refused.stderr
