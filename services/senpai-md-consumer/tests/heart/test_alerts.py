"""Alerts come in pairs, and not more often than what they are about changes."""

from typing import Any

import pytest

from md_contract.units import NS_PER_S
from senpai.md_consumer.alerts import KINDS, AlertOptions, Alerts


class Watch:
    """Checks once a second with values that are fine unless said otherwise."""

    def __init__(self) -> None:
        self.alerts = Alerts(AlertOptions())
        self.now_s = 0
        self.missing = 0

    def see(self, **values: Any) -> list[tuple[str, str]]:
        return [(alert.kind, alert.state) for alert in self.check(**values)]

    def check(self, latency_ms: float | None = 5, queue_fill: float = 0, lost: int = 0) -> list[Any]:
        self.now_s += 1
        self.missing += lost
        return self.alerts.check(
            latency_ms=latency_ms, missing=self.missing, queue_fill=queue_fill, wall_ns=self.now_s * NS_PER_S
        )


@pytest.fixture
def watch() -> Watch:
    return Watch()


def test_nothing_is_said_while_all_is_well(watch: Watch) -> None:
    assert [watch.see() for _ in range(100)] == [[]] * 100
    assert watch.alerts.firing == []


@pytest.mark.parametrize(
    ("field", "kind", "bad", "between", "edge", "good"),
    [("latency_ms", "latency", 1_000, 999, 500, 499), ("queue_fill", "backpressure", 0.9, 0.75, 0.7, 0.69)],
)
def test_a_level_fires_once_and_resolves_once(
    watch: Watch, field: str, kind: str, bad: float, between: float, edge: float, good: float
) -> None:
    assert watch.see(**{field: between}) == []
    assert watch.see(**{field: bad}) == [(kind, "firing")]
    assert watch.alerts.firing == [kind]
    for value in (bad, between, bad * 2, edge):
        assert watch.see(**{field: value}) == []
    assert watch.see(**{field: good}) == [(kind, "resolved")]
    assert watch.alerts.firing == []
    assert watch.see(**{field: between}) == []


def test_no_latency_is_no_news(watch: Watch) -> None:
    watch.see(latency_ms=2_000)
    assert watch.see(latency_ms=None) == []
    assert watch.see(latency_ms=1) == [("latency", "resolved")]


def test_losses_in_a_row_are_one_gap_which_resolves_after_a_minute_without(watch: Watch) -> None:
    assert watch.see(lost=3) == [("gap", "firing")]
    for _ in range(30):
        assert watch.see(lost=1) == []
    assert [watch.see() for _ in range(59)] == [[]] * 59
    (alert,) = watch.check()
    assert (alert.kind, alert.state, alert.value) == ("gap", "resolved", 33)
    (alert,) = watch.check(lost=2)
    assert (alert.state, alert.value) == ("firing", 2)


def test_both_halves_of_a_pair_carry_one_id_and_another_pair_another(watch: Watch) -> None:
    seen = [alert.id for value in (2_000, 1, 2_000, 1) for alert in watch.check(latency_ms=value)]
    assert seen[0] == seen[1] != seen[2] == seen[3]


@pytest.mark.parametrize("kind", KINDS)
def test_an_alert_says_what_it_is_about(watch: Watch, kind: str) -> None:
    values: dict[str, Any] = {
        "latency": {"latency_ms": 1_234},
        "gap": {"lost": 7},
        "backpressure": {"queue_fill": 0.95},
    }
    (alert,) = watch.check(**values[kind])
    assert (alert.kind, alert.ts, alert.severity) == (kind, NS_PER_S, KINDS[kind].severity)
    assert any(number in alert.message for number in ("1234 ms", "7 messages", "95%"))
    assert "\n" not in alert.message
