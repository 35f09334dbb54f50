"""Rounds: each runs every contender once, in shuffled order, each in a process of its own."""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from harness.case import AbsentError, Case, Setting, WrongAnswerError

RUN_S: Final = 600.0
QUIET: Final = 0.15  # of all cores in use: less than that is a machine that does nothing else

ABSENT: Final = 3  # exit codes of a contender's process
WRONG: Final = 4


@dataclass
class Outcome:
    """What became of one case."""

    runs: dict[str, list[dict[str, float] | None]] = field(
        default_factory=dict
    )  # by contender, a round after the other
    absent: dict[str, str] = field(default_factory=dict)  # contender -> why
    wrong: dict[str, str] = field(default_factory=dict)
    busy_before: list[float] = field(default_factory=list)  # part of all cores in use just before each run
    error: str | None = None  # why the whole case could not run


@dataclass(frozen=True)
class Plan:
    """How to run."""

    command: tuple[str, ...]  # to which the case's and the contender's name are added
    rounds: int
    seed: int
    wait_s: float = 0.0  # for a quiet machine, before each run, at most
    look_s: float = 0.25  # how long a look at the machine takes
    tell: Callable[[str], None] = print


def run_case(name: str, case: Case, plan: Plan) -> Outcome:
    """Run all rounds of one case."""
    outcome = Outcome({contender.name: [] for contender in case.contenders})
    order = [contender.name for contender in case.contenders]
    rng = random.Random(f"{plan.seed}:{name}")  # noqa: S311 - an order, no secret
    try:
        with case.prepare() as setting:
            for number in range(1, plan.rounds + 1):
                rng.shuffle(order)
                for contender in order:
                    if contender in outcome.absent or contender in outcome.wrong:
                        outcome.runs[contender].append(None)
                        continue
                    outcome.busy_before.append(wait_until_quiet(plan.wait_s, plan.look_s))
                    plan.tell(f"{name}: round {number} of {plan.rounds}, {contender}")
                    _run_one((*plan.command, name, contender), contender, setting, outcome)
    except (AbsentError, WrongAnswerError) as error:
        outcome.error = str(error)
    return outcome


def _run_one(command: tuple[str, ...], contender: str, setting: Setting, outcome: Outcome) -> None:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        answer = Path(folder) / "answer.json"
        try:
            done = subprocess.run(  # noqa: S603 - our own command
                [*command, str(answer)],
                input=json.dumps({**setting, "folder": folder}),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                timeout=RUN_S,
                check=False,
            )
            code, words = done.returncode, done.stderr.strip()
        except subprocess.TimeoutExpired:
            code, words = WRONG, f"not done in {RUN_S:.0f} s"
        outcome.runs[contender].append(json.loads(answer.read_text()) if code == 0 else None)
    if code:
        told = words.splitlines()[-1] if words else f"exit code {code}"
        (outcome.absent if code == ABSENT else outcome.wrong)[contender] = told


def run_contender(case: Case, contender: str, answer: Path) -> int:
    """Run one contender in this process, and leave its figures in the file `answer`; return the exit code."""
    setting = json.loads(sys.stdin.read())
    [found] = [each for each in case.contenders if each.name == contender]
    try:
        figures: dict[str, Any] = found.run(setting)
    except AbsentError as error:
        code, why = ABSENT, str(error)
    except ModuleNotFoundError as error:
        code, why = ABSENT, f"{error.name} is not installed"
    except WrongAnswerError as error:
        code, why = WRONG, str(error)
    else:
        answer.write_text(json.dumps(figures))
        return 0
    print(why, file=sys.stderr)  # noqa: T201 - its parent reads it
    return code


def wait_until_quiet(most_s: float, look_s: float) -> float:
    """Wait until the machine does nothing else, `most_s` at most; return the part of all cores in use at the end."""
    deadline = time.monotonic() + most_s
    while True:
        before = _busy_s()
        time.sleep(look_s)
        busy = (_busy_s() - before) / look_s / (os.cpu_count() or 1)
        if busy < QUIET or time.monotonic() >= deadline:
            return round(busy, 3)


def _busy_s() -> float:
    """Seconds that all cores together have worked since the start of the machine; 0 where the system does not tell."""
    try:
        ticks = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    except (OSError, ValueError):
        return 0.0
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")  # without idle and waiting for the disk
