"""Benchmarks: python benchmarks/bench.py [CASE ...], or `make bench`. See benchmarks/README.md.

usage: python benchmarks/bench.py [--rounds N] [--seed N] [--wait SECONDS] [--out FOLDER] [--list] [CASE ...]

Exit code 0: every figure can be trusted; 1: some cannot (they spread too much, or a contender's answers were wrong); 2:
usage. A target that is missed is told, and is no failure.
"""

import argparse
import sys
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[1:1] = [str(HERE.parent / "tests" / "support")]  # the PostgreSQL that the tests start

from harness import report  # noqa: E402 - after the path
from harness.case import Case  # noqa: E402 - as above
from harness.machine import describe  # noqa: E402 - as above
from harness.rounds import Plan, run_case, run_contender  # noqa: E402 - as above

ROUNDS = 5


def main(arguments: list[str]) -> int:
    """Run what is asked for; return the exit code."""
    if arguments[:1] == ["--run"]:
        _, name, contender, answer = arguments
        return run_contender(load(name), contender, Path(answer))
    names = sorted(path.stem for path in (HERE / "cases").glob("[a-z]*.py"))
    options = parse(arguments, names)
    if options.list:
        for name in names:
            print(f"{name:18} {load(name).title}")
        return 0
    machine = describe(arguments)
    command = (sys.executable, str(Path(__file__).resolve()), "--run")
    plan = Plan(command, options.rounds, options.seed, options.wait, tell=_tell)
    results = []
    for name in options.cases or names:
        case = load(name)
        results.append((name, case, run_case(name, case, plan)))
        print(report.section(*results[-1]), flush=True)
    print("written:", *report.write(options.out, machine, results))
    return int(any(report.faults(case, outcome) for _, case, outcome in results))


def load(name: str) -> Case:
    """The case in `cases/<name>.py`."""
    case: Case = import_module(f"cases.{name}").CASE
    return case


def parse(arguments: list[str], names: list[str]) -> argparse.Namespace:
    """Exits with 2 for arguments that make no sense."""
    parser = argparse.ArgumentParser(prog="benchmarks/bench.py", description="Run benchmarks in rounds.")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"some of: {', '.join(names)}; default: all")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="of the order inside the rounds")
    parser.add_argument(
        "--wait", type=float, default=0.0, metavar="S", help="for a quiet machine before each run, at most"
    )
    parser.add_argument("--out", type=Path, default=HERE.parent / "data" / "benchmarks", help="folder of the reports")
    parser.add_argument("--list", action="store_true", help="list the cases and do nothing")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.cases) - set(names))
    if unknown:
        parser.error(f"no case is called {', '.join(unknown)}; there are: {', '.join(names)}")
    if options.rounds < 1:
        parser.error(f"--rounds: expected 1 or more, found {options.rounds}")
    return options


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
