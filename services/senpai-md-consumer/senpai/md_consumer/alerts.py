"""Alerts about the system itself: state with hysteresis, time as an argument.

A kind is firing or not, and only a change is told: every `firing` has its `resolved`, and a value that flutters about
its threshold gives one alert, never one per event or per check.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from md_contract.signals import Alert, AlertState, Severity
from md_contract.units import NS_PER_S


@dataclass(frozen=True, slots=True)
class AlertOptions:
    """Each kind fires at one value and resolves below another, lower one."""

    latency_ms: float = 1_000.0
    latency_resolved_ms: float = 500.0
    queue_fill: float = 0.9  # where the queue begins to drop
    queue_fill_resolved: float = 0.7
    gap_quiet_s: float = 60.0  # a gap resolves after this long without another loss


class _Kind(NamedTuple):
    severity: Severity
    firing: str
    resolved: str


KINDS: Final[dict[str, _Kind]] = {
    "latency": _Kind(
        "warning",
        "events take {value:.0f} ms (threshold {threshold:.0f} ms): see queue and rates at /stats",
        "events take {value:.0f} ms again",
    ),
    "gap": _Kind(
        "warning",
        "{value:.0f} messages were lost between producer and consumer: see the slow consumers of NATS",
        "no message was lost in the last {threshold:.0f} s",
    ),
    "backpressure": _Kind(
        "critical",
        "the queue is {value:.0%} full, so quotes and books are dropped: too many events for this consumer",
        "the queue is {value:.0%} full again",
    ),
}


class Alerts:
    """Compares what is measured with the thresholds."""

    def __init__(self, options: AlertOptions) -> None:
        self._options = options
        self._ids: dict[str, str] = {}  # of the alerts that are firing, by kind
        self._missing = 0  # as of the last check
        self._lost = 0  # in the present gap
        self._lost_ns = 0  # wall time of the last check that found a loss

    @property
    def firing(self) -> list[str]:
        """The kinds that are firing."""
        return sorted(self._ids)

    def check(self, *, latency_ms: float | None, missing: int, queue_fill: float, wall_ns: int) -> list[Alert]:
        """Take the values of the moment; return what changed (normally nothing). Called about once a second.

        `latency_ms`: since the last check, None when nothing came, which changes nothing. `missing`: messages known to
        be lost on the bus, in all. `queue_fill`: 0 to 1.
        """
        options = self._options
        changes = [
            self._level("latency", latency_ms, options.latency_ms, options.latency_resolved_ms, wall_ns),
            self._gap(missing, wall_ns),
            self._level("backpressure", queue_fill, options.queue_fill, options.queue_fill_resolved, wall_ns),
        ]
        return [alert for alert in changes if alert is not None]

    def _level(self, kind: str, value: float | None, threshold: float, resolved: float, wall_ns: int) -> Alert | None:
        if value is None:
            return None
        if kind not in self._ids:
            return self._alert(kind, "firing", value, threshold, wall_ns) if value >= threshold else None
        return self._alert(kind, "resolved", value, resolved, wall_ns) if value < resolved else None

    def _gap(self, missing: int, wall_ns: int) -> Alert | None:
        lost, self._missing = missing - self._missing, missing
        quiet_s = self._options.gap_quiet_s
        if lost > 0:
            self._lost += lost
            self._lost_ns = wall_ns
            return None if "gap" in self._ids else self._alert("gap", "firing", self._lost, quiet_s, wall_ns)
        if "gap" in self._ids and wall_ns - self._lost_ns >= quiet_s * NS_PER_S:
            lost, self._lost = self._lost, 0
            return self._alert("gap", "resolved", lost, quiet_s, wall_ns)
        return None

    def _alert(self, kind: str, state: AlertState, value: float, threshold: float, wall_ns: int) -> Alert:
        """The change of one kind; both halves of a pair carry the same id."""
        if state == "firing":
            alert_id = self._ids[kind] = f"{kind}-{wall_ns}"
        else:
            alert_id = self._ids.pop(kind)
        message = getattr(KINDS[kind], state).format(value=value, threshold=threshold)
        return Alert(alert_id, kind, state, KINDS[kind].severity, None, None, value, threshold, message, wall_ns)
