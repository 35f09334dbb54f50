"""The worked examples, offline: the same files in a pipeline without NATS, against independent computations."""

import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from md_contract.units import NS_PER_S
from senpai.md_consumer.plugins.loader import load
from senpai.md_consumer.plugins.trial import market as trial_market

PAGE = Path(__file__).parents[4] / "docs" / "plugins.md"
FOLDER = Path(__file__).parents[4] / "examples" / "plugins"


def vpin(sizes: list[float], sides: list[int]) -> float:
    """Another way: the curve of signed over all volume, read at ten equal steps."""
    volume = np.concatenate([[0], np.cumsum(sizes)])
    signed = np.concatenate([[0], np.cumsum(np.array(sizes) * sides)])
    steps = np.interp(np.linspace(0, volume[-1], 11), volume, signed)
    return float(np.sum(np.abs(np.diff(steps))) / volume[-1])


TRADE = st.tuples(st.integers(0, 90), st.integers(9_000, 11_000), st.integers(1, 5_000), st.sampled_from([1, -1, 0]))


@given(trades=st.lists(TRADE, min_size=1, max_size=60))
def test_they_equal_their_definitions_at_every_step(trades: list[Any], examples_loaded: Any, market: Any) -> None:
    made = market(examples_loaded())
    rows: list[tuple[int, float, float, int]] = []
    now = 0
    for at, cents, mils, side in sorted(trades):
        now = max(now, at)
        rows.append((at, cents / 100, mils / 1000, side))
        made.quote(at, "99.9", "100.1")
        made.trade(at, cents / 100, mils / 1000, {1: "buy", -1: "sell", 0: None}[side])
        found = made.features()
        minute = [row for row in rows if row[0] > now - 60]
        sizes, sides = [row[2] for row in minute], [row[3] for row in minute]
        expected = vpin(sizes, sides) if len(minute) >= 10 else None
        assert found["vpin_60s"] == (None if expected is None else pytest.approx(expected, rel=1e-9, abs=1e-12))
        assert found["large_trades_10s"] == sum(row[2] >= 1 for row in rows if row[0] > now - 10)
        prices = [row[1] for row in rows if row[0] > now - 30]
        highest, lowest = max(prices), min(prices)
        expected = (highest - lowest) / 100 if len(prices) >= 2 else None
        assert found["range_30s"] == (None if expected is None else pytest.approx(expected, rel=1e-9, abs=1e-15))


def test_the_rule_is_right_about_every_event(examples_loaded: Any, market: Any) -> None:
    plugins = examples_loaded()
    made = market(plugins, withhold=False, signal_cooldown_s=0.0)
    draw, price, count = random.Random(2), 100.0, 0
    for number in range(2_000):
        price *= 1 + draw.gauss(0, 6e-4)
        signals = made.quote(number / 10, price * 0.99995, price * 1.00005) + made.trade(number / 10, price)
        for signal in signals:
            if signal.rule != "reversion" or signal.state != "new":
                continue
            values, up = signal.features, signal.direction == "short"
            far = max(values["range_30s"] / 2, 2 * values["spread_bps"] / 1e4)
            away = values["vwap_deviation_60s"] * (1 if up else -1)
            assert away > far
            assert values["spread_bps"] < 20
            assert [c.op for c in signal.reason] == [">" if up else "<", "<"]
            assert signal.valid_until == signal.ts + 10 * NS_PER_S
            count += 1
    assert count >= 3
    assert plugins.off() == {}


@pytest.fixture(scope="module")
def examples_loaded() -> Any:
    """`examples_loaded()`: the plug-ins of the examples, with counters of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        load("flow,reversion")
    return lambda: load("flow,reversion")


def test_the_page_shows_what_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, market: Any) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    offline = blocks.pop()
    head = "from senpai.md_consumer.plugins import *\n"
    for number, block in enumerate(blocks):
        (tmp_path / f"page_{number}.py").write_text(head + block)
    (tmp_path / "needed.py").write_text(head + blocks[0])
    monkeypatch.syspath_prepend(tmp_path)
    for number in range(len(blocks)):
        load(f"page_{number}" if number == 0 else f"page_{number},needed")
    monkeypatch.syspath_prepend(FOLDER)
    found: dict[str, Any] = {"events": list(trial_market())}
    exec(offline, found)
    assert found["message"].features["vpin_60s"] > 0
    assert all(row["state"] == "on" and row["mean_us"] == 0 for row in found["plugins"].stats())
