"""Stale, gap, switch, warm-up: each withholds the signals it should, for its reason, and no others."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from md_contract.events import Status, Trade
from md_contract.signals import Condition, Direction
from md_contract.units import NS_PER_S
from senpai.md_consumer.features import FEATURES, Feature
from senpai.md_consumer.marks import DISTURBS
from senpai.md_consumer.pipeline import Pipeline, PipelineOptions
from senpai.md_consumer.rules import RuleSpec

PAGE = Path(__file__).parents[4] / "docs" / "signals.md"
INPUTS = ("trades", "quotes", "books", "delays")


class Switch:
    """A rule that fires when the test says so."""

    on = False

    def begins(self) -> Direction | None:
        return "long" if Switch.on else None

    def lost(self, direction: Direction) -> list[str]:
        return []

    def is_over(self, direction: Direction) -> bool:
        return not Switch.on

    def conditions(self, direction: Direction) -> list[Condition]:
        return []


def made_of(source: Any, window_s: int | None) -> Feature:
    return FEATURES["mid" if window_s is None else "trade_count_10s"]._replace(
        family=lambda followed: followed, value=lambda _: 1.0, source=source, window_s=window_s
    )


READ: Mapping[str, tuple[Any, int | None]] = {
    "trades": ("trades", 10),
    "quotes": ("quotes", None),
    "books": ("books", None),
    "delays": ("delays", 60),
}


@pytest.fixture
def desk(make_market: Any) -> Any:
    """A market in a pipeline with one rule for each input; each fires when the switch is on."""
    Switch.on = False
    features = {**FEATURES, **{f"of_{name}": made_of(*read) for name, read in READ.items()}}
    rules = {name: RuleSpec(lambda *_: Switch(), (f"of_{name}",)) for name in READ}
    market = make_market()
    market.pipeline = Pipeline(PipelineOptions(features=features, signal_cooldown_s=0), rules)
    return market


def live(market: Any, start_s: float, for_s: float) -> list[Any]:
    """A trade, a quote and a book every half second, on both clocks."""
    signals = []
    for i in range(round(for_s * 2)):
        at = start_s + i / 2
        market.mono_ns = round((50_000 + at) * NS_PER_S)
        signals += market.quote(at) + market.book(at, [("99", "1")], [("101", "1")]) + market.trade(at)
        market.pipeline.on_time(market.mono_ns)
    return signals


def withheld(market: Any) -> dict[str, set[str]]:
    """Rule -> why."""
    found: dict[str, set[str]] = {}
    for rule, _, reason in market.pipeline.withheld:
        found.setdefault(rule, set()).add(reason)
    return found


def overheard(market: Any) -> list[Any]:
    """Every signal from here on, whoever feeds the market."""
    seen: list[Any] = []
    feed = market.feed

    def listen(event: Any) -> list[Any]:
        told: list[Any] = feed(event)
        seen.extend(told)
        return told

    market.feed = listen
    return seen


def lose(event_type: str, missing: int = 3) -> Callable[[Any], None]:
    return lambda market: market.pipeline.on_bus_gap(event_type, market.symbol, missing, market.mono_ns)


def say(kind: str, **detail: Any) -> Callable[[Any], None]:
    return lambda market: market.status(kind, **detail)


def switch(market: Any) -> None:
    market.provider = "bybit"


def only_trades(market: Any) -> None:
    for i in range(40):
        market.mono_ns = round((50_070 + i / 2) * NS_PER_S)
        market.trade(70 + i / 2)
        market.pipeline.on_time(market.mono_ns)


def only_quotes_and_books(market: Any) -> None:
    for i in range(40):
        market.mono_ns = round((50_070 + i / 2) * NS_PER_S)
        market.quote(70 + i / 2)
        market.book(70 + i / 2)
        market.pipeline.on_time(market.mono_ns)
    Switch.on = True
    market.quote(90)


def jump(market: Any) -> None:
    market.feed(Trade("binance", "BTCUSDT", market.ns(70.2), "100", "1", "1", ts_event=market.ns(200)))


def wrong_trade(market: Any) -> None:
    market.trade(70.05, 1000)


def wrong_quote(market: Any) -> None:
    market.quote(70.05, 1000, 1001)


ALL = set(INPUTS)
CASES: list[tuple[Any, dict[str, set[str]]]] = [
    (lambda _: None, {}),
    (lose("trade"), {"trades": {"trade_gap", "warming_up"}}),
    (lose("trade", 1), {"trades": {"trade_gap", "warming_up"}}),
    (lose("trade", -1), {"trades": {"new_epoch", "warming_up"}}),
    (lose("quote"), {"quotes": {"quote_gap"}}),
    (lose("quote", -1), {"quotes": {"new_epoch"}}),
    (lose("book_l2"), {"books": {"book_l2_gap"}}),
    (lose("book_l2", -1), {"books": {"new_epoch"}}),
    (say("gap"), {"trades": {"trade_gap", "warming_up"}}),
    (say("drop", type="quote"), {"quotes": {"quote_gap"}}),
    (say("drop", type="book_l2"), {"books": {"book_l2_gap"}}),
    (say("backfill"), {}),
    (say("backfill", **{"from": 5, "to": 7, "missing": 3, "backfilled": 0}), {"trades": {"backfill"}}),
    (say("backfill", **{"from": 5, "to": 6, "missing": 1, "backfilled": 0}), {"trades": {"backfill"}}),
    (say("backfill", **{"from": 5, "to": 7, "missing": -1}), {}),
    (say("backfill", **{"from": 5, "to": 7, "missing": "3"}), {}),
    (say("backfill", **{"from": 5, "to": 7, "missing": 0, "backfilled": 3}), {}),
    (say("recovered"), {}),
    (say("reconnect"), {name: {"reconnect"} for name in ("trades", "quotes", "books")}),
    (say("correction"), {"trades": {"correction"}}),
    (say("source_switch"), {name: {"source_switch"} for name in INPUTS}),
    (
        switch,
        {name: {"source_switch"} | ({"warming_up"} if name in ("trades", "delays") else set()) for name in INPUTS},
    ),
    (only_trades, {name: {"stale"} for name in ("quotes", "books")}),
    (only_quotes_and_books, {"trades": {"stale"}}),
    (jump, {name: {"clock_jump"} for name in INPUTS}),
    (wrong_trade, {"trades": {"implausible_price"}}),
    (wrong_quote, {"quotes": {"implausible_price"}}),
]


@pytest.mark.parametrize(("cause", "expected"), CASES)
def test_each_cause_withholds_the_rules_that_read_what_it_concerns_and_no_others(
    desk: Any, cause: Callable[[Any], None], expected: dict[str, set[str]]
) -> None:
    live(desk, 0, 70)
    cause(desk)
    Switch.on = True
    at = desk.clock_s + 0.05
    told = {signal.rule for signal in desk.trade(at, **({"ts_recv": desk.ns(70.3)} if cause is jump else {}))}
    assert withheld(desk) == expected
    if cause is not only_quotes_and_books:  # there the first signals were told before the last trade
        assert told == ALL - expected.keys()


@pytest.mark.parametrize("cause", [lose("trade"), lose("quote"), lose("book_l2"), say("reconnect"), wrong_trade])
def test_what_was_withheld_is_told_when_trust_returns_and_it_still_holds(desk: Any, cause: Any) -> None:
    live(desk, 0, 70)
    cause(desk)
    Switch.on = True
    desk.trade(70.1)
    late = withheld(desk).keys()
    assert late
    told = live(desk, 70.5, 12)
    assert {(signal.rule, signal.state) for signal in told} == {(rule, "new") for rule in late}


@pytest.mark.parametrize(
    ("cause", "expected"), [case for case in CASES if case[0] not in (only_trades, only_quotes_and_books)]
)
def test_each_cause_takes_back_the_signals_that_rest_on_what_it_concerns(
    desk: Any, cause: Callable[[Any], None], expected: dict[str, set[str]]
) -> None:
    live(desk, 0, 70)
    Switch.on = True
    opened = desk.trade(70)
    assert {(signal.rule, signal.state) for signal in opened} == {(name, "new") for name in INPUTS}
    assert not any(signal.trust.reasons for signal in opened)
    seen = overheard(desk)
    cause(desk)
    desk.trade(desk.clock_s + 0.05, **({"ts_recv": desk.ns(70.3)} if cause is jump else {}))
    if cause is jump:
        assert seen == []  # their time was over by then
        return
    assert {signal.rule: set(signal.causes) for signal in seen if signal.state == "cancel"} == expected
    assert {signal.id for signal in seen} <= {signal.id for signal in opened}


def test_a_symbol_that_falls_silent_takes_its_signals_back_without_an_event(desk: Any) -> None:
    live(desk, 0, 70)
    Switch.on = True
    desk.trade(70)
    told = []
    for _ in range(9):
        desk.silence(1)
        told += desk.pipeline.review(desk.mono_ns)
    assert {(signal.rule, signal.state, *signal.causes) for signal in told} == {
        (name, "cancel", "stale") for name in INPUTS
    }
    assert desk.pipeline.review(desk.mono_ns) == []


def test_the_producers_word_that_a_symbol_is_stale_takes_its_signals_back(desk: Any) -> None:
    live(desk, 0, 70)
    Switch.on = True
    desk.trade(70)
    desk.mono_ns += 1
    told = desk.feed(Status("binance", "BTCUSDT", 0, "stale", {}))
    assert {(signal.rule, *signal.causes) for signal in told} == {(name, "stale") for name in INPUTS}


def test_each_input_warms_up_by_itself(desk: Any) -> None:
    Switch.on = True
    desk.quote(0)
    desk.book(0)
    desk.trade(0)
    assert withheld(desk) == {"trades": {"warming_up"}, "delays": {"warming_up"}}
    told = {signal.rule: signal.ts for signal in live(desk, 0.5, 62)}
    assert {rule: (ts - desk.ns(0)) / NS_PER_S for rule, ts in told.items()} == {"trades": 10, "delays": 60}


def test_a_withheld_signal_is_counted_once_an_episode_and_the_last_is_kept(desk: Any) -> None:
    live(desk, 0, 70)
    lose("trade")(desk)
    Switch.on = True
    live(desk, 70, 5)
    assert desk.pipeline.withheld == {("trades", "long", "warming_up"): 1, ("trades", "long", "trade_gap"): 1}
    (sample,) = desk.pipeline.withheld_samples(10)
    assert (sample.symbol, sample.rule, sample.reasons) == ("BTCUSDT", "trades", ["warming_up", "trade_gap"])


def test_withholding_can_be_switched_off(desk: Any) -> None:
    features = {**FEATURES, "of_trades": made_of("trades", 10)}
    rules = {"trades": RuleSpec(lambda *_: Switch(), ("of_trades",))}
    desk.pipeline = Pipeline(PipelineOptions(features=features, withhold=False), rules)
    Switch.on = True
    (signal,) = desk.trade(0)
    assert (signal.state, signal.trust.reasons, desk.pipeline.withheld) == ("new", ["warming_up"], {})


def test_the_documentation_says_which_reason_concerns_which_inputs() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \| [^|]+ \|$", PAGE.read_text(), re.MULTILINE))
    assert {reason: rows.get(reason) for reason in DISTURBS} == {
        reason: ", ".join(inputs) for reason, inputs in DISTURBS.items()
    }
    assert {"warming_up", "stale", "new_epoch", "implausible_price"} <= rows.keys()
