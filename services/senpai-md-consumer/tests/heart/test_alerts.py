"""Alerts come in pairs, and not more often than what they are about changes."""

import re
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from md_contract.units import NS_PER_S
from senpai.md_consumer.alerts import KINDS, Alerts, Readings
from senpai.md_consumer.alerts.alarm import TABLE, Alarm, Level, Sign
from senpai.md_consumer.alerts.group import MOST

PAGE = Path(__file__).parents[4] / "docs" / "signals.md"
WALL = 1_700_000_000 * NS_PER_S

# What makes each kind fire, each second; totals grow by what is given.
BAD: dict[str, dict[str, Any]] = {
    "latency": {"latency_ms": 1_234.0},
    "gap": {"missing": 7, "holes": 1},
    "backpressure": {"queue_fill": 0.95},
    "stale": {"stale": {"BTCUSDT": 12.0}},
    "feed_gap": {"feed_gaps": {"BTCUSDT": "50 trade events"}},
    "source_switch": {"switched": {"BTCUSDT": "bybit"}},
    "split_symbol": {"missing": 50, "holes": 50},
    "nats": {"connected": False},
    "duplicates": {"duplicates": 50},
    "plugin_off": {"plugins_off": {"mine.py": "it raised ZeroDivisionError"}},
}
WORDS = {
    "latency": "1234 ms",
    "gap": "7 messages",
    "backpressure": "95%",
    "stale": "BTCUSDT for 12 s",
    "feed_gap": "the feed of BTCUSDT has lost 50 trade events for good",
    "source_switch": "BTCUSDT now comes from bybit",
    "split_symbol": "queue group senpai-md",
    "nats": "start NATS",
    "duplicates": "two producers",
    "plugin_off": "mine.py was switched off: it raised ZeroDivisionError",
}
TOTALS = ("received", "holes", "missing", "duplicates", "rebased", "reconnects")
FINE: dict[str, Any] = {
    "latency_ms": 5.0, "queue_fill": 0.0, "connected": True, "stale": {}, "feed_gaps": {}, "switched": {},
    "plugins_off": {},
}  # fmt: skip
# Of each kind: what is not enough, what just is, and for how many seconds; what does not resolve it, what just does,
# and for how many seconds. A share is that of ten seconds, so it is there after nine more.
LIMITS: dict[str, tuple[dict[str, Any], dict[str, Any], int, dict[str, Any], dict[str, Any], int]] = {
    "latency": ({"latency_ms": 999.9}, {"latency_ms": 1_000}, 0, {"latency_ms": 500}, {"latency_ms": 499.9}, 5),
    "gap": ({}, {"missing": 1}, 0, {"missing": 1}, {}, 60),
    "backpressure": ({"queue_fill": 0.89}, {"queue_fill": 0.9}, 0, {"queue_fill": 0.7}, {"queue_fill": 0.69}, 5),
    "stale": ({}, {"stale": {"BTCUSDT": 9.0}}, 0, {"stale": {"BTCUSDT": 9.0}}, {}, 10),
    "feed_gap": ({}, {"feed_gaps": {"BTCUSDT": "x"}}, 0, {"feed_gaps": {"BTCUSDT": "x"}}, {}, 60),
    "source_switch": ({}, {"switched": {"BTCUSDT": "bybit"}}, 0, {"switched": {"BTCUSDT": "bybit"}}, {}, 10),
    "split_symbol": ({"holes": 19}, {"holes": 20}, 9 + 20, {"holes": 5}, {"holes": 4}, 30),
    "nats": ({}, {"connected": False}, 0, {"connected": False}, {}, 5),
    "duplicates": ({"duplicates": 19}, {"duplicates": 20}, 9, {"duplicates": 5}, {"duplicates": 4}, 30),
    "plugin_off": ({}, {"plugins_off": {"mine.py": "why"}}, 0, {"plugins_off": {"mine.py": "why"}}, {}, 10),
}


class Watch:
    """Checks once a second with values that are fine unless said otherwise: 100 messages a second, nothing lost."""

    def __init__(self) -> None:
        self.alerts = Alerts()
        self.now_s = 0
        self.totals = Counter[str]()

    def see(self, **values: Any) -> list[tuple[str, str]]:
        return [(alert.kind, alert.state) for alert in self.check(**values)]

    def check(self, **values: Any) -> list[Any]:
        self.now_s += 1
        self.totals.update({"received": 100} | {name: values.pop(name) for name in TOTALS if name in values})
        readings = Readings(**(FINE | {name: self.totals[name] for name in TOTALS} | values))
        return self.alerts.check(readings, mono_ns=self.now_s * NS_PER_S, wall_ns=WALL + self.now_s * NS_PER_S)

    def seconds_until_told(self, most: int, **values: Any) -> int | None:
        """After how many more seconds of this something is told; None: not within `most`."""
        return next((seconds for seconds in range(most) if self.check(**values)), None)

    def run(self, seconds: int, **values: Any) -> list[Any]:
        return [alert for _ in range(seconds) for alert in self.check(**values)]


@pytest.fixture
def watch() -> Watch:
    return Watch()


def test_nothing_is_said_while_all_is_well(watch: Watch) -> None:
    assert watch.run(100) == []
    assert watch.alerts.firing == []


def test_every_kind_is_tested_and_documented() -> None:
    assert BAD.keys() == WORDS.keys() == LIMITS.keys() == KINDS.keys()
    assert KINDS.keys() <= set(re.findall(r"^\| `(\w+)` \|", PAGE.read_text().split("## Alerts")[1], re.MULTILINE))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_fires_once_and_resolves_once_under_flutter(watch: Watch, kind: str) -> None:
    watch.run(20)
    found = watch.run(40, **BAD[kind])
    for i in range(60):
        found += watch.check(**(BAD[kind] if i % 3 else {}))
    found += watch.run(100)
    mine = [alert for alert in found if alert.kind == kind]
    assert [alert.state for alert in mine] == ["firing", "resolved"]
    assert mine[0].id == mine[1].id
    assert WORDS[kind] in mine[0].message
    assert "\n" not in mine[0].message + mine[1].message
    assert (mine[0].severity, mine[0].ts > WALL) == (KINDS[kind].severity, True)
    assert watch.alerts.firing == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_told_from_its_limits_on_and_not_before(watch: Watch, kind: str) -> None:
    too_little, enough, hold_s, too_much, well, quiet_s = LIMITS[kind]
    assert watch.seconds_until_told(100, **too_little) is None
    assert watch.seconds_until_told(100, **enough) == hold_s
    assert watch.alerts.firing == [kind]
    assert watch.seconds_until_told(100, **too_much) is None
    assert watch.seconds_until_told(100, **well) == quiet_s
    assert watch.alerts.firing == []


@pytest.mark.parametrize(
    ("field", "kind", "bad", "between", "good"),
    [("latency_ms", "latency", 1_000, 999, 499), ("queue_fill", "backpressure", 0.9, 0.75, 0.69)],
)
def test_a_level_resolves_when_it_has_been_low_for_a_while(
    watch: Watch, field: str, kind: str, bad: float, between: float, good: float
) -> None:
    assert watch.see(**{field: between}) == []
    assert watch.see(**{field: bad}) == [(kind, "firing")]
    assert watch.alerts.firing == [kind]
    for value in (bad, between, good, good, bad, good, between, good, good, good, good, good):
        assert watch.see(**{field: value}) == []
    assert watch.see(**{field: good}) == [(kind, "resolved")]
    assert watch.see(**{field: between}) == []


def test_no_latency_is_no_news(watch: Watch) -> None:
    watch.see(latency_ms=2_000)
    assert watch.run(20, latency_ms=None) == []


def test_a_gap_tells_how_much_was_lost_in_all_of_it(watch: Watch) -> None:
    assert watch.see(missing=3, holes=1) == [("gap", "firing")]
    assert watch.run(30, missing=1, holes=1) == []
    assert watch.run(60) == []
    (alert,) = watch.check()
    assert (alert.kind, alert.state, alert.value) == ("gap", "resolved", 33)
    (alert,) = watch.check(missing=2, holes=1)
    assert (alert.state, alert.value) == ("firing", 2)


def test_losses_in_bursts_are_no_split_and_a_split_needs_to_last(watch: Watch) -> None:
    found = watch.run(60, missing=5_000, holes=2)
    found += watch.run(5, missing=50, holes=50)
    assert {alert.kind for alert in found} == {"gap"}
    found = watch.run(40, missing=50, holes=50)
    assert [(alert.kind, alert.state) for alert in found] == [("split_symbol", "firing")]


def test_a_rebased_stream_is_told_even_when_nothing_repeats(watch: Watch) -> None:
    assert watch.see(rebased=1) == [("duplicates", "firing")]
    assert [alert.state for alert in watch.run(60)] == ["resolved"]


def test_at_the_start_nats_may_take_some_seconds_and_a_short_loss_is_told(watch: Watch) -> None:
    assert watch.run(5, connected=False) == []
    assert watch.see(connected=False) == [("nats", "firing")]
    assert [alert.state for alert in watch.run(6)] == ["resolved"]
    assert watch.see(reconnects=1) == [("nats", "firing")]


def test_a_switch_is_told_from_its_mark_until_ten_seconds_after_it_has_gone(watch: Watch) -> None:
    (alert, *rest) = watch.run(60, switched={"BTCUSDT": "bybit"})
    assert (alert.kind, alert.state, alert.provider, rest) == ("source_switch", "firing", "bybit", [])
    assert watch.run(10) == []
    assert watch.see() == [("source_switch", "resolved")]


def test_many_symbols_at_once_are_one_alert(watch: Watch) -> None:
    some = {f"S{number}": 10.0 for number in range(3)}
    many = {f"S{number}": 10.0 for number in range(200)}
    own = watch.check(stale=some)
    assert {alert.symbol for alert in own} == set(some)
    assert {(alert.state, alert.value, alert.provider) for alert in own} == {("firing", 1, None)}
    (alert,) = watch.check(stale=many)
    assert (alert.kind, alert.state, alert.symbol, alert.value) == ("stale", "firing", None, 197)
    assert watch.run(50, stale=many) == []
    ended = watch.run(30)
    assert Counter((alert.state, alert.symbol is None) for alert in ended) == {
        ("resolved", False): 3,
        ("resolved", True): 1,
    }
    ids = {alert.symbol: alert.id for alert in [*own, alert]}
    assert len(set(ids.values())) == len(ids) == 4
    assert {alert.symbol: alert.id for alert in ended} == ids
    for ending in ended:
        whose = "all of these symbols speak" if ending.symbol is None else f"{ending.symbol} speaks"
        assert ending.message.startswith(f"{whose} again")
    assert watch.alerts.firing == []


@pytest.mark.parametrize("kind", ["stale", "switched", "plugins_off"])
def test_ten_have_an_alert_each_and_eleven_one_together(kind: str) -> None:
    ten = {f"S{number}": "x" if kind != "stale" else 10.0 for number in range(10)}
    assert len(Watch().check(**{kind: ten})) == 10
    (alert,) = Watch().check(**{kind: ten | {"S10": ten["S0"]}})
    assert (alert.symbol, alert.value) == (None, 11)


def test_what_happened_before_the_first_look_is_told_at_it(watch: Watch) -> None:
    assert set(watch.see(missing=1, rebased=1, reconnects=1)) == {
        ("gap", "firing"), ("duplicates", "firing"), ("nats", "firing"),
    }  # fmt: skip


def test_a_jump_that_is_found_to_be_wrong_takes_nothing_off_the_gap(watch: Watch) -> None:
    watch.see(missing=5)
    watch.see(missing=-3)
    ended = watch.run(61)
    assert [(alert.kind, alert.state, alert.value) for alert in ended] == [("gap", "resolved", 5)]


def test_what_a_symbol_is_called_cannot_break_the_line(watch: Watch) -> None:
    (alert,) = watch.check(stale={"A\nB" + "x" * 1_000: 9.0})
    assert "\n" not in alert.message
    assert len(alert.message) < 300
    for length, shown in ((64, 64), (65, 64)):
        (alert,) = Watch().check(stale={"x" * length: 9.0})
        assert f"no event of {'x' * shown} for" in alert.message


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([*KINDS, "many", "none"]), st.integers(1, 40)), max_size=20))
def test_whatever_happens_alerts_come_in_pairs_with_ids_of_their_own(history: list[tuple[str, int]]) -> None:
    watch, found = Watch(), []
    many = {f"S{number}": 9.0 for number in range(MOST + 1)}
    for kind, seconds in history:
        found += watch.run(
            seconds, **({"stale": many, "switched": dict.fromkeys(many, "x")} if kind == "many" else BAD.get(kind, {}))
        )
    found += watch.run(200)
    firing = [alert.id for alert in found if alert.state == "firing"]
    resolved = [alert.id for alert in found if alert.state == "resolved"]
    assert len(set(firing)) == len(firing)
    assert sorted(firing) == sorted(resolved)
    assert watch.alerts.firing == []


def test_the_table_decides_every_level_and_changes_are_told_exactly_where_it_turns() -> None:
    on = {Level.FIRING, Level.EASING}
    for (before, _), (after, told) in TABLE.items():
        assert told == (None if (before in on) == (after in on) else "firing" if after in on else "resolved")
    reached = {Level.QUIET}
    for _ in Level:
        reached |= {after for (before, _), (after, _) in TABLE.items() if before in reached}
    assert reached == set(Level)
    assert {sign for _, sign in TABLE} == set(Sign)


def test_an_alarm_with_no_patience_turns_at_once() -> None:
    alarm, seconds = Alarm(KINDS["plugin_off"]._replace(quiet_s=0)), count()
    assert [alarm.look(value, next(seconds) * NS_PER_S) for value in (1, 1, 0, 0)] == ["firing", None, "resolved", None]
