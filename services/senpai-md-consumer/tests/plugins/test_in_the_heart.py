"""Plug-ins in the pipeline: they see what they declared, and nobody else notices when one fails."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from md_contract.codec import encode
from md_contract.events import Status
from senpai.md_consumer.plugins.loader import load

Write = Callable[..., str]

FAULTS = {
    "raises": "return 1 / 0",
    "garbage": "return 'a lot'",
    "exits": "import sys; sys.exit(1)",
    "recurses": "return bad(trades, quotes, quote)",
}


def busy(made: Any, symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT"), seconds: int = 75) -> list[Any]:
    """A random market, the same each time; gives every feature message and signal."""
    draw, found = random.Random(3), []
    for number in range(seconds * 10):
        second = number / 10
        price = 100 + draw.gauss(0, 0.4)
        for symbol in symbols:
            at = second - (3 if draw.random() < 0.05 else 0)
            side = draw.choice(["buy", "sell", None])
            found += made.trade(at, f"{price:.3f}", f"{draw.random() + 0.1:.3f}", side, symbol)
            if draw.random() < 0.5:
                found += made.quote(second, f"{price - 0.02:.3f}", f"{price + 0.02:.3f}", symbol)
            if number % 5 == 0:
                found.append(dict(made.features(symbol)))
    return found


def without(found: list[Any], *names: str) -> list[Any]:
    """What was found, less some features."""
    for one in found:
        values = one if isinstance(one, dict) else one.features
        for name in names:
            values.pop(name, None)
    return found


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failing_plugin_is_null_and_then_off_and_changes_nothing_else(write: Write, market: Any, fault: str) -> None:
    text = "@feature(trades=20, quotes=20, quote=True, unit='x')\ndef bad(trades, quotes, quote):\n    "
    plugins = load(write(text + FAULTS[fault]))
    found = busy(market(plugins))
    assert all(one["bad"] is None for one in found if isinstance(one, dict))
    assert without(found, "bad") == busy(market(load("")))
    (row,) = plugins.stats()
    assert (row["state"], row["calls"], row["failures"]) == ("off", 3, 3)
    assert plugins.off() == {"bad": row["why_off"]}
    assert "the plug-in bad is off" in plugins.notices()[0]


def test_a_class_that_cannot_be_made_or_fails_halfway_is_off_too(write: Write, market: Any) -> None:
    name = write("""
        class Base:
            def add(self, trades): pass
            def remove(self, trades): pass
            def value(self): return 1

        @feature(trades=20, unit="x", name="unmade")
        class Unmade(Base):
            def __init__(self): raise OSError("no")

        @feature(trades=20, unit="x", name="adds")
        class Adds(Base):
            def add(self, trades): raise OSError("no")

        @feature(trades=2, unit="x", name="removes")
        class Removes(Base):
            def remove(self, trades): raise OSError("no")

        @feature(trades=20, unit="x", name="values")
        class Values(Base):
            def value(self): return [1]
    """)
    plugins = load(name)
    found = busy(market(plugins))
    assert plugins.off().keys() >= {"unmade", "adds", "values"}
    assert {row["name"]: row["failures"] > 0 for row in plugins.stats()}["removes"]
    names = ("unmade", "adds", "removes", "values")
    assert without(found, *names) == busy(market(load("")))


def test_one_symbol_may_fail_for_a_while_and_the_others_go_on(write: Write, market: Any) -> None:
    plugins = load(
        write("""
        @feature(trades=20, unit="x")
        def picky(trades):
            return 1 / (trades.price[-1] - 13)
    """)
    )
    made = market(plugins)
    for number in range(19):
        made.trade(number, 13, symbol="BAD")
        made.trade(number, 15, symbol="GOOD")
        assert (made.features("BAD")["picky"], made.features("GOOD")["picky"]) == (None, 0.5)
    assert (plugins.off(), plugins.guards[0].failures) == ({}, 19)
    made.trade(20, 13, symbol="BAD")
    made.trade(20, 15, symbol="GOOD")
    assert (made.features("BAD")["picky"], made.features("GOOD")["picky"]) == (None, None)
    assert "20 of its last 1000 calls" in plugins.off()["picky"]


def test_nan_and_infinity_are_null_and_counted_and_no_fault(write: Write, market: Any) -> None:
    plugins = load(
        write("""
        @feature(trades=20, unit="x")
        def odd(trades):
            return float("nan") if len(trades) % 2 else float("-inf")
    """)
    )
    made = market(plugins)
    for number in range(50):
        made.trade(number / 10)
        assert made.features()["odd"] is None
    assert (plugins.off(), plugins.guards[0].not_finite, plugins.guards[0].failures) == ({}, 50, 0)


def test_slow_calls_switch_it_off_and_change_nothing_else(write: Write, market: Any) -> None:
    now = [0]
    plugins = load(write("@feature(trades=20, unit='x')\ndef slow(trades):\n    return 1"), clock=lambda: now[0])
    real = plugins.guards[0]
    made = market(plugins)

    def later() -> int:
        now[0] += 6_000_000
        return now[0]

    plugins.watch.clock = later
    found = busy(made)
    assert real.why_off is not None
    assert real.calls == 100
    assert without(found, "slow") == busy(market(load("")))


def test_each_sees_what_it_declared_and_as_much_as_its_window_holds(write: Write, market: Any) -> None:
    plugins = load(
        write("""
        @feature(trades=10, quotes=5, quote=True, book=True, unit="x")
        def all_of_it(trades, quotes, quote, book):
            assert len(trades) == len(trades.ts) == len(trades.price) == len(trades.side) == len(trades.notional)
            assert len(quotes) == len(quotes.bid) == len(quotes.bid_size) == len(quotes.ask_size)
            assert all(trades.now - 10_000_000_000 < ts <= trades.now for ts in trades.ts)
            assert all(quotes.now - 5_000_000_000 < ts <= quotes.now for ts in quotes.ts)
            assert quotes.ask[-1] == quote.ask and list(trades.ts) == sorted(trades.ts)
            trades.price[0] = 7.0  # a copy
            assert trades.price[0] != 7.0
            assert book == (((99.0, 1.5),), ((101.0, 2.5), (102.0, 1.0)))
            return sum(trades.size) + book.asks[0][1]
    """)
    )
    made = market(plugins)
    made.trade(0, size="0.5")
    assert made.features()["all_of_it"] is None
    made.quote(0.5)
    assert made.features()["all_of_it"] is None
    made.book(0.6, [("99", "1.5")], [("101", "2.5"), ("102", "1")])
    assert made.features()["all_of_it"] == 3.0
    made.trade(5, size=2)
    made.trade(3, size=4)
    assert made.features()["all_of_it"] == 9.0
    made.quote(10.25)
    assert made.features()["all_of_it"] == 8.5
    made.quote(10.5, bid=0)
    assert made.features()["all_of_it"] is None
    assert plugins.guards[0].failures == 0


def test_a_function_is_called_once_for_every_change_and_not_below_its_least(write: Write, market: Any) -> None:
    plugins = load(
        write("""
        @feature(trades=10, unit="x", least=2)
        def spread_of_prices(trades):
            return max(trades.price) - min(trades.price)

        @feature(trades=10, unit="x", least=0)
        def counted(trades):
            return len(trades)

        quiet = rule(long=[Below("counted", -1)])
    """)
    )
    made = market(plugins)
    made.trade(0, 10)
    assert (made.features()["spread_of_prices"], made.features()["counted"]) == (None, 1)
    made.trade(1, 12)
    for _ in range(5):
        assert (made.features()["spread_of_prices"], made.features()["counted"]) == (2.0, 2)
    assert [guard.calls for guard in plugins.guards] == [1, 2, 0]
    made.quote(30)
    assert (made.features()["spread_of_prices"], made.features()["counted"]) == (None, 0)


def test_a_gap_restarts_what_a_plugin_sees(write: Write, market: Any) -> None:
    plugins = load(write("@feature(trades=10, unit='x', least=0)\ndef counted(trades):\n    return len(trades)"))
    made = market(plugins)
    made.trade(0)
    made.trade(0)
    made.feed(Status("binance", "BTCUSDT", 0, "gap", {"type": "trade"}))
    assert made.features()["counted"] == 0
    made.trade(0)
    assert made.features()["counted"] == 1


def test_a_running_class_equals_the_function_of_its_window(write: Write, market: Any) -> None:
    plugins = load(
        write("""
        from fractions import Fraction

        @feature(trades=7, unit="x", least=0)
        def volume_then(trades):
            return float(sum(map(Fraction, trades.size)))

        @feature(name="volume_now", trades=7, unit="x", least=0)
        class Volume:
            def __init__(self): self.sum = Fraction(0)
            def add(self, trades): self.sum += sum(map(Fraction, trades.size))
            def remove(self, trades): self.sum -= sum(map(Fraction, trades.size))
            def value(self): return float(self.sum)

        @feature(quotes=7, unit="x", least=0)
        def quotes_then(quotes):
            return len(quotes)

        @feature(name="quotes_now", quotes=7, unit="x", least=0)
        class Count:
            def __init__(self): self.count = 0
            def add(self, quotes): self.count += len(quotes.bid)
            def remove(self, quotes): self.count -= len(quotes.bid)
            def value(self): return self.count
    """)
    )
    found = [one for one in busy(market(plugins), seconds=200) if isinstance(one, dict)]
    assert plugins.off() == {}
    assert len({one["volume_now"] for one in found}) > 300
    assert [one["volume_now"] for one in found] == [one["volume_then"] for one in found]
    assert [one["quotes_now"] for one in found] == [one["quotes_then"] for one in found]


def test_a_class_that_failed_halfway_is_made_anew_and_right_again(write: Write, market: Any) -> None:
    plugins = load(
        write("""
        @feature(name="count", trades=60, unit="x", least=0)
        class Count:
            def __init__(self): self.count = 0
            def add(self, trades):
                for price in trades.price:
                    if price == 13 and len(trades) == 1: raise OSError("halfway")
                    self.count += 1
            def remove(self, trades): self.count -= len(trades)
            def value(self): return self.count
    """)
    )
    made = market(plugins)
    for number, price in enumerate([10, 11, 13, 12, 12]):
        made.trade(number, price)
        assert made.features()["count"] == number + 1
    assert plugins.guards[0].failures == 1


RULE = """
@feature(trades=10, unit="fraction", least=2, warm_up=20)
def push(trades):
    return trades.price[-1] * len(trades) / sum(trades.price) - 1

{rule}
"""
FIXED = "pushed = rule(long=[Above('push', 0.01), Below('spread_bps', 20)], short=[Below('push', -0.01)])"
MADE = """
@rule
def pushed(push, spread_bps):
    return Conditions(long=[Above("push", 0.01), Below("spread_bps", 20)], short=[Below("push", -0.01)])
"""


def pushes(made: Any) -> list[Any]:
    """Calm for 40 s, a jump at 15 s that comes before it is warm, one at 40 s that fades, one down at 60 s."""
    found = []
    for half in range(160):
        second = half / 2
        price = 102.0 if 15 <= second < 17 or 40 <= second < 43 else 97.0 if second >= 60 else 100.0
        found += made.quote(second, price - 0.01, price + 0.01)
        found += made.trade(second, price)
    return found


@pytest.mark.parametrize("rule", [FIXED, MADE])
def test_a_rule_is_told_taken_back_and_withheld_like_any_other(write: Write, market: Any, rule: str) -> None:
    plugins = load(write(RULE.format(rule=rule)))
    made = market(plugins)
    signals = [signal for signal in pushes(made) if signal.rule == "pushed"]
    assert [(signal.state, signal.direction) for signal in signals] == [
        ("new", "long"),
        ("cancel", "long"),
        ("new", "short"),
        ("cancel", "short"),
    ]
    assert signals[0].id == signals[1].id
    assert [(c.name, c.op, c.threshold) for c in signals[0].reason] == [("push", ">", 0.01), ("spread_bps", "<", 20)]
    assert signals[0].reason[0].value == pytest.approx(102 * 20 / (19 * 100 + 102) - 1, rel=1e-9, abs=0)
    assert signals[1].causes == ["push"]
    assert made.pipeline.withheld["pushed", "long", "warming_up"] == 1
    assert plugins.off() == {}


def test_a_rule_that_fails_takes_its_signal_back_and_the_others_stay(write: Write, market: Any) -> None:
    good = market(load(write(RULE.format(rule=MADE))))
    bad = write(RULE.format(rule=MADE.replace("    return", "    if push > 0.015: spread_bps.oh_no\n    return")))
    plugins = load(bad)
    made = market(plugins)
    expected = [signal for signal in pushes(good) if signal.rule != "pushed"]
    found = pushes(made)
    assert [signal for signal in found if signal.rule != "pushed"] == expected
    assert [signal for signal in found if signal.rule == "pushed"] == []
    assert "AttributeError" in plugins.off()["pushed"]
    assert expected


def test_a_signal_of_a_rule_that_is_switched_off_is_taken_back(write: Write, market: Any) -> None:
    plugins = load(write(RULE.format(rule=FIXED)))
    made = market(plugins)
    found = []
    for half in range(100):
        price = 100.0 if half < 82 else 102.0
        found += made.quote(half / 2, price - 0.01, price + 0.01)
        found += made.trade(half / 2, price)
        if any(signal.rule == "pushed" for signal in found):
            break
    plugins.guards[0].why_off = "it was slow"
    found += made.quote(42)
    assert [(signal.state, signal.causes) for signal in found if signal.rule == "pushed"][1:] == [("cancel", ["push"])]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("return 7", "expected Conditions"),
        ("return Conditions(long=['push'])", "expected Above"),
        ("return Conditions(long=[Above('mid', 1)])", "not among its parameters"),
        ("return Conditions(long=[Above('push', push / 0)])", "ZeroDivisionError"),
    ],
)
def test_a_rule_that_answers_garbage_is_switched_off(write: Write, market: Any, answer: str, told: str) -> None:
    plugins = load(write(RULE.format(rule=f"@rule\ndef pushed(push):\n    {answer}")))
    assert not [signal for signal in pushes(market(plugins)) if signal.rule == "pushed"]
    assert told in plugins.off()["pushed"]


def test_a_rule_may_have_nothing_to_say(write: Write, market: Any) -> None:
    plugins = load(write(RULE.format(rule="@rule\ndef pushed(push):\n    return None")))
    assert not [signal for signal in pushes(market(plugins)) if signal.rule == "pushed"]
    assert plugins.off() == {}


def test_a_plugin_lengthens_no_window_of_others(write: Write, market: Any) -> None:
    plugins = load(write("@feature(trades=60, unit='x')\ndef count_60s(trades):\n    return len(trades)"))
    found = busy(market(plugins, window_s=20))
    assert max(one["count_60s"] or 0 for one in found if isinstance(one, dict)) <= 201
    assert without(found, "count_60s") == busy(market(load(""), window_s=20))


def test_limits_of_numpy_are_published_as_plain_numbers(write: Write, market: Any) -> None:
    pytest.importorskip("numpy")
    text = "import numpy as np\n@rule\ndef pushed(push):\n    return Conditions(long=[Above('push', np.float32(0.01))])"
    plugins = load(write(RULE.format(rule=text)))
    signals = [signal for signal in pushes(market(plugins)) if signal.rule == "pushed"]
    assert [(type(c.threshold), type(c.value)) for c in signals[0].reason] == [(float, float)]
    assert encode(signals[0])
    assert plugins.off() == {}
