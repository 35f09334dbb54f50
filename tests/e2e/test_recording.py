"""Frames through a real WebSocket, both services and a real nats-server, against a batch computation."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from batch import Batch, Recording, quote_features, read_recording
from running import Stack, until

from exchange_sim import ExchangeSim, Move, Tape
from exchange_sim.shapes import write_tape

NAMES = (
    "mid",
    "spread_abs",
    "spread_bps",
    "trade_vwap_10s",
    "trade_vwap_60s",
    "trade_count_10s",
    "trade_volume_10s",
    "return_10s",
    "realized_vol_60s",
    "microprice",
    "book_imbalance",
    "trade_imbalance_10s",
    "trade_intensity_60s",
    "realized_vol_1s_60s",
    "ewma_vol_60s",
    "vwap_deviation_60s",
    "amihud_60s",
    "kyle_lambda_60s",
)
QUOTE_NAMES = ("mid", "spread_abs", "spread_bps", "microprice", "book_imbalance")


async def play(stack: Stack, paths: list[Path], recordings: dict[str, Recording]) -> None:
    """Play the files as fast as they go through, until every trade and quote has been read back off NATS."""
    symbols = sorted(recordings)
    await stack.start_consumer(FEATURES_PUB_RATE_HZ="100")
    await stack.until_http(f"{stack.consumer_url}/health", lambda status, body: status == 200, "the consumer")
    async with ExchangeSim(Tape(paths, speed=0)) as exchange:
        await stack.start_producer(exchange.ws_url, exchange.rest_url, ",".join(symbols))
        for symbol in symbols:
            await stack.reader.until(f"md.events.trade.{symbol}", len(recordings[symbol].trade_ids))
            await stack.reader.until(f"md.events.quote.{symbol}", len(recordings[symbol].quotes))
    for symbol in symbols:
        await until_features_of_the_last_trade(stack, symbol)


async def until_features_of_the_last_trade(stack: Stack, symbol: str) -> None:
    last = stack.reader.by_subject[f"md.events.trade.{symbol}"][-1]["ts_event"]
    features = stack.reader.by_subject[f"senpai.features.{symbol}"]
    await until(lambda: bool(features) and features[-1]["ts"] >= last, f"the features of the last trade of {symbol}")


def assert_every_event_arrived_once_and_in_order(stack: Stack, symbol: str, recording: Recording) -> int:
    """Returns the constant by which the exchange moved the recorded times to now, in ns."""
    trades = stack.reader.by_subject[f"md.events.trade.{symbol}"]
    quotes = stack.reader.by_subject[f"md.events.quote.{symbol}"]
    got = [(t["trade_id"], t["price"], t["size"], t["side"]) for t in trades]
    assert got == list(zip(recording.trade_ids, recording.prices, recording.sizes, recording.sides, strict=True))
    assert [(q["bid"], q["bid_size"], q["ask"], q["ask_size"]) for q in quotes] == recording.quotes
    assert all(quote["ts_event"] is None for quote in quotes)
    offsets: set[int] = {trade["ts_event"] - time for trade, time in zip(trades, recording.times, strict=True)}
    assert len(offsets) == 1
    for messages in (trades, quotes):
        assert [message["seq"] for message in messages] == list(
            range(messages[0]["seq"], messages[0]["seq"] + len(messages))
        )
    return offsets.pop()


def assert_features_equal_the_batch_computation(stack: Stack, symbol: str, recording: Recording, offset_ns: int) -> int:
    """Returns at how many instants the features were compared."""
    batch = Batch(recording, offset_ns)
    latencies = Latencies(stack, symbol)
    compared = applied_before = 0
    for message in stack.reader.by_subject[f"senpai.features.{symbol}"]:
        if message["ts"] is None or not message["trust"]["trades_60s"]:
            continue
        clock, features = message["ts"], message["features"]
        applied = batch.trades_applied(clock, message["trust"]["trades_60s"])
        assert applied >= applied_before, "features never go back to an earlier state"
        applied_before = applied
        expected: dict[str, float | None] = batch.features(clock, applied)
        expected.update(matching_quote(recording, applied, features))
        for name in NAMES:
            assert_close(name, clock, features[name], expected[name])
        latencies.check(clock, applied, features)
        compared += 1
    return compared


def matching_quote(recording: Recording, applied: int, features: dict[str, Any]) -> dict[str, float | None]:
    """The quote that was the latest: one of those recorded between the last trade applied and the next one."""
    first = max(recording.quotes_before_trade[applied - 1] - 1, 0)
    end = recording.quotes_before_trade[applied] if applied < len(recording.trade_ids) else len(recording.quotes)
    if end == 0:
        return dict.fromkeys(QUOTE_NAMES)
    candidates = [quote_features(quote) for quote in recording.quotes[first:end]]
    by_distance = sorted(
        candidates,
        key=lambda quote: sum(abs(quote[name] - features[name]) for name in QUOTE_NAMES),
    )
    return dict(by_distance[0])


def assert_close(name: str, clock: int, got: float | None, expected: float | None) -> None:
    if expected is None or got is None:
        assert got is None and expected is None, f"{name} at {clock}: got {got}, expected {expected}"  # noqa: PT018 - one fact
    else:
        assert math.isclose(got, expected, rel_tol=1e-9, abs_tol=4e-15 * (name == "vwap_deviation_60s")), (
            f"{name} at {clock}: got {got}, expected {expected}"
        )


class Latencies:
    """Percentiles of `ts_recv - ts_event` as read off NATS, over what had been published up to each trade."""

    def __init__(self, stack: Stack, symbol: str) -> None:
        rows: list[tuple[int, float]] = []
        self.rows_up_to_trade: list[int] = []
        for subject, body in stack.reader.in_order:
            if body.get("symbol") != symbol or not subject.startswith("md.events.") or body.get("ts_event") is None:
                continue
            rows.append((body["ts_event"], (body["ts_recv"] - body["ts_event"]) / 1e6))
            if body["type"] == "trade":
                self.rows_up_to_trade.append(len(rows))
        self.times = np.array([row[0] for row in rows], dtype=np.int64)
        self.values = np.array([row[1] for row in rows], dtype=np.float64)

    def check(self, clock: int, applied: int, features: dict[str, Any]) -> None:
        """Books between this trade and the next may or may not have been applied: one of the prefixes must match."""
        first = self.rows_up_to_trade[applied - 1]
        end = self.rows_up_to_trade[applied] - 1 if applied < len(self.rows_up_to_trade) else len(self.times)
        for prefix in range(first, end + 1):
            times, values = self.times[:prefix], self.values[:prefix]
            values = values[(times > clock - 60_000_000_000) & (times <= clock)]
            if all(self._near(features[f"latency_ms_p{p}"], float(np.percentile(values, p))) for p in (50, 95)):
                return
        pytest.fail(
            f"latency at {clock}: p50 {features['latency_ms_p50']}, p95 {features['latency_ms_p95']} match no prefix"
        )

    @staticmethod
    def _near(got: float | None, expected: float) -> bool:
        return got is not None and abs(got - expected) <= max(0.5, 0.02 * abs(expected))


async def assert_the_whole_path_is_right(stack: Stack, paths: list[Path]) -> None:
    recordings: dict[str, Recording] = {}
    for path in paths:
        recordings.update(read_recording(path))
    await play(stack, paths, recordings)
    for symbol, recording in recordings.items():
        offset = assert_every_event_arrived_once_and_in_order(stack, symbol, recording)
        compared = assert_features_equal_the_batch_computation(stack, symbol, recording, offset)
        assert compared >= 50, f"only {compared} feature messages of {symbol} were compared"


@pytest.mark.timeout(180)
async def test_the_recorded_frames_give_the_batch_features_and_no_signal(stack: Stack, recordings: Path) -> None:
    folder = recordings / "binance_spot_ws"
    paths = [folder / f"hftbacktest_spot_{symbol}_20240808.gz" for symbol in ("btcusdt", "ethusdt")]
    await assert_the_whole_path_is_right(stack, paths)
    assert not [subject for subject in stack.reader.by_subject if subject.startswith("senpai.signals.")]


@pytest.mark.timeout(180)
async def test_simulated_frames_give_the_batch_features_and_no_signal(stack: Stack, tmp_path: Path) -> None:
    tape = tmp_path / "calm.gz"
    write_tape(tape, seconds=100, moves={"BTCUSDT": [], "ETHUSDT": []}, rate=400, seed=11)
    await assert_the_whole_path_is_right(stack, [tape])
    assert not [subject for subject in stack.reader.by_subject if subject.startswith("senpai.signals.")]


@pytest.mark.timeout(180)
async def test_a_fast_move_is_one_signal_per_episode(stack: Stack, tmp_path: Path) -> None:
    tape = tmp_path / "moves.gz"
    up, down = Move(at_s=20, size=0.005, over_s=5), Move(at_s=60, size=-0.005, over_s=5)
    write_tape(tape, seconds=90, moves={"BTCUSDT": [up, down], "ETHUSDT": [down]}, rate=400, seed=12)
    await play(stack, [tape], read_recording(tape))
    btc = stack.reader.by_subject["senpai.signals.BTCUSDT"]
    eth = stack.reader.by_subject["senpai.signals.ETHUSDT"]
    assert [signal["direction"] for signal in btc] == ["long", "short"]
    assert [signal["direction"] for signal in eth] == ["short"]
    for signal in (*btc, *eth):
        assert {reason["name"] for reason in signal["reason"]} == {"return_10s", "trade_volume_10s", "spread_bps"}
        assert abs(signal["features"]["return_10s"]) > 0.003
        assert signal["valid_until"] > signal["ts"]
