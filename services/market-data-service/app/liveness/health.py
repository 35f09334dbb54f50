"""Whether a provider is fit to be the one whose events go out: facts in, a verdict with its reasons in plain words out.

Times are of the listening clock, ns.
"""

from collections import deque
from collections.abc import Callable, Iterable
from statistics import median
from typing import Final, TypeAlias

from msgspec import Struct

from app.liveness.standing import Standing, State
from md_contract.units import NS_PER_S

RATES_OVER_S: Final = 60
MOST_RECONNECTS: Final = 5  # of a connection within RATES_OVER_S
MOST_SET_ASIDE: Final = 0.05  # of the frames within RATES_OVER_S
FEW_SET_ASIDE: Final = 20  # fewer are no sign of anything
LAG_OVER_S: Final = 5
LAG_LEAST_SAMPLES: Final = 3
STILL: Final = 0.5  # a rate or a lag that was too high has to fall to this part of its limit

_MAX_LAG_SAMPLES: Final = 256


class Facts(Struct, frozen=True):
    """What is known of one provider at one instant. Of several connections, the worst counts."""

    heard: bool  # there has been market data
    silent_ns: int  # since the last market data on a connection, or since we began to wait for it
    silence_limit_ns: int
    unconnected_ns: int  # since a connection was last open and subscribed
    put_off_ns: int  # until the next attempt to connect, while none is made
    last_end: str  # how the connection that waits for it ended
    connections: int
    frames: int  # totals since the start
    set_aside: int
    reconnects: int


class HealthLimits(Struct, frozen=True):
    """How bad things may get, and for how long they have to be good again."""

    transport_ns: int
    lag_ns: int
    settle_ns: int  # without a fault before one that was unhealthy is believed to be healthy again


class Verdict(Struct, frozen=True):
    """What is thought of one provider."""

    healthy: bool
    failing: bool  # something is wrong at present; one that is neither has yet to show that it is healthy again
    reasons: tuple[str, ...]  # why it is not healthy
    since: int  # when `healthy` last changed


class Lag:
    """The median feed latency of the last seconds: one sample a look, so that a burst counts no more than a lull."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, int]] = deque(maxlen=_MAX_LAG_SAMPLES)  # (when, latency ns)

    def sample(self, latencies_ns: Iterable[int], now: int) -> None:
        """Take the latencies of the newest events."""
        latencies = list(latencies_ns)
        if latencies:
            self._samples.append((now, int(median(latencies))))

    def forget(self) -> None:
        """Start anew: what came was held up by ourselves."""
        self._samples.clear()

    def median_ns(self, now: int) -> int | None:
        """None while too little has come to say."""
        while self._samples and now - self._samples[0][0] > LAG_OVER_S * NS_PER_S:
            self._samples.popleft()
        if len(self._samples) < LAG_LEAST_SAMPLES:
            return None
        return int(median(latency for _, latency in self._samples))


class _Rates:
    """How much some totals have grown within the last minute, looked at once a second."""

    def __init__(self) -> None:
        self._past: deque[tuple[int, Facts]] = deque(maxlen=RATES_OVER_S + 1)

    def grown(self, facts: Facts, now: int) -> tuple[int, int, int]:
        """Return the growth of frames, frames set aside and reconnects."""
        if not self._past or now - self._past[-1][0] >= NS_PER_S:
            self._past.append((now, facts))
        while now - self._past[0][0] > RATES_OVER_S * NS_PER_S:  # the newest is not that old
            self._past.popleft()
        then = self._past[0][1]
        return facts.frames - then.frames, facts.set_aside - then.set_aside, facts.reconnects - then.reconnects


class _Look(Struct, frozen=True):
    facts: Facts
    limits: HealthLimits
    lag_ns: int | None
    grown: tuple[int, int, int]


_Check: TypeAlias = Callable[[_Look, float], str | None]


def _connection(look: _Look, _share: float) -> str | None:
    unconnected_ns = look.facts.unconnected_ns
    limit_ns = look.limits.transport_ns
    if look.facts.put_off_ns > limit_ns:  # it will be away for too long: no need to wait until it has been
        return f"not connected: {look.facts.last_end}; next attempt in {_seconds(look.facts.put_off_ns)}"
    return f"not connected for {_seconds(unconnected_ns)}" if unconnected_ns > limit_ns else None


def _silence(look: _Look, _share: float) -> str | None:
    silent_ns = look.facts.silent_ns
    return f"no market data for {_seconds(silent_ns)}" if silent_ns > look.facts.silence_limit_ns else None


def _lag(look: _Look, share: float) -> str | None:
    if look.lag_ns is None or look.lag_ns <= look.limits.lag_ns * share:
        return None
    return f"its data comes {_seconds(look.lag_ns)} late"


def _bad_frames(look: _Look, share: float) -> str | None:
    frames, set_aside, _ = look.grown
    if set_aside < FEW_SET_ASIDE * share or set_aside <= frames * MOST_SET_ASIDE * share:
        return None
    return f"{set_aside} of its last {frames} frames could not be used"


def _reconnects(look: _Look, share: float) -> str | None:
    reconnects = look.grown[2]
    if reconnects <= MOST_RECONNECTS * look.facts.connections * share:
        return None
    return f"{reconnects} reconnects within {RATES_OVER_S} s"


CHECKS: Final[dict[str, _Check]] = {
    "connection": _connection,
    "silence": _silence,
    "lag": _lag,
    "bad frames": _bad_frames,
    "reconnects": _reconnects,
}


class Health:
    """Judges one provider look by look."""

    def __init__(self, limits: HealthLimits, now: int, *, presumed: bool) -> None:
        """Begin without knowing anything.

        Args:
            limits: see `HealthLimits`.
            now: listening time.
            presumed: healthy until the contrary shows (the one that is active); else it has to show that it is.
        """
        self.lag = Lag()
        self._limits = limits
        self._rates = _Rates()
        self._standing = Standing(State.GOOD if presumed else State.BAD)
        self._clear_since: int | None = None
        self._faults: frozenset[str] = frozenset()
        self.verdict = Verdict(presumed, not presumed, () if presumed else ("no market data yet",), now)

    def judge(self, facts: Facts, now: int) -> Verdict:
        look = _Look(facts, self._limits, self.lag.median_ns(now), self._rates.grown(facts, now))
        faults = {
            name: reason
            for name, check in CHECKS.items()
            if (reason := check(look, STILL if name in self._faults else 1.0))
        }
        self._faults = frozenset(faults)
        reasons = tuple(faults.values())
        if not self._standing.good and not facts.heard and not reasons:
            reasons = ("no market data yet",)
        if reasons:
            self._clear_since = None
        elif self._clear_since is None:
            self._clear_since = now
        failing = bool(reasons)
        steady = self._clear_since is not None and now - self._clear_since >= self._limits.settle_ns
        changed = self._standing.judge(fault=failing, steady=steady)
        healthy = self._standing.good
        if not healthy and not reasons:
            reasons = ("healthy again, but not for long enough to be believed",)
        self.verdict = Verdict(healthy, failing, reasons, now if changed else self.verdict.since)
        return self.verdict


def _seconds(ns: int) -> str:
    return f"{ns / NS_PER_S:.1f} s"
