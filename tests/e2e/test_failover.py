"""One exchange falls silent with its socket open: the other takes over, and the consumer mixes nothing."""

import re
from itertools import groupby, pairwise
from typing import Any

import pytest
from running import Stack, until

from exchange_sim import ExchangeSim, MarketModel

SYMBOLS = ("BTCUSDT", "ETHUSDT")
SILENCE_S, PROBATION_S = 2.0, 3.0


def source(stack: Stack, symbol: str) -> str | None:
    trades = stack.reader.by_subject.get(f"md.events.trade.{symbol}")
    return trades[-1]["provider"] if trades else None


def switches(stack: Stack, symbol: str) -> list[dict[str, Any]]:
    events = stack.reader.by_subject.get(f"md.events.status.{symbol}", [])
    return [event["detail"] for event in events if event["kind"] == "source_switch"]


def returns(stack: Stack, symbol: str) -> list[float]:
    messages = stack.reader.by_subject.get(f"senpai.features.{symbol}", [])
    return [message["features"]["return_10s"] for message in messages if message["features"]["return_10s"] is not None]


@pytest.mark.timeout(120)
async def test_the_backup_takes_over_from_a_mute_primary_and_gives_back(stack: Stack) -> None:
    await stack.start_consumer()
    await stack.until_http(f"{stack.consumer_url}/health", lambda status, _: status == 200, "the consumer")
    async with ExchangeSim(MarketModel(seed=5, symbols=SYMBOLS, rate=400.0)) as exchange:
        await stack.start_producer(
            exchange.ws_url,
            exchange.rest_url,
            ",".join(SYMBOLS),
            BACKUP="bybit",
            BYBIT_WS_URL=exchange.ws_url,
            BYBIT_REST_URL=exchange.rest_url,
            FAILOVER_SILENCE_S=str(SILENCE_S),
            FAILOVER_PROBATION_S=str(PROBATION_S),
            FAILOVER_MIN_DWELL_S="1",
        )
        await until(lambda: all(source(stack, symbol) == "binance" for symbol in SYMBOLS), "the primary's trades")
        await stack.until_http(
            f"{stack.producer_url}/providers",
            lambda status, body: status == 200 and body["providers"]["bybit"]["healthy"],
            "a healthy backup",
        )
        await until(lambda: all(returns(stack, symbol) for symbol in SYMBOLS), "returns over ten seconds")
        exchange.faults.mute(venue="binance")
        await until(lambda: all(source(stack, symbol) == "bybit" for symbol in SYMBOLS), "the backup's trades")
        exchange.faults.unmute(venue="binance")
        await until(lambda: all(source(stack, symbol) == "binance" for symbol in SYMBOLS), "the primary to be back", 30)
        for symbol in SYMBOLS:
            last = stack.reader.by_subject[f"md.events.trade.{symbol}"][-1]["ts_event"]
            features = stack.reader.by_subject[f"senpai.features.{symbol}"]
            await until(lambda features=features, last=last: features[-1]["ts"] >= last, "features after it all")  # type: ignore[misc] # mypy does not infer a lambda's defaults
    for symbol in SYMBOLS:
        assert [(switch["from"], switch["to"]) for switch in switches(stack, symbol)] == [
            ("binance", "bybit"),
            ("bybit", "binance"),
        ]
        silent = re.fullmatch(r"primary failed: no market data for ([\d.]+) s", switches(stack, symbol)[0]["reason"])
        assert silent is not None
        assert SILENCE_S <= float(silent[1]) < SILENCE_S + 1, "by its clock, for which a stall of its own is short"
        assert_no_trade_is_lost_or_doubled(stack.reader.by_subject[f"md.events.trade.{symbol}"])
        assert_no_feature_mixes_two_sources(stack.reader.by_subject[f"senpai.features.{symbol}"])
        assert not stack.reader.by_subject.get(f"senpai.signals.{symbol}")


def assert_no_trade_is_lost_or_doubled(trades: list[dict[str, Any]]) -> None:
    """Bus numbers have no hole; Binance's own ids go on by one as long as it stays the source."""
    assert [trade["seq"] for trade in trades] == list(range(trades[0]["seq"], trades[0]["seq"] + len(trades)))
    assert len({(trade["provider"], trade["trade_id"]) for trade in trades}) == len(trades)
    assert [key for key, _ in runs(trades)] == ["binance", "bybit", "binance"]
    for name, run in runs(trades):
        ids = [int(trade["trade_id"]) for trade in run if not trade["backfill"]]
        if name == "binance":
            assert all(after == before + 1 for before, after in pairwise(ids))


def runs(trades: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    found: list[tuple[str, list[dict[str, Any]]]] = []
    for trade in trades:
        if not found or found[-1][0] != trade["provider"]:
            found.append((trade["provider"], []))
        found[-1][1].append(trade)
    return found


def assert_no_feature_mixes_two_sources(messages: list[dict[str, Any]]) -> None:
    """For ten seconds after a switch there is no return: the price before it came from somewhere else."""
    assert [key for key, _ in groupby(message["provider"] for message in messages)] == ["binance", "bybit", "binance"]
    began = None
    provider = "binance"
    for message in messages:
        if message["provider"] != provider:
            provider, began = message["provider"], message["ts"]
        if began is not None and message["ts"] < began + 9_000_000_000:
            assert message["features"]["return_10s"] is None
            assert "source_switch" in message["trust"]["reasons"]
            assert not message["trust"]["warm"]
