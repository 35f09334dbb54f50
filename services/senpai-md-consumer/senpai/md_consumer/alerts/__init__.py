"""Alerts about the system itself: state with hysteresis, time as an argument.

A kind is firing or not, and only a change is told: every `firing` has its `resolved` with the same id, and a value that
flutters about its threshold gives one alert, never one per event or per look.
"""

from senpai.md_consumer.alerts.alerts import Alerts
from senpai.md_consumer.alerts.kinds import KINDS, Kind
from senpai.md_consumer.alerts.readings import Readings

__all__ = ["KINDS", "Alerts", "Kind", "Readings"]
