"""Mutation check: break the consumer's pure modules in one place at a time; a test must fail for each.

usage: python tests/mutation_check.py [--list] [MODULE ...]      (modules: `window`, `features`, `rules/momentum.py`)

Every operator, comparison, constant and truth value is changed by itself. For each change only the tests that run its
line are run, in a forked process with the changed module, until the first one fails. What survives is printed with its
place, and the exit code is 1; unless tests/mutation_accepted.toml says why nothing can notice it.
"""

import argparse
import os
import sys
import time
import tomllib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(Path(__file__).parent / "support"))
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a process with threads is not to be forked

from mutation.campaign import CheckError, Target, Trial, carry_out, observe, plan  # noqa: E402 - after the path

SOURCE: Final = REPOSITORY / "services" / "senpai-md-consumer"
PACKAGE: Final = "senpai/md_consumer"
MODULES: Final = (
    "window", "series", "features", "rules", "trust", "seconds", "marks", "plausible", "prices", "counters", "alerts",
    "tracked", "pipeline", "state",
)  # fmt: skip
TESTS: Final = ("tests/heart",)
ACCEPTED: Final = Path(__file__).parent / "mutation_accepted.toml"
LIBRARIES: Final = (
    "numpy", "msgspec", "hypothesis.strategies", "md_contract.codec", "nats_link.testing", "pytest_asyncio",
)  # fmt: skip

SURVIVED: Final = ("survived", "untested")

Key = tuple[str, str, str]  # module, line, change


def main(arguments: Sequence[str]) -> int:
    """Run the check; 0: every mutant is noticed or accepted, 1: some are not, 2: it could not be done."""
    options = _options(arguments)
    os.chdir(options.source)
    sys.path.insert(0, str(options.source))
    for name in LIBRARIES:
        with suppress(ImportError):
            import_module(name)
    with TemporaryDirectory() as folder:
        sys.pycache_prefix, sys.dont_write_bytecode = folder, False  # nothing is compiled twice, nothing left behind
        return _check(options)


def _check(options: argparse.Namespace) -> int:
    try:
        targets = list(_targets(options.source, options.package, options.modules))
        trials = plan(targets, observe(targets, options.tests), options.limit)
        if options.list:
            for trial in trials:
                print(f"{trial.where}: {trial.mutant.change} ({len(trial.tests)} tests)")
            return 0
        accepted = _accepted(options.accepted)
        _carry_out(trials, options.workers, accepted)
    except CheckError as error:
        print(f"mutation check: {error}", file=sys.stderr)
        return 2
    return _report(trials, {target.name for target in targets}, accepted)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", help=f"files or folders below {PACKAGE} (default: {' '.join(MODULES)})")
    parser.add_argument("--list", action="store_true", help="only list the mutants")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--limit", type=float, default=5.0, help="seconds for a test, beyond ten times what it takes")
    parser.add_argument("--source", type=Path, default=SOURCE, help="folder of the package and of its tests")
    parser.add_argument("--package", default=PACKAGE, help="the package's folder below SOURCE")
    parser.add_argument("--tests", nargs="+", default=list(TESTS), help="test files or folders below SOURCE")
    parser.add_argument("--accepted", type=Path, default=ACCEPTED, help="list of accepted mutants")
    options = parser.parse_args(arguments)
    options.source = options.source.resolve()
    options.accepted = options.accepted.resolve()
    return options


def _targets(source: Path, package: str, modules: Iterable[str]) -> Iterable[Target]:
    for module in modules or [name for name in MODULES if _files(source / package / name)]:
        files = _files(source / package / module)
        if not files:
            raise CheckError(f"no module {module!r} in {source / package}")
        for path in files:
            parts = path.relative_to(source).with_suffix("").parts
            yield Target(".".join(parts[:-1] if parts[-1] == "__init__" else parts), path)


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(path.rglob("*.py"))
    return [file for file in (path, path.with_suffix(".py")) if file.is_file()][:1]


def _carry_out(trials: list[Trial], workers: int, accepted: dict[Key, str]) -> None:
    """Run the trials; print each survivor that is not accepted, and now and then how far it is."""
    began, counts = time.monotonic(), {"killed": 0, "timeout": 0, "survived": 0, "untested": 0}
    for number, trial in enumerate(carry_out(trials, workers), 1):
        counts[trial.outcome] += 1
        if trial.outcome in SURVIVED and _key(trial) not in accepted:
            print(
                f"{trial.where}: {trial.mutant.change}: {trial.outcome} ({len(trial.tests)} tests)\n    {trial.source}"
            )
        if number == len(trials) or number % 25 == 0:
            so_far = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
            print(f"{number}/{len(trials)} in {time.monotonic() - began:.0f} s: {so_far}", flush=True)


def _key(trial: Trial) -> Key:
    return trial.target.name, trial.source, trial.mutant.change


def _accepted(path: Path) -> dict[Key, str]:
    entries = tomllib.loads(path.read_text())["accepted"] if path.exists() else []
    return {
        (entry["module"], entry["line"], change): entry["reason"] for entry in entries for change in entry["changes"]
    }


def _report(trials: Iterable[Trial], modules: set[str], accepted: dict[Key, str]) -> int:
    """Print the sum, and what is accepted but no survivor; return the exit code."""
    survivors = [_key(trial) for trial in trials if trial.outcome in SURVIVED]
    unexplained = [key for key in survivors if key not in accepted]
    stale = [key for key in accepted if key[0] in modules and key not in survivors]
    for module, line, change in stale:
        print(f"{module}: accepted, but no survivor: {change}\n    {line}")
    print(f"{len(survivors) - len(unexplained)} accepted, {len(unexplained)} to explain, {len(stale)} accepted in vain")
    return 1 if unexplained or stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
