"""Plug-ins in the service: the worked examples as a process on NATS, and one that fails among others."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from md_contract import codec

EXAMPLES = Path(__file__).parents[4] / "examples" / "plugins"
BAD = """
from senpai.md_consumer.plugins import feature

@feature(trades=10, unit="x")
def good(trades):
    return len(trades)

@feature(trades=10, unit="x")
def bad(trades):
    return trades.price[1_000_000]
"""


def path(bus: Any) -> list[Any]:
    """A minute of a price that swings, then runs away and falls back; trades of both sides, with quotes."""
    events = []
    for number in range(300):
        second = number / 4 - 80
        price = 100 + 0.05 * np.sin(number / 9) + (1.2 if 270 <= number < 280 else 0.0)
        events.append(bus.quote(second=second, bid=f"{price - 0.01:.4f}", ask=f"{price + 0.01:.4f}"))
        trade = bus.trade(second=second, price=f"{price:.4f}", size=f"{1 + number % 7 / 4:.2f}")
        trade.side = ("buy", "sell", "buy", None)[number % 4]
        events.append(trade)
    return events


async def get(url: str, form: str = "json") -> Any:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.status == 200
        return await (response.json() if form == "json" else response.text())


async def test_the_examples_say_on_nats_what_they_define(nats_server: Any, bus: Any, wait: Any, start: Any) -> None:
    env = {"PYTHONPATH": str(EXAMPLES), "SENPAI_PLUGINS": "flow, reversion", "FEATURES_PUB_RATE_HZ": "1000"}
    process = start(NATS_URL=nats_server.url, **env)
    url = (await asyncio.to_thread(process.read_until, "started"))["http"]
    await asyncio.to_thread(process.read_until, "connected to NATS")
    events = path(bus)
    trades = [event for event in events if hasattr(event, "price")]
    await bus.send(*events)
    last = trades[-1].ts_event

    def messages() -> list[Any]:
        return [codec.decode_features(payload) for payload in bus.on("senpai.features.BTCUSDT")]

    await wait(lambda: any(message.ts == last for message in messages()), "the last features")
    message = next(message for message in reversed(messages()) if message.ts == last)

    def of(span_s: int) -> list[Any]:
        return [trade for trade in trades if trade.ts_event > last - span_s * 1_000_000_000]

    sizes = np.array([float(trade.size) for trade in of(60)])
    sides = np.array([{"buy": 1, "sell": -1, None: 0}[trade.side] for trade in of(60)])
    volume, signed = (np.concatenate([[0], np.cumsum(column)]) for column in (sizes, sizes * sides))
    steps = np.interp(np.linspace(0, volume[-1], 11), volume, signed)
    prices, quote = [float(trade.price) for trade in of(30)], events[-2]
    expected = {
        "vpin_60s": np.abs(np.diff(steps)).sum() / volume[-1],
        "large_trades_10s": sum(float(trade.size) >= 1 for trade in of(10)),
        "range_30s": (max(prices) - min(prices)) / ((float(quote.bid) + float(quote.ask)) / 2),
    }
    assert {name: message.features[name] for name in expected} == pytest.approx(expected, rel=1e-9, abs=0)
    signals = [codec.decode_signal(payload) for payload in bus.on("senpai.signals.BTCUSDT")]
    reversions = [(found.state, found.direction) for found in signals if found.rule == "reversion"]
    assert ("new", "short") in reversions
    stats = await get(f"{url}/stats")
    assert [(row["name"], row["module"], row["state"], row["failures"]) for row in stats["plugins"]] == [
        ("vpin_60s", "flow", "on", 0),
        ("large_trades_10s", "flow", "on", 0),
        ("range_30s", "reversion", "on", 0),
        ("reversion", "reversion", "on", 0),
    ]
    assert all(row["calls"] > 0 and row["mean_us"] > 0 for row in stats["plugins"])
    process.signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait) == 0


async def test_one_that_fails_is_switched_off_and_told_once_while_the_rest_goes_on(
    nats_server: Any, bus: Any, wait: Any, start: Any, tmp_path: Path
) -> None:
    (tmp_path / "shaky.py").write_text(BAD)
    env = {"PYTHONPATH": str(tmp_path), "SENPAI_PLUGINS": "shaky", "FEATURES_PUB_RATE_HZ": "1000"}
    process = start(NATS_URL=nats_server.url, **env)
    url = (await asyncio.to_thread(process.read_until, "started"))["http"]
    await asyncio.to_thread(process.read_until, "connected to NATS")

    def alerts() -> list[Any]:
        found = [codec.decode_alert(payload) for payload in bus.on("senpai.alerts")]
        return [alert for alert in found if alert.kind == "plugin_off"]

    for number in range(5):
        await bus.send(bus.trade(second=number / 10), bus.quote(second=number / 10))
    failed = await asyncio.to_thread(process.read_until, "plugin_failed")
    off = await asyncio.to_thread(process.read_until, "plugin_off")
    assert (failed["plugin"], off["plugin"], off["module"]) == ("bad", "bad", "shaky")
    assert "array index out of range" in off["why"]
    assert failed["error"] == "IndexError: array index out of range"
    number = BAD.splitlines().index("    return trades.price[1_000_000]") + 1
    assert failed["where"] == f"{tmp_path / 'shaky.py'}:{number}"
    assert "traceback" not in failed
    await wait(alerts, "the alert")
    for number in range(5, 30):
        await bus.send(bus.trade(second=number / 10), bus.quote(second=number / 10))

    def newest() -> Any:
        return codec.decode_features(bus.on("senpai.features.BTCUSDT")[-1]).features

    await wait(lambda: newest()["trade_count_10s"] == 30, "features")
    assert (newest()["bad"], newest()["good"]) == (None, 30)
    (alert,) = alerts()
    assert (alert.state, alert.severity) == ("firing", "warning")
    assert "the plug-in bad was switched off: it failed 3 times in a row, with IndexError" in alert.message
    health = await get(f"{url}/health")
    assert (health["status"], health["reasons"]) == ("ready", [])
    assert "plugin_off" in health["alerts"]
    assert "the plug-in bad is off: it failed 3 times" in health["notices"][0]
    metrics = await get(f"{url}/metrics", "text")
    assert 'senpai_plugin_on{plugin="bad"} 0.0' in metrics
    assert 'senpai_plugin_on{plugin="good"} 1.0' in metrics
    assert 'senpai_plugin_failures_total{plugin="bad"} 3.0' in metrics
    assert 'senpai_plugin_failures_total{plugin="good"} 0.0' in metrics


async def test_plugins_that_cannot_be_used_end_it_with_one_line_each_and_exit_2(start: Any, tmp_path: Path) -> None:
    (tmp_path / "shaky.py").write_text("import nothing_of_the_kind")
    process = start(PYTHONPATH=str(tmp_path), SENPAI_PLUGINS="shaky,no_such_module")
    assert await asyncio.to_thread(process.wait) == 2
    one, other = process.stderr.splitlines()
    assert one == ("senpai-md-consumer: SENPAI_PLUGINS: shaky: it imports nothing_of_the_kind, which is not installed")
    assert "no_such_module: there is no such module" in other


async def test_an_endless_loop_is_interrupted_and_the_rest_goes_on(
    nats_server: Any, bus: Any, wait: Any, start: Any, tmp_path: Path
) -> None:
    (tmp_path / "endless.py").write_text(BAD.replace("return trades.price[1_000_000]", "while True: pass"))
    process = start(NATS_URL=nats_server.url, PYTHONPATH=str(tmp_path), SENPAI_PLUGINS="endless")
    await asyncio.to_thread(process.read_until, "connected to NATS")
    await bus.send(bus.trade())
    stuck = await asyncio.to_thread(process.read_until, "plugin_stuck")
    assert (stuck["plugin"], stuck["module"]) == ("bad", "endless")
    assert "in bad" in stuck["where"]
    await wait(lambda: bus.on("senpai.features.BTCUSDT"), "features")
    found = codec.decode_features(bus.on("senpai.features.BTCUSDT")[-1]).features
    assert (found["bad"], found["good"], found["trade_count_10s"]) == (None, 1, 1)
    process.signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait) == 0


SWALLOWS = "while True:\n        try: time.sleep(.1)\n        except BaseException: pass"


@pytest.mark.parametrize("number", [None, signal.SIGTERM, signal.SIGINT])
async def test_one_that_cannot_be_interrupted_ends_the_process_at_a_signal_or_after_five_seconds(
    nats_server: Any, bus: Any, start: Any, tmp_path: Path, number: signal.Signals | None
) -> None:
    (tmp_path / "deaf.py").write_text("import time\n" + BAD.replace("return trades.price[1_000_000]", SWALLOWS))
    process = start(NATS_URL=nats_server.url, PYTHONPATH=str(tmp_path), SENPAI_PLUGINS="deaf")
    await asyncio.to_thread(process.read_until, "connected to NATS")
    await bus.send(bus.trade())
    await asyncio.to_thread(process.read_until, "plugin_stuck")
    if number is not None:
        process.signal(number)
    assert await asyncio.to_thread(process.wait) == 1
    last = process.lines[-1]
    assert (last["event"], last["plugin"], last["module"]) == ("plugin_ended_the_service", "bad", "deaf")
    assert last["exit_code"] == 1
    if number is None:
        assert 4.5 < last["after_s"] < 10
    else:
        assert last["after_s"] < 4.5
        assert number.name in last["why"]
