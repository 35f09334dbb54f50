"""A run as JSON for programs and as Markdown for people."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

from harness.case import Case
from harness.rounds import Outcome
from harness.summary import Line, complaints, misses, shown, summarise

Results: TypeAlias = list[tuple[str, Case, Outcome]]


def write(folder: Path, machine: dict[str, Any], results: Results) -> tuple[Path, Path]:
    """Write `<when>.json` and `<when>.md` to the folder; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = machine["when"].replace(":", "").split("+")[0]
    as_json, as_text = folder / f"{stem}.json", folder / f"{stem}.md"
    cases = [
        {
            "case": name,
            "title": case.title,
            "lines": [asdict(line) for line in summarise(case, outcome.runs)],
            "complaints": faults(case, outcome),
            "misses": misses(case, summarise(case, outcome.runs)),
            **asdict(outcome),
        }
        for name, case, outcome in results
    ]
    as_json.write_text(json.dumps({"machine": machine, "cases": cases}, indent=1) + "\n")
    as_text.write_text(markdown(machine, results))
    return as_json, as_text


def faults(case: Case, outcome: Outcome) -> list[str]:
    """Why the run of this case does not pass."""
    found = [outcome.error] if outcome.error is not None else []
    found += [f"{contender}: {why}" for contender, why in outcome.wrong.items()]
    return found + complaints(summarise(case, outcome.runs))


def markdown(machine: dict[str, Any], results: Results) -> str:
    """The whole report."""
    libraries = ", ".join(f"{name} {version}" for name, version in machine["libraries"].items())
    lines = [
        f"# Benchmark of {machine['when']}",
        "",
        f"`{machine['command']}`, commit {machine['commit']}  ",
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, "
        f"load {machine['load_average'][0]} at the start  ",
        f"Python {machine['python']} (`{machine['python_flags']}`), "
        f"SQLite {machine['sqlite']}, {machine['postgresql'] or 'no PostgreSQL'}  ",
        libraries,
    ]
    return "\n".join(lines + [section(*result) for result in results])


def section(name: str, case: Case, outcome: Outcome) -> str:
    """The report on one case."""
    return "\n".join(["", f"## {name}: {case.title}", "", *_case(case, outcome), ""])


def _case(case: Case, outcome: Outcome) -> list[str]:
    lines = [
        "| figure | contender | median | min | max | spread | ratio to ours | target |",
        "|---|---|--:|--:|--:|--:|--:|---|",
    ]
    lines += [_row(case, line) for line in summarise(case, outcome.runs)]
    lines += [f"| | {contender} | absent: {why} | | | | | |" for contender, why in outcome.absent.items()]
    if outcome.busy_before:
        most = max(outcome.busy_before)
        lines += ["", f"{most:.0%} of all cores at most were in use by other programs just before a run."]
    for text in (*faults(case, outcome), *misses(case, summarise(case, outcome.runs))):
        lines += ["", f"- {text}"]
    return lines


def _row(case: Case, line: Line) -> str:
    target = next(figure.target for figure in case.figures if figure.name == line.figure)
    is_ours = line.contender.startswith("ours")
    wanted = f"{target[0]} {shown(target[1])}" if target is not None and is_ours else ""
    ratio = "" if line.ratio is None else f"{line.ratio:.2f}"
    return (
        f"| {line.figure}, {line.unit} | {line.contender} | {shown(line.median)} | {shown(line.least)} | "
        f"{shown(line.most)} | {line.spread:.2f} | {ratio} | {wanted} |"
    )
