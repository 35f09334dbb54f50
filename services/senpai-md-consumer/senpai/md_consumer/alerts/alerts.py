"""Compares what is measured with the thresholds, and tells what has changed: once when it begins, once when it ends."""

from collections.abc import Iterator, Mapping
from typing import Final

from md_contract.signals import Alert, AlertState
from md_contract.units import NS_PER_S
from senpai.md_consumer.alerts.alarm import Alarm
from senpai.md_consumer.alerts.group import Group
from senpai.md_consumer.alerts.kinds import KINDS
from senpai.md_consumer.alerts.readings import Readings
from senpai.md_consumer.alerts.share import Share

FIRST_CONNECTION_S: Final = 5  # so long NATS may take at the start
GROUPS: Final = (
    "stale",
    "feed_gap",
    "source_switch",
    "plugin_off",
)  # about one symbol or plug-in each; the others are about all
MOST_SUBJECT_CHARS: Final = 64


class Alerts:
    """Every alarm of the service."""

    def __init__(self) -> None:
        self._single = {name: Alarm(kind) for name, kind in KINDS.items() if name not in GROUPS}
        self._groups = {name: Group(KINDS[name]) for name in GROUPS}
        self._ids: dict[tuple[str, str | None], str] = {}  # of the alerts that are firing, by kind and subject
        self._holes, self._duplicates = Share(), Share()
        self._missing = self._rebased = self._reconnects = 0  # as of the last look
        self._lost = 0  # in the present gap
        self._started_ns: int | None = None
        self._has_connected = False

    @property
    def firing(self) -> list[str]:
        """The kinds that are firing."""
        return sorted({kind for kind, _ in self._ids})

    def check(self, readings: Readings, *, mono_ns: int, wall_ns: int) -> list[Alert]:
        """Take the values of the moment; return what changed (normally nothing). Called about once a second."""
        found = []
        for name, value, shown in self._values(readings, mono_ns):
            change = self._single[name].look(value, mono_ns)
            if change is not None:
                found.append(self._alert(name, None, change, shown, KINDS[name].fires_at, wall_ns))
        if not self._single["gap"].is_firing:
            self._lost = 0
        silences = {symbol: f"{silence_s:.0f} s" for symbol, silence_s in readings.stale.items()}
        for name, whys in zip(
            GROUPS, (silences, readings.feed_gaps, readings.switched, readings.plugins_off), strict=True
        ):
            found += self._group(name, whys, mono_ns, wall_ns)
        self._missing, self._rebased, self._reconnects = readings.missing, readings.rebased, readings.reconnects
        return found

    def _values(self, now: Readings, mono_ns: int) -> Iterator[tuple[str, float, float]]:
        """Of every alarm about all: its name, the value that decides, and the one that is told."""
        if now.latency_ms is not None:
            yield "latency", now.latency_ms, now.latency_ms
        yield "backpressure", now.queue_fill, now.queue_fill
        lost = max(now.missing - self._missing, 0)
        self._lost += lost
        yield "gap", lost, self._lost
        holes = self._holes.look(now.holes, now.received, mono_ns)
        yield "split_symbol", holes, holes
        repeated = self._duplicates.look(now.duplicates, now.received, mono_ns)
        yield "duplicates", max(repeated, now.rebased > self._rebased), repeated
        away = float(self._is_away(now, mono_ns))
        yield "nats", away, away

    def _is_away(self, now: Readings, mono_ns: int) -> bool:
        """Whether NATS is away or was since the last look; at the start it is given some time."""
        self._started_ns = mono_ns if self._started_ns is None else self._started_ns
        self._has_connected = self._has_connected or now.connected
        if not self._has_connected:
            return mono_ns - self._started_ns >= FIRST_CONNECTION_S * NS_PER_S
        return not now.connected or now.reconnects > self._reconnects

    def _group(self, name: str, whys: Mapping[str, str], mono_ns: int, wall_ns: int) -> Iterator[Alert]:
        for subject, change, value in self._groups[name].look(whys.keys(), mono_ns):
            why = "" if subject is None else whys.get(subject, "")
            yield self._alert(name, subject, change, value, None, wall_ns, why)

    def _alert(
        self,
        name: str,
        subject: str | None,
        state: AlertState,
        value: float,
        threshold: float | None,
        wall_ns: int,
        why: str = "",
    ) -> Alert:
        """The change of one alarm; both halves of a pair carry the same id."""
        kind = KINDS[name]
        if state == "firing":
            alert_id = f"{name}-{wall_ns}" if subject is None else f"{name}-{subject}-{wall_ns}"
            self._ids[name, subject] = alert_id
        else:
            alert_id = self._ids.pop((name, subject))
        text = kind.summary if subject is None and kind.summary else kind.firing
        if state == "resolved":
            text = kind.summary_resolved if subject is None and kind.summary else kind.resolved
        shown = "" if subject is None else subject if subject.isprintable() else ascii(subject)
        message = text.format(value=value, subject=shown[:MOST_SUBJECT_CHARS], why=why)
        symbol = None if name == "plugin_off" else subject
        provider = why if name == "source_switch" and why else None
        return Alert(alert_id, name, state, kind.severity, symbol, provider, value, threshold, message, wall_ns)
