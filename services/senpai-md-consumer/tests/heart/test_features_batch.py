"""Every feature equals its batch twin, on random streams and on recorded ones."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from md_contract.events import BookL2, Event, Quote, Side, Trade
from md_contract.units import NS_PER_MS, NS_PER_S
from senpai.md_consumer.pipeline import Pipeline, PipelineOptions

START = 1_700_000_000 * NS_PER_S
SYMBOL = "BTCUSDT"

# Time from the latest event to the next, ms: ties, bursts, steps onto and next to the windows' edges, empty windows.
STEPS = st.sampled_from(
    [0, 0, 0, 1, 1, 7, 120, 900, 2_500, 5_000, 9_999, 10_000, 10_001, 50_000, 60_000, 60_001, 200_000]
)
BACK = st.sampled_from([0] * 12 + [1, 8, 500, 4_000, 9_999, 10_000, 10_001, 30_000, 59_999, 60_000, 61_000])
DELAYS_NS = st.one_of(
    st.integers(-5 * NS_PER_MS, 400 * NS_PER_MS),
    st.sampled_from([0, -1, 1, NS_PER_MS, -3_600 * NS_PER_S, 3_600 * NS_PER_S, -NS_PER_S, 20 * NS_PER_S]),
)
SIZES = st.one_of(st.floats(1e-8, 10), st.sampled_from([1e-8, 1e9, 123_456_789.123, 0.02]))
QUOTE_SIZES = st.one_of(st.floats(1e-8, 10), st.sampled_from([0.0, 1.0, 1.0, 2.5, 1e9]))
SIDES: st.SearchStrategy[Side | None] = st.sampled_from(["buy", "buy", "sell", "sell", None])
MISSING = st.sampled_from([1.0] * 9 + [0.0])  # of a quote's side
LEVELS = st.sampled_from([0, 1, 2, 5, 5, 6])
MOVES = st.one_of(
    st.floats(0.9999, 1.0001),
    st.sampled_from([1.0, 1.0, 1.0, 1 + 1.6e-7, 0.5, 2.0, 1e3, 1e-3, 1e6, 1e-6, 1.01]),
)


@st.composite
def streams(draw: st.DrawFn, size: int = 60) -> list[Event]:
    """Events of one symbol: trades mostly, in and out of order, quotes without and books with an event time."""
    events: list[Event] = []
    now, price = START, draw(st.sampled_from([1e-6, 1.0, 61_837.63, 1e5]))
    for kind in draw(st.lists(st.sampled_from(["trade"] * 5 + ["quote"] * 3 + ["book"]), min_size=1, max_size=size)):
        now += draw(STEPS) * NS_PER_MS
        ts = now - draw(BACK) * NS_PER_MS
        recv = ts + draw(DELAYS_NS)
        price = min(max(price * draw(MOVES), 1e-10), 1e10)
        if kind == "trade":
            side = draw(SIDES)
            events.append(Trade("binance", SYMBOL, recv, repr(price), repr(draw(SIZES)), "1", side, ts))
        elif kind == "quote":
            bid, ask = price * draw(MISSING), price * draw(MISSING) * draw(st.sampled_from([1.0, 1.0001, 0.9999]))
            sizes = repr(draw(QUOTE_SIZES)), repr(draw(QUOTE_SIZES))
            timed = ts if draw(st.booleans()) else None
            events.append(Quote("binance", SYMBOL, recv, repr(bid), sizes[0], repr(ask), sizes[1], timed))
        else:
            bids, asks = (
                [(repr(price * (1 + step * level)), repr(draw(QUOTE_SIZES))) for level in range(draw(LEVELS))]
                for step in (-0.01, 0.01)
            )
            events.append(BookL2("binance", SYMBOL, recv, bids, asks, draw(st.sampled_from([ts, None]))))
    return [Trade("binance", SYMBOL, START, repr(price), "1", "1", "buy", START), *events]


def read(pipeline: Pipeline) -> dict[str, Any]:
    vector = pipeline.features(SYMBOL, 0, 0)
    assert vector is not None
    return vector.features


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(events=streams())
def test_every_feature_equals_the_batch_formula_at_every_step(batch: Any, events: list[Event]) -> None:
    pipeline, truth = Pipeline(PipelineOptions()), batch()
    for event in events:
        pipeline.on_event(event, 0)
        truth.apply([event])
        truth.agrees(read(pipeline))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), window_s=st.sampled_from([60, 60, 10, 4]))
def test_no_gap_switch_or_silence_mixes_two_histories(batch: Any, data: st.DataObject, window_s: float) -> None:
    pipeline, truth, mono_ns = Pipeline(PipelineOptions(window_s=window_s)), batch(window_s), 0
    events = data.draw(streams(size=50))
    provider = "binance"
    for event in events:
        match data.draw(st.sampled_from(["event"] * 20 + ["gap"] * 2 + ["silence"] * 2 + ["switch"])):
            case "gap":
                event_type = data.draw(st.sampled_from(["trade", "quote", "quote", "book_l2"]))
                pipeline.on_bus_gap(event_type, SYMBOL, 1, mono_ns)
                if truth.now is not None:
                    truth.lose(event_type)
            case "silence":
                elapsed_ns = data.draw(st.sampled_from([1_000, 1_001, 2_500, 9_999, 10_000, 59_000])) * NS_PER_MS
                mono_ns += elapsed_ns
                pipeline.on_time(mono_ns)
                if truth.now is not None:
                    truth.now += elapsed_ns
            case "switch":
                provider = data.draw(st.sampled_from(["binance", "bybit"]))
        event.provider = provider
        pipeline.on_event(event, mono_ns)
        if pipeline.counters.clock_restarts:
            return  # nothing but late events for a whole window: test_state.py is about what follows
        truth.apply([event])
        truth.agrees(read(pipeline))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_delivery_out_of_order_gives_what_ordered_delivery_gives(data: st.DataObject) -> None:
    at = data.draw(st.lists(st.integers(0, 25_000), min_size=2, max_size=60, unique=True))
    offsets = sorted(at)
    events: list[Event] = []
    for ts in (START + offset * NS_PER_MS for offset in offsets):
        price, sizes = 100 + data.draw(st.integers(-5, 5)), (str(data.draw(st.integers(1, 9))) for _ in range(2))
        if data.draw(st.booleans()):
            events.append(Quote("binance", SYMBOL, ts, str(price - 1), next(sizes), str(price), next(sizes), ts))
        else:
            events.append(Trade("binance", SYMBOL, ts, str(price), next(sizes), "1", data.draw(SIDES), ts))
    first: list[Event] = [
        Trade("binance", SYMBOL, START - 1, "100", "1", "1", "buy", START - 1),
        Quote("binance", SYMBOL, START - 1, "99", "1", "101", "1", START - 1),
    ]
    jitter = [data.draw(st.integers(0, 4_000)) for _ in events]
    order = sorted(range(len(events)), key=lambda i: offsets[i] + jitter[i])
    last = Trade("binance", SYMBOL, START, "100", "1", "1", None, START + 25_000 * NS_PER_MS + 1)
    ordered, shuffled = Pipeline(PipelineOptions()), Pipeline(PipelineOptions())
    for event in [*first, *events, last]:
        ordered.on_event(event, 0)
    for event in [*first, *(events[i] for i in order), last]:
        shuffled.on_event(event, 0)
        read(shuffled)
    found, expected = read(shuffled), read(ordered)
    assert {name for name in found if found[name] is None} == {name for name in found if expected[name] is None}
    for name in (name for name in found if found[name] is not None):
        assert found[name] == pytest.approx(expected[name], rel=1e-9, abs=1e-14), name


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), window_s=st.sampled_from([60, 30, 10, 4, 0.5]))
def test_it_does_not_matter_how_often_features_are_read(batch: Any, data: st.DataObject, window_s: float) -> None:
    pipeline, truth = Pipeline(PipelineOptions(window_s=window_s)), batch(window_s)
    for _ in range(data.draw(st.integers(1, 4))):
        events = data.draw(streams(size=100))
        for event in events:
            pipeline.on_event(event, 0)
        truth.apply(events)
        truth.agrees(read(pipeline))


@pytest.mark.parametrize("rate", [5, 60, 400])
@pytest.mark.parametrize("number", range(3))
def test_long_streams_stay_exact_after_rare_giants(batch: Any, number: int, rate: int) -> None:
    seed = Random(1_000 * number + rate)
    pipeline, truth = Pipeline(PipelineOptions(window_s=10)), batch(10)
    now, price, recent = START, 61_837.63, []
    for i in range(3_000):
        now += round(seed.expovariate(rate) * NS_PER_S)
        price *= 1 + (seed.choice([0.5, -0.3]) if seed.random() < 0.001 else seed.gauss(0, 1e-6))
        size = 1e9 if seed.random() < 0.002 else 10 ** seed.uniform(-8, 1)
        ts = now - (seed.randrange(NS_PER_S) if seed.random() < 0.05 else 0)
        event = Trade("binance", SYMBOL, ts + seed.randrange(50 * NS_PER_MS), repr(price), repr(size), "1", None, ts)
        pipeline.on_event(event, 0)
        recent.append(event)
        if i % 250 == 0:
            truth.apply(recent)
            recent.clear()
            truth.agrees(read(pipeline))


def frames(path: Path) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Recorded combined-stream frames: our receive time, the stream's kind, the data."""
    with gzip.open(path, "rt") as lines:
        for line in lines:
            received, _, text = line.partition(" ")
            frame = json.loads(text)
            if "stream" in frame:
                yield int(received), frame["stream"].partition("@")[2], frame["data"]


def recorded(path: Path) -> Iterator[Event]:
    for received, kind, data in frames(path):
        if kind == "trade":
            yield Trade(
                "binance",
                data["s"],
                received,
                data["p"],
                data["q"],
                str(data["t"]),
                "sell" if data["m"] else "buy",
                data["T"] * NS_PER_MS,
            )
        elif kind == "bookTicker":
            yield Quote("binance", data["s"], received, data["b"], data["B"], data["a"], data["A"])
        elif kind.startswith("depth"):
            # changes, not snapshots: good enough for levels to add up
            yield BookL2("binance", data["s"], received, data["b"], data["a"], data["E"] * NS_PER_MS)


@pytest.mark.parametrize("symbol", ["btcusdt", "ethusdt"])
def test_recorded_frames_give_the_batch_features_and_no_signal(batch: Any, recordings: Path, symbol: str) -> None:
    pipeline, truth, recent = Pipeline(PipelineOptions()), batch(), []
    path = recordings / "binance_spot_ws" / f"hftbacktest_spot_{symbol}_20240808.gz"
    for i, event in enumerate(recorded(path)):
        assert pipeline.on_event(event, 0) == ()
        recent.append(event)
        if i % 307 == 0:
            truth.apply(recent)
            recent.clear()
            vector = pipeline.features(symbol.upper(), 0, 0)
            assert vector is not None
            truth.agrees(vector.features)
            truth.forget(before_ns=truth.now - 130 * NS_PER_S)
