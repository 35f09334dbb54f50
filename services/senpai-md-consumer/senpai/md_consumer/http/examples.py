"""Examples for the description of the API, made of the very types that are answered."""

from typing import Any, Final

import msgspec

from md_contract.events import BookL2, Quote, Trade
from md_contract.signals import Alert, Condition, FeatureVector, Signal, Trust
from senpai.md_consumer.http.bodies import (
    Error,
    Health,
    Index,
    Nats,
    Ready,
    SignalNow,
    Signals,
    State,
    Stats,
    Symbols,
    TrackedSymbol,
)
from senpai.md_consumer.http.endpoints import ENDPOINTS

_TS: Final = 1_790_000_000_123_000_000
_S: Final = 1_000_000_000
_NO_NATS: Final = "no connection to NATS at nats://127.0.0.1:4222: start it, or set NATS_URL; retrying by itself"
_NATS: Final = Nats(connected=True, url="nats://127.0.0.1:4222", last_error=None)

_TRUST: Final = Trust(warm=True, stale=False, gap=False, age_ms=12.5, trades_60s=1824, source="binance", reasons=[])
_FEATURES: Final[dict[str, float | int | None]] = {
    "mid": 64_210.51,
    "spread_abs": 0.01,
    "spread_bps": 0.0016,
    "trade_vwap_10s": 64_180.2,
    "trade_vwap_60s": 64_051.7,
    "trade_count_10s": 310,
    "trade_volume_10s": 14.2,
    "return_10s": 0.0034,
    "realized_vol_60s": 0.0009,
    "latency_ms_p50": 21.4,
    "latency_ms_p95": 48.9,
}
_SIGNAL: Final = Signal(
    id=f"BTCUSDT-momentum-long-{_TS}",
    state="new",
    symbol="BTCUSDT",
    provider="binance",
    direction="long",
    rule="momentum",
    ts=_TS,
    valid_until=_TS + 10 * _S,
    reason=[
        Condition("return_10s", 0.0034, ">", 0.003),
        Condition("trade_volume_10s", 14.2, ">", 1.0),
        Condition("spread_bps", 0.0016, "<", 20.0),
    ],
    features=_FEATURES,
    trust=_TRUST,
)
_FEATURE_MESSAGE: Final = FeatureVector(
    symbol="BTCUSDT",
    provider="binance",
    ts=_TS,
    ts_emit=_TS + 30_000_000,
    features=_FEATURES,
    trust=_TRUST,
    seq=4711,
    epoch=_TS - 3_600 * _S,
)
_ALERT: Final = Alert(
    id=f"gap-{_TS}",
    kind="gap",
    state="firing",
    severity="warning",
    symbol=None,
    provider=None,
    value=3.0,
    threshold=0.0,
    message="3 events were lost on the bus",
    ts=_TS,
)
_LEDGER: Final = {
    "received": 1824,
    "delivered": 1824,
    "conflated": 0,
    "dropped": 0,
    "spilled": 0,
    "queued": 0,
    "difference": 0,
}

EXAMPLES: Final[dict[str, Any]] = {
    "index": Index("senpai-md-consumer", "0.1.0", ENDPOINTS),
    "healthy": Health("ready", [], _NATS, ["BTCUSDT", "ETHUSDT"], [], 12.5, 3_600.0),
    "unhealthy": Health(
        status="not_ready",
        reasons=[_NO_NATS],
        nats=Nats(connected=False, url="nats://127.0.0.1:4222", last_error="connection refused"),
        symbols=[],
        alerts=[],
        last_event_age_ms=None,
        uptime_s=2.5,
    ),
    "ready": Ready("ready", []),
    "not ready": Ready("not_ready", [_NO_NATS]),
    "symbols": Symbols(
        [
            TrackedSymbol("BTCUSDT", "binance", 12.5, warm=True, stale=False, gap=False, reasons=[]),
            TrackedSymbol(
                "ETHUSDT", "binance", 9_120.0, warm=False, stale=True, gap=False, reasons=["warming_up", "stale"]
            ),
        ]
    ),
    "state": State(
        symbol="BTCUSDT",
        trade=Trade("binance", "BTCUSDT", _TS + 9_000_000, "64210.51", "0.012", "4398217", "buy", _TS, 812, _TS),
        quote=Quote("binance", "BTCUSDT", _TS + 9_500_000, "64210.50", "1.2", "64210.51", "0.8", None, 2210, _TS),
        book=BookL2(
            provider="binance",
            symbol="BTCUSDT",
            ts_recv=_TS + 9_900_000,
            bids=[("64210.50", "1.2"), ("64210.40", "0.3")],
            asks=[("64210.51", "0.8"), ("64210.60", "2.1")],
            ts_event=_TS,
            seq=633,
            epoch=_TS,
        ),
    ),
    "state at first": State("BTCUSDT", None, None, None),
    "features": _FEATURE_MESSAGE,
    "signals": Signals("BTCUSDT", _TS + 4 * _S, [SignalNow("valid", _SIGNAL)]),
    "no signals": Signals("BTCUSDT", _TS, []),
    "stats": Stats(
        uptime_s=3_600.0,
        events_per_second=412.3,
        queue={"length": 0, "capacity": 10_000, "hard_bound": 20_000, "fill_ratio": 0.0, "full": False},
        ledger={"trade": _LEDGER},
        drops={"duplicate": {"trade": 0}},
        bad_input={"not_json": {"count": 0, "sample": None}},
        bus={"gaps": {"trade": 0}, "missing": {"trade": 0}},
        processing_latency_ms={"count": 1824, "mean": 0.08},
        pipeline={"symbols": 2},
        publisher={"features_published": 36_000},
        signals={"BTCUSDT": {"long": 3, "short": 1}},
        alerts={"firing": [], "emitted": {}},
        plugins=[{"name": "range_30s", "kind": "feature", "state": "on", "calls": 1824, "failures": 0, "mean_us": 8.4}],
        nats={"connected": True},
        stream={"readers": 1},
        http={"evicted": 0},
    ),
    "unknown symbol": Error(
        error="unknown symbol 'XYZ'",
        hint="take one of `symbols`; a symbol is known from its first event on",
        symbols=["BTCUSDT", "ETHUSDT"],
    ),
    "no symbol yet": Error(
        error="unknown symbol 'BTCUSDT'",
        hint="no event has come yet: is market-data-service running, with NATS_ENABLED=true and the same NATS?",
        symbols=[],
    ),
    "no symbol": Error("symbol: Field required", "try /features/latest?symbol=BTCUSDT"),
    "unknown type": Error(
        error="types: 'trades' is none", hint="take one or more of features, signals, alerts, with commas between"
    ),
    "crowd": Error(
        error="the stream has 64 readers, which is all it takes",
        hint="try again later, or read senpai.> from NATS, which takes many readers",
    ),
    "fault": Error("a fault in the service", "its log has the trace; please report it"),
}


def _event(number: int, kind: str, message: object) -> str:
    return f"id: {number}\nevent: {kind}\ndata: {msgspec.json.encode(message).decode()}\n\n"


_OPEN: Final = '{"types": ["alerts", "features", "signals"], "symbols": ["BTCUSDT"], "unknown": []}'
_CLOSED: Final = '{"why": "the service is stopping", "hint": "connect again in a moment"}'

EVENT_STREAM: Final = (
    f"retry: 2000\nevent: open\ndata: {_OPEN}\n\n"
    + _event(1, "features", _FEATURE_MESSAGE)
    + _event(2, "signals", _SIGNAL)
    + _event(3, "alerts", _ALERT)
    + f": alive\n\nevent: closed\ndata: {_CLOSED}\n\n"
)
METRICS: Final = """\
# HELP senpai_queue_fill_ratio Fill of the event queue, 0 to 1.
# TYPE senpai_queue_fill_ratio gauge
senpai_queue_fill_ratio 0.0
"""
