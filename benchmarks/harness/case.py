"""What a case says, and what a contender gives back. A case is one file in `cases/` with a `CASE`."""

import os
import resource
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias

Setting: TypeAlias = Mapping[str, str]
"""What `Case.prepare` made and every contender gets: URLs, folders."""

CPU: Final = "cpu_us"  # of this process, user and system, for one event: the primary figure of every case


class AbsentError(Exception):
    """A contender cannot be installed or started here; the text says why."""


class WrongAnswerError(Exception):
    """A contender lost, repeated or changed something: there is nothing to time."""


@dataclass(frozen=True)
class Figure:
    """One number that is reported. With a `target`, ours is compared with it."""

    name: str
    unit: str
    target: tuple[Literal["<", ">="], float] | None = None

    def is_met(self, value: float) -> bool:
        """Whether a value of ours reaches the target; true without one."""
        if self.target is None:
            return True
        sign, bound = self.target
        return value < bound if sign == "<" else value >= bound


@dataclass(frozen=True)
class Contender:
    """One way to do the work. `run` checks its own answers, and raises AbsentError or WrongAnswerError."""

    name: str
    run: Callable[[Setting], dict[str, float]]


@dataclass(frozen=True)
class Case:
    """Contenders with the same work; ratios are to the first one, which is ours.

    A contender whose name begins with "ours" is one of ours as well: it has to meet the targets.
    """

    title: str
    contenders: tuple[Contender, ...]
    figures: tuple[Figure, ...]
    prepare: Callable[[], AbstractContextManager[Setting]] = field(default=lambda: nullcontext({}))


class Stopwatch:
    """Times a block: `with Stopwatch(events) as watch: ...`, then `watch.figures()`."""

    def __init__(self, events: int) -> None:
        self.events = events
        self.wall_s = 0.0
        self.cpu_s = 0.0
        self.waited_s = 0.0

    def __enter__(self) -> "Stopwatch":
        self._waited_s, self._cpu_s, self._wall_s = _waited_s(), cpu_s(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall_s = time.perf_counter() - self._wall_s
        self.cpu_s = cpu_s() - self._cpu_s
        self.waited_s = _waited_s() - self._waited_s

    def figures(self) -> dict[str, float]:
        """What every contender reports.

        `waited`: the part of the time in which the main thread could have run and had no core. It tells how much other
        programs disturbed the run, and so how far `per_s` may be below what the machine can do.
        """
        return {
            CPU: self.cpu_s / self.events * 1e6,
            "per_s": self.events / self.wall_s,
            "waited": self.waited_s / self.wall_s,
        }


def cpu_s() -> float:
    """Seconds of processor time of this process, all threads, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _waited_s() -> float:
    """Seconds in which the main thread was ready to run and did not; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


def cache_folder() -> Path:
    """Where large data that is made once is kept: outside the repository, SENPAI_BENCHMARK_CACHE or ~/.cache."""
    named = os.environ.get("SENPAI_BENCHMARK_CACHE")
    folder = Path(named) if named else Path.home() / ".cache" / "senpai-benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def expect(what: str, found: object, expected: object) -> None:
    """Raise WrongAnswerError unless found and expected are equal."""
    if found != expected:
        raise WrongAnswerError(f"{what}: expected {str(expected)[:200]}, found {str(found)[:200]}")
