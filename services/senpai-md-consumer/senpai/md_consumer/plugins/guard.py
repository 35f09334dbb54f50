"""Stands around every call of a plug-in: what it breaks, or takes too long for, stays its own.

Pure: the clock is an argument, and without one nothing is ever too slow, so that offline runs are repeatable.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from traceback import extract_tb, format_exception
from typing import Final, Literal, TypeAlias, TypeVar

from md_contract.units import NS_PER_MS, NS_PER_S, NS_PER_US

AnswerT = TypeVar("AnswerT")
Kind: TypeAlias = Literal["feature", "rule"]

IN_A_ROW: Final = 3  # failures without a good answer between them
MOST_FAILURES: Final = 20  # in this many calls, whether in a row or not: one symbol may fail, and the others answer
FAILURES_IN: Final = 1_000
SLOW_NS: Final = 50 * NS_PER_MS  # one call; all symbols wait for it
MOST_SLOW: Final = 3  # within a minute
SLOW_WITHIN_NS: Final = 60 * NS_PER_S
MEAN_OF: Final = 100  # calls
SHARE_OVER: Final = 10  # seconds
_MOST_CHARS: Final = 2_000
_SHORT_CHARS: Final = 200


class Interrupted(BaseException):  # no error of the plug-in's to handle: no `except Exception` takes it
    """Raised inside a call that has not ended for far too long."""


class Failed:
    """Stands for the answer of a call that gave none."""


FAILED: Final = Failed()


@dataclass(frozen=True, slots=True)
class Limits:
    """What a plug-in may take."""

    mean_ns: int = 5_000 * NS_PER_US  # a call, on average of MEAN_OF
    share: float = 0.25  # of all time, on average of SHARE_OVER seconds


class Stopwatch:
    """Which plug-in runs now, and since when: written by the guards, read by whoever watches over them."""

    __slots__ = ("clock", "running", "since")

    def __init__(self, clock: Callable[[], int] | None = None) -> None:
        self.clock = clock or _no_clock
        self.running: Guard | None = None
        self.since = 0


class Guard:
    """One plug-in, over all symbols. Once it is off, it is off until the process ends."""

    def __init__(self, name: str, kind: Kind, module: str, watch: Stopwatch, limits: Limits) -> None:
        self.name = name
        self.kind = kind
        self.module = module
        self.calls = 0
        self.failures = 0
        self.not_finite = 0  # answers that were NaN or infinite
        self.slow_calls = 0
        self.spent_ns = 0
        self.longest_ns = 0
        self.why_off: str | None = None
        self.last_error: str | None = None
        self.trace: str | None = None  # of the first failure
        self.first_error: tuple[str, str] | None = None  # what, and where: file:line
        self._watch = watch
        self._limits = limits
        self._in_a_row = 0
        self._failed_at: deque[int] = deque(maxlen=MOST_FAILURES)  # numbers of calls
        self._slow_at: deque[int] = deque(maxlen=MOST_SLOW)
        self._mean_from = (0, 0)  # calls and spent_ns when the present average began
        self._spent: deque[int] = deque(maxlen=SHARE_OVER + 1)  # as of the last looks

    @property
    def mean_us(self) -> float | None:
        return self.spent_ns / self.calls / NS_PER_US if self.calls else None

    def call(self, function: Callable[[], AnswerT]) -> AnswerT | Failed:
        """The answer of a plug-in, or FAILED: it is off, or has failed just now."""
        if self.why_off is not None:
            return FAILED
        watch = self._watch
        began = watch.since = watch.clock()
        answer, error = self._run(function)
        now = watch.clock()
        self.calls += 1
        if error is None:
            self._in_a_row = 0
        else:
            self._fail(error, now - began)
        self._take_time(now, now - began)
        return answer

    def look_at_share(self, *, counts: bool = True) -> None:
        """Called once a second: see what part of the time the plug-in takes. `counts`: this second is an usual one."""
        if not counts:
            self._spent.clear()
        self._spent.append(self.spent_ns)
        spent = self._spent[-1] - self._spent[0]
        if spent > self._limits.share * SHARE_OVER * NS_PER_S:
            self._switch_off(
                f"it took {spent / NS_PER_S:.1f} s of the last {SHARE_OVER} s, "
                f"more than {self._limits.share:.0%} (PLUGIN_BUDGET_PERCENT)"
            )

    def _run(self, function: Callable[[], AnswerT]) -> tuple[AnswerT | Failed, BaseException | None]:
        """Call; the interruption may come anywhere in here, and nowhere else."""
        watch = self._watch
        try:
            try:
                watch.running = self
                return function(), None
            except KeyboardInterrupt:
                raise  # somebody's Ctrl-C, where nothing else listens to it
            except BaseException as error:  # noqa: BLE001  # whatever it is, it is the plug-in's; see `describe`
                return FAILED, error
            finally:
                watch.running = None
        except Interrupted as error:
            watch.running = None
            return FAILED, error

    def _fail(self, error: BaseException, took_ns: int) -> None:
        self.failures += 1
        self.last_error = describe(error)
        if self.trace is None:
            self.trace = _printable("".join(format_exception(error, limit=-5)))[-_MOST_CHARS:]
            self.first_error = (" ".join(self.last_error.split())[:_SHORT_CHARS], _place(error))
        self._in_a_row += 1
        self._failed_at.append(self.calls)
        if isinstance(error, Interrupted):
            self._switch_off(f"a call had not ended after {took_ns / NS_PER_S:.1f} s")
        elif self._in_a_row >= IN_A_ROW:
            self._switch_off(f"it failed {IN_A_ROW} times in a row, with {self.last_error}")
        elif len(self._failed_at) == MOST_FAILURES and self.calls - self._failed_at[0] < FAILURES_IN:
            self._switch_off(f"{MOST_FAILURES} of its last {FAILURES_IN} calls failed, with {self.last_error}")

    def _take_time(self, now: int, took_ns: int) -> None:
        self.spent_ns += took_ns
        self.longest_ns = max(self.longest_ns, took_ns)
        if took_ns > SLOW_NS:
            self.slow_calls += 1
            self._slow_at.append(now)
            if len(self._slow_at) == MOST_SLOW and now - self._slow_at[0] < SLOW_WITHIN_NS:
                self._switch_off(f"{MOST_SLOW} calls within a minute took more than {SLOW_NS // NS_PER_MS} ms")
        calls, spent_ns = self._mean_from
        if self.calls - calls >= MEAN_OF:
            mean_ns = (self.spent_ns - spent_ns) / MEAN_OF
            self._mean_from = (self.calls, self.spent_ns)
            if mean_ns > self._limits.mean_ns:
                self._switch_off(
                    f"{MEAN_OF} calls took {mean_ns / NS_PER_US:.0f} us each, "
                    f"more than {self._limits.mean_ns / NS_PER_US:.0f} us (PLUGIN_BUDGET_US)"
                )

    def _switch_off(self, why: str) -> None:
        if self.why_off is None:
            self.why_off = " ".join(why.split())[:_MOST_CHARS]  # one line, whatever an exception says


def describe(error: BaseException) -> str:
    """Its name and its words, fit for a log and for JSON.

    It may be of any kind: what libraries in Rust raise is no `Exception`, and one may fail to tell its own words.
    """
    try:
        words = str(error)
    except Exception:  # noqa: BLE001  # it is the user's class
        words = "<no words of it can be shown>"
    return _printable(f"{type(error).__name__}: {words}")[:_MOST_CHARS]


def _printable(text: str) -> str:
    """The same text, with halves of surrogate pairs, which no UTF-8 has, as escapes."""
    return text.encode(errors="backslashreplace").decode()


def _place(error: BaseException) -> str:
    """The innermost line of Python it came from, as file:line."""
    frames = extract_tb(error.__traceback__, limit=-1)
    return f"{frames[0].filename}:{frames[0].lineno}" if frames else "?"


def _no_clock() -> int:
    return 0
