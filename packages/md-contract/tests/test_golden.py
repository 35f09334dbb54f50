"""Golden messages, written by hand: what is on the wire today must be readable, and written the same way, tomorrow."""

import json
from pathlib import Path

import jsonschema
import pytest

from md_contract import codec
from md_contract.events import EVENT_TYPES, BookL2, Heartbeat, Quote, Status, Trade
from md_contract.schemas import MESSAGES, schema
from md_contract.signals import Alert, Condition, FeatureVector, Signal, Trust

GOLDEN = Path(__file__).parent / "golden"
NS = 1795350000121000000

EXPECTED: dict[str, codec.Message] = {
    "trade": Trade(
        provider="binance",
        symbol="BTCUSDT",
        ts_recv=1795350000130123456,
        price="98765.43000000",
        size="0.01250000",
        trade_id="5123456789",
        side="sell",
        ts_event=NS,
        seq=17,
        epoch=1795349990,
    ),
    "quote": Quote(
        provider="binance",
        symbol="BTCUSDT",
        ts_recv=1795350000130123456,
        bid="98765.42000000",
        bid_size="3.10000000",
        ask="98765.43000000",
        ask_size="0.52000000",
        seq=18,
        epoch=1795349990,
    ),
    "book_l2": BookL2(
        provider="alpaca",
        symbol="BTC/USD",
        ts_recv=1795350000130123456,
        bids=[("98760.1", "0.5"), ("98760", "2")],
        asks=[("98770.2", "0.75")],
        ts_event=1795350000050556660,
        seq=3,
        epoch=1795349990,
    ),
    "heartbeat": Heartbeat(
        provider="bybit",
        symbol="__system__",
        ts_recv=1795350000130123456,
        status="silent",
        silent_for_ms=5200,
        synthetic=True,
        seq=1,
        epoch=1795349990,
    ),
    "status": Status(
        provider="binance",
        symbol="BTCUSDT",
        ts_recv=1795350000130123456,
        kind="gap",
        detail={"from": 5123456790, "to": 5123456799, "missing": 10},
        seq=2,
        epoch=1795349990,
    ),
    "features": FeatureVector(
        symbol="BTCUSDT",
        provider="binance",
        ts=NS,
        ts_emit=1795350000131000000,
        features={"mid": 98765.425, "spread_abs": 0.01, "trade_count_10s": 12, "return_10s": None},
        trust=Trust(
            warm=False,
            stale=False,
            gap=True,
            age_ms=1.5,
            trades_60s=40,
            source="binance",
            reasons=["warming_up", "gap"],
        ),
        seq=9,
        epoch=1795349991,
    ),
    "signal": Signal(
        id="BTCUSDT-momentum-long-1795350000121000000",
        state="new",
        symbol="BTCUSDT",
        provider="binance",
        direction="long",
        rule="momentum",
        ts=NS,
        valid_until=1795350010121000000,
        reason=[Condition(name="return_10s", value=0.0041, op=">", threshold=0.003)],
        features={"return_10s": 0.0041},
        trust=Trust(warm=True, stale=False, gap=False, age_ms=0.0, trades_60s=900, source="binance"),
    ),
    "alert": Alert(
        id="latency-BTCUSDT-1",
        kind="latency",
        state="firing",
        severity="warning",
        symbol="BTCUSDT",
        provider="binance",
        value=1200.5,
        threshold=1000.0,
        message="feed latency p95 of BTCUSDT is 1200 ms, above 1000 ms",
        ts=NS,
    ),
}


def read(name: str, payload: bytes) -> codec.Message:
    if name == "features":
        return codec.decode_features(payload)
    if name == "signal":
        return codec.decode_signal(payload)
    if name == "alert":
        return codec.decode_alert(payload)
    return codec.decode_event(payload)


def test_every_message_of_the_contract_has_a_golden_file() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(MESSAGES) == set(EXPECTED)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_golden_message_is_read_as_written(name: str) -> None:
    assert read(name, (GOLDEN / f"{name}.json").read_bytes()) == EXPECTED[name]


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_message_is_written_byte_for_byte_as_the_golden_file(name: str) -> None:
    assert codec.encode(EXPECTED[name]) == (GOLDEN / f"{name}.json").read_bytes().rstrip()


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_the_committed_schema_is_the_one_of_the_types_and_accepts_the_golden_message(name: str) -> None:
    import md_contract

    committed = json.loads((Path(md_contract.__file__).parent / "schema" / f"{name}.json").read_text())
    assert committed == schema(name), "schemas have drifted: run 'python -m md_contract'"
    jsonschema.Draft202012Validator.check_schema(committed)
    validator = jsonschema.Draft202012Validator(committed)
    golden = json.loads((GOLDEN / f"{name}.json").read_text())
    validator.validate(golden)
    broken = {key: value for key, value in golden.items() if key != "symbol"}
    assert not validator.is_valid(broken)


def test_the_type_tables_agree() -> None:
    assert {name: cls.__struct_config__.tag for name, cls in EVENT_TYPES.items()} == {
        name: name for name in EVENT_TYPES
    }
