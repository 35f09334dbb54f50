"""What can be wrong with a module of plug-ins is told at the start: one line each, with what to do."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from md_contract.units import NS_PER_S
from senpai.md_consumer.__main__ import cli
from senpai.md_consumer.features import SPECIFIED
from senpai.md_consumer.plugins.loader import MOST_PLUGINS, PluginsError, load

Write = Callable[..., str]

GOOD = """
@feature(trades=30, unit="price")
def range_30s(trades):
    return max(trades.price) - min(trades.price)
"""


def problems(modules: str, **options: Any) -> list[str]:
    with pytest.raises(PluginsError) as caught:
        load(modules, **options)
    assert str(caught.value).splitlines() == caught.value.problems
    assert all(line.startswith("SENPAI_PLUGINS: ") for line in caught.value.problems)
    return caught.value.problems


def test_without_modules_there_are_no_plugins() -> None:
    plugins = load(" , ")
    assert (plugins.features, plugins.rules, plugins.guards, plugins.stats()) == ({}, {}, (), [])


def test_features_and_rules_are_found_under_their_names(write: Write) -> None:
    own = write(GOOD + "\nPLUGIN_API = 1\ncalm = rule(long=[Below('range_30s', 1)])\n")
    other = write(f"from {own} import range_30s\n@rule\ndef wild(range_30s):\n    return None\n")
    plugins = load(f"{own},{other},{own}")
    assert list(plugins.features) == ["range_30s"]
    assert {name: spec.reads for name, spec in plugins.rules.items()} == {
        "calm": ("range_30s",),
        "wild": ("range_30s",),
    }
    assert [(row["name"], row["kind"], row["module"], row["state"]) for row in plugins.stats()] == [
        ("range_30s", "feature", own, "on"),
        ("calm", "rule", own, "on"),
        ("wild", "rule", other, "on"),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1 / 0", r"cannot be imported: ZeroDivisionError: division by zero \(.*mine_\d+\.py, line 2\)"),
        ("import sys\nsys.exit(3)", "cannot be imported: SystemExit: 3"),
        ("class Panic(BaseException): ...\nraise Panic(1)", "cannot be imported: Panic: 1"),
        (
            "class Odd(Exception):\n    def __str__(self): raise self\nraise Odd",
            "cannot be imported: Odd: <no words of it can be shown>",
        ),
        ("def broken(:", "cannot be imported: SyntaxError"),
        ("import no_such_library", "imports no_such_library, which is not installed"),
        ("", "declares no feature"),
        ("PLUGIN_API = 2" + GOOD, "version 2 of the plug-in API; this service has 1"),
        (GOOD.replace("range_30s", "mid"), "mid: this name is taken by the service"),
        ("momentum = rule(long=[Above('mid', 1)])", "momentum: this name is taken by the service"),
        (GOOD.replace("def range_30s", "def Range"), "Range: its name has to be"),
        (GOOD.replace("trades=30", "trades=61"), "range_30s: trades: expected a window of 1 to 60 whole seconds"),
        (GOOD.replace("trades=30", "trades=0.5"), "expected a window .*, found 0.5"),
        (GOOD.replace("trades=30", "trades=True"), "expected a window .*, found True"),
        (GOOD.replace("trades=30, ", ""), "declare an input"),
        (GOOD.replace("trades=30", "trades=30, quote=1"), "quote: say quote=True"),
        (GOOD.replace("trades=30", "quotes=30"), "its inputs are quotes, .* they are trades"),
        (GOOD.replace('"price"', '""'), "give the unit"),
        (GOOD.replace(', unit="price"', ""), "give the unit"),
        (GOOD.replace("trades=30", "trades=30, least=-1"), "least: expected"),
        (GOOD.replace("trades=30", "trades=30, warm_up=1e9"), "warm_up: expected"),
        ("feature(unit='x', trades=9)(type('running', (), {'__module__': __name__}))", "declares no feature"),
        (
            "@feature(unit='x', trades=9)\nclass x:\n    def add(self, trades): ...",
            "x: its class needs .* no remove, value",
        ),
        ("@feature(unit='x', trades=9, quote=True)\nclass x: ...", "x: a class follows exactly one window"),
        ("calm = rule(long=[Below('no_such', 1)])", "calm: reads no feature 'no_such': there are "),
        ("@rule\ndef calm(): ...", "calm: name the features it reads"),
        ("calm = rule()", "calm: give conditions"),
        ("calm = rule(long=3)", "calm: long: expected a list"),
        ("calm = rule(long=['mid'])", "calm: expected Above.* found 'mid'"),
        ("calm = rule(long=[Above('mid', 'x', 1)])", "mid: expected numbers"),
        ("calm = rule(long=[Above('mid', 1, keep=2)])", "mid: keep=2 is on the wrong side"),
        ("calm = rule(short=[Below('mid', 1, keep=0)])", "mid: keep=0 is on the wrong side"),
    ],
)
def test_what_is_wrong_with_a_module_is_one_line(write: Write, text: str, told: str) -> None:
    name = write(text)
    (line,) = problems(name)
    assert line.startswith(f"SENPAI_PLUGINS: {name}: ")
    assert re.search(told, line)


@pytest.mark.parametrize("name", ["no_such_module", "no.such.module", "mine.py", "a b", "./mine", "os.path.nothing"])
def test_a_module_that_is_not_there_is_told_with_what_to_do(name: str) -> None:
    (line,) = problems(name)
    assert "PYTHONPATH" in line or "without .py" in line


def test_every_problem_of_every_module_is_told_at_once(write: Write) -> None:
    one = write(GOOD + GOOD.replace("range_30s", "mid").replace('"price"', "''"))
    two = write(GOOD + "\ncalm = rule(long=[Below('volume', 1)])")
    found = problems(f"{one},{two},no_such_module")
    assert len(found) == 5
    assert f"{two}: range_30s: this name is taken by a plug-in of {one}" in "\n".join(found)


def test_a_rule_on_a_feature_that_is_left_out_says_so(write: Write) -> None:
    (line,) = problems(write("calm = rule(long=[Below('microprice', 1)])"), features=SPECIFIED)
    assert "FEATURES leaves it out" in line


def test_there_is_a_bound_on_their_number(write: Write) -> None:
    text = "".join(GOOD.replace("range_30s", f"range_{number}") for number in range(MOST_PLUGINS + 1))
    assert "too many" in problems(write(text))[0]


def test_the_command_tries_them_on_a_made_up_market(examples: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENPAI_PLUGINS", examples)
    monkeypatch.setenv("PLUGIN_BUDGET_US", "50000")  # a busy machine is not the plug-ins' fault
    monkeypatch.setattr("senpai.md_consumer.plugins.guard.SLOW_NS", 60 * NS_PER_S)
    shown = CliRunner().invoke(cli, ["plugins"])
    assert shown.exit_code == 0, shown.output
    for name in ("feature vpin_60s (flow)", "feature large_trades_10s", "feature range_30s", "rule reversion"):
        assert name in shown.output
    assert shown.output.count(" 0 failures") == 4
    assert re.search(r"rule reversion \(reversion\): [1-9]\d* signals", shown.output)


def test_the_command_shows_what_fails_and_where(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENPAI_PLUGINS", write("@feature(trades=9, unit='x')\ndef bad(trades):\n    return 1 / 0"))
    shown = CliRunner().invoke(cli, ["plugins"])
    assert shown.exit_code == 1
    assert "switched off: it failed 3 times in a row, with ZeroDivisionError" in shown.output
    assert "line 4, in bad" in shown.output


def test_the_command_tells_what_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENPAI_PLUGINS", "no_such_module,no_other")
    shown = CliRunner().invoke(cli, ["plugins"])
    assert shown.exit_code == 2
    assert len(shown.output.splitlines()) == 2


def test_the_examples_need_nothing_but_the_api(examples: str) -> None:
    load(examples)
    for name in examples.split(","):
        text = Path(sys.modules[name].__file__ or "").read_text()
        assert set(re.findall(r"^(?:from|import) ([\w.]+)", text, re.MULTILINE)) <= {
            "bisect",
            "itertools",
            "math",
            "operator",
            "senpai.md_consumer.plugins",
        }
