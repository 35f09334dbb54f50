"""One example of every message, as it travels: shown in asyncapi.json, and checked against the schemas."""

from typing import Any, Final

import msgspec

from md_contract.codec import Message, encode
from md_contract.events import BookL2, Heartbeat, Quote, Status, Trade
from md_contract.signals import Alert, Condition, FeatureVector, Signal, Trust
from md_contract.subjects import SYSTEM
from md_contract.units import NS_PER_MS, NS_PER_S

_EVENT_NS: Final = 1_795_350_000_121 * NS_PER_MS  # 2026-11-22 12:20:00.121 UTC
_RECV_NS: Final = 1_795_350_000_130_123_456
_EPOCH: Final = 1_795_349_990_000_000_000

_TRUST: Final = Trust(warm=True, stale=False, gap=False, age_ms=9.6, trades_60s=1824, source="binance")

EXAMPLES: Final[dict[str, Message]] = {
    "trade": Trade(
        "binance", "BTCUSDT", _RECV_NS, "98765.43000000", "0.01250000", "5123456789", "sell", _EVENT_NS, 17, _EPOCH
    ),
    "quote": Quote(
        "binance", "BTCUSDT", _RECV_NS, "98765.42000000", "3.1", "98765.43000000", "0.52", seq=18, epoch=_EPOCH
    ),
    "book_l2": BookL2(
        provider="alpaca",
        symbol="BTC/USD",
        ts_recv=_RECV_NS,
        bids=[("98760.1", "0.5"), ("98760", "2")],
        asks=[("98770.2", "0.75")],
        ts_event=_EVENT_NS,
        seq=3,
        epoch=_EPOCH,
    ),
    "heartbeat": Heartbeat("bybit", SYSTEM, _RECV_NS, "silent", 5200, synthetic=True, seq=1, epoch=_EPOCH),
    "status": Status(
        provider="binance",
        symbol="BTCUSDT",
        ts_recv=_RECV_NS,
        kind="gap",
        detail={"from": 5123456790, "to": 5123456799, "missing": 10, "backfilled": 0},
        seq=2,
        epoch=_EPOCH,
    ),
    "features": FeatureVector(
        symbol="BTCUSDT",
        provider="binance",
        ts=_EVENT_NS,
        ts_emit=_RECV_NS + 500_000,
        features={
            "mid": 98765.425,
            "spread_abs": 0.01,
            "spread_bps": 0.00101,
            "trade_vwap_10s": 98741.2,
            "trade_vwap_60s": 98702.9,
            "trade_count_10s": 310,
            "trade_volume_10s": 14.2,
            "return_10s": 0.0034,
            "realized_vol_60s": None,
            "latency_ms_p50": 9.1,
            "latency_ms_p95": 21.7,
        },
        trust=_TRUST,
        seq=9,
        epoch=_EPOCH,
    ),
    "signal": Signal(
        id=f"BTCUSDT-momentum-long-{_EVENT_NS}",
        state="new",
        symbol="BTCUSDT",
        provider="binance",
        direction="long",
        rule="momentum",
        ts=_EVENT_NS,
        valid_until=_EVENT_NS + 10 * NS_PER_S,
        reason=[Condition("return_10s", 0.0034, ">", 0.003), Condition("spread_bps", 0.00101, "<", 20.0)],
        features={"return_10s": 0.0034, "trade_volume_10s": 14.2, "spread_bps": 0.00101},
        trust=_TRUST,
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
        ts=_EVENT_NS,
    ),
}


def example(name: str) -> dict[str, Any]:
    """The example of the message `name` as JSON objects hold it."""
    fields: dict[str, Any] = msgspec.json.decode(encode(EXAMPLES[name]))
    return fields
