"""Alarms of one kind about many things: each tells for itself, unless too many would; then one tells for all."""

from collections.abc import Collection
from typing import Final, NamedTuple

from md_contract.signals import AlertState
from senpai.md_consumer.alerts.alarm import Alarm
from senpai.md_consumer.alerts.kinds import Kind

MOST: Final = 10  # things that have an alarm of their own at one time


class Change(NamedTuple):
    """One alarm has changed; `subject` is None for the one that tells for many, `value` is how many."""

    subject: str | None
    state: AlertState
    value: int


class Group:
    """What is bad is either all given alarms of its own, while there are few, or counted together."""

    def __init__(self, kind: Kind, most: int = MOST) -> None:
        self._kind = kind
        self._most = most
        self._own: dict[str, Alarm] = {}
        self._shared = Alarm(kind)

    def look(self, bad: Collection[str], now_ns: int) -> list[Change]:
        """Take the things that are bad now; return what has changed."""
        changes = []
        rest = [subject for subject in bad if subject not in self._own]
        if self._shared.is_quiet and len(self._own) + len(rest) <= self._most:
            self._own |= {subject: Alarm(self._kind) for subject in rest}
            rest = []
        for subject, alarm in list(self._own.items()):
            change = alarm.look(subject in bad, now_ns)
            if change is not None:
                changes.append(Change(subject, change, 1))
            if alarm.is_quiet:
                del self._own[subject]
        change = self._shared.look(bool(rest), now_ns)
        if change is not None:
            changes.append(Change(None, change, len(rest)))
        return changes
