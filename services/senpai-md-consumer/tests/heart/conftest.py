"""What the heart's tests share: makers of events, and every feature computed in batch, straight from its definition."""

from collections.abc import Iterable
from decimal import Context, Decimal
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from md_contract.events import BookL2, Event, Quote, Status, Trade
from md_contract.units import NS_PER_MS, NS_PER_S
from senpai.md_consumer.pipeline import Pipeline, PipelineOptions

START = 1_700_000_000 * NS_PER_S
_PRECISE = Context(prec=40)


class Market:
    """One symbol fed into a pipeline; seconds count from an arbitrary start."""

    def __init__(self, pipeline: Pipeline, symbol: str = "BTCUSDT", provider: str = "binance") -> None:
        self.pipeline = pipeline
        self.symbol = symbol
        self.provider = provider
        self.mono_ns = 7_000 * NS_PER_S

    @staticmethod
    def ns(at_s: float) -> int:
        return START + round(at_s * NS_PER_S)

    def trade(self, at_s: float, price: Any = 100, size: Any = 1, **fields: Any) -> list[Any]:
        """A trade that happens at `at_s`, received 10 ms later."""
        return self.feed(Trade(**self._common(at_s, fields), price=str(price), size=str(size), trade_id="1"))

    def quote(self, at_s: float, bid: Any = 99.99, ask: Any = 100.01, **fields: Any) -> list[Any]:
        sizes = {"bid_size": fields.pop("bid_size", "1"), "ask_size": fields.pop("ask_size", "1")}
        return self.feed(Quote(**self._common(at_s, fields), bid=str(bid), ask=str(ask), **sizes))

    def book(self, at_s: float, bids: Any = (), asks: Any = (), **fields: Any) -> list[Any]:
        return self.feed(BookL2(**self._common(at_s, fields), bids=list(bids), asks=list(asks)))

    def status(self, kind: str, symbol: str | None = None, **detail: Any) -> None:
        self.feed(Status(self.provider, symbol or self.symbol, START, kind, detail))

    def feed(self, event: Event) -> list[Any]:
        return list(self.pipeline.on_event(event, self.mono_ns))

    def silence(self, for_s: float) -> list[str]:
        """Let time go by without an event, and the pipeline take note."""
        self.mono_ns += round(for_s * NS_PER_S)
        return self.pipeline.on_time(self.mono_ns)

    @property
    def message(self) -> Any:
        return self.pipeline.features(self.symbol, self.mono_ns, START)

    @property
    def features(self) -> Any:
        return self.message.features

    @property
    def trust(self) -> Any:
        return self.message.trust

    @property
    def clock_s(self) -> float:
        return (self.message.ts - START) / NS_PER_S  # type: ignore[no-any-return]  # `message` is Any on purpose

    def _common(self, at_s: float, fields: dict[str, Any]) -> dict[str, Any]:
        at = self.ns(at_s)
        common = {"provider": self.provider, "symbol": self.symbol, "ts_event": at, "ts_recv": at + 10 * NS_PER_MS}
        return common | fields


class Batch:
    """Every feature of one symbol from the whole list of its events, by the words of the definitions. Slow."""

    def __init__(self, window_s: float = 60) -> None:
        self.long_ns = round(window_s * NS_PER_S)
        self.now: int | None = None
        self.difference = 0
        self.arrivals = 0
        self.trades: list[tuple[int, int, float, float]] = []  # ts, order of arrival, price, size
        self.delays: list[tuple[int, int]] = []  # ts, ns
        self.quote: Quote | None = None

    def apply(self, events: Iterable[Event]) -> None:
        for event in events:
            self.arrivals += 1
            if event.ts_event is None:
                ts = event.ts_recv + self.difference
            else:
                ts = event.ts_event
                self.difference = ts - event.ts_recv
                self.delays.append((ts, event.ts_recv - ts))
            self.now = ts if self.now is None else max(self.now, ts)
            if isinstance(event, Trade) and ts > self.now - max(self.long_ns, 10 * NS_PER_S):
                self.trades.append((ts, self.arrivals, float(event.price), float(event.size)))
            elif isinstance(event, Quote):
                self.quote = event

    def forget(self, before_ns: int) -> None:
        """Drop what is too old to matter, to be quicker."""
        self.trades = [row for row in self.trades if row[0] >= before_ns]
        self.delays = [row for row in self.delays if row[0] >= before_ns]

    def values(self) -> dict[str, Any]:
        assert self.now is not None
        trades = sorted(self.trades)
        short, long = self.inside(trades, 10 * NS_PER_S), self.inside(trades, self.long_ns)
        old = [price for ts, _, price, _ in trades if ts <= self.now - 10 * NS_PER_S]
        return {
            **self.quote_values(),
            "trade_vwap_10s": vwap(short),
            "trade_vwap_60s": vwap(long),
            "trade_count_10s": len(short),
            "trade_volume_10s": float(np.sum([size for *_, size in short])),
            "return_10s": trades[-1][2] / old[-1] - 1 if old else None,
            "realized_vol_60s": deviation(long),
        }

    def quote_values(self) -> dict[str, Any]:
        if self.quote is None:
            return {"mid": None, "spread_abs": None, "spread_bps": None}
        bid, ask = float(self.quote.bid), float(self.quote.ask)
        return {"mid": (bid + ask) / 2, "spread_abs": ask - bid, "spread_bps": (ask - bid) / ((bid + ask) / 2) * 10**4}

    def inside(self, rows: list[Any], span_ns: int) -> list[Any]:
        assert self.now is not None
        return [row for row in rows if self.now - span_ns < row[0] <= self.now]

    def resolution(self) -> float:
        """What rounding of the returns themselves, in the last place, can do to their deviation."""
        assert self.now is not None
        return 1e-15 * float(np.max(np.abs(returns(self.inside(sorted(self.trades), self.long_ns))), initial=0))

    def agrees(self, found: dict[str, Any]) -> None:
        """Assert that all features are right: 1e-9 relative, percentiles 2 % or 0.5 ms."""
        for name, value in self.values().items():
            if value is None or found[name] is None:
                assert (name, found[name]) == (name, value)
            else:
                tolerance = 1e-9 * abs(value) + (self.resolution() if name == "realized_vol_60s" else 0)
                assert abs(found[name] - value) <= tolerance, (name, found[name], value)
        delays = np.array([delay for _, delay in self.inside(self.delays, self.long_ns)], dtype=float) / NS_PER_MS
        for name, q in (("latency_ms_p50", 50), ("latency_ms_p95", 95)):
            exact = float(np.percentile(delays, q)) if len(delays) else None
            if exact is None:
                assert found[name] is None
            else:
                assert abs(found[name] - exact) <= max(0.5, 0.02 * abs(exact)), name


def vwap(rows: list[Any]) -> float | None:
    prices, sizes = np.array([row[2] for row in rows]), np.array([row[3] for row in rows])
    return float(np.sum(prices * sizes) / np.sum(sizes)) if rows else None


def deviation(rows: list[Any]) -> float | None:
    log_returns = returns(rows)
    return float(np.std(log_returns, ddof=1)) if len(log_returns) >= 2 else None


def returns(rows: list[Any]) -> Any:
    """Log returns to the last place; `np.diff(np.log(...))` would lose up to seven digits to cancellation."""
    logs = [ln(row[2]) for row in rows]
    return np.array([float(after - before) for before, after in pairwise(logs)])


@cache
def ln(price: float) -> Decimal:
    return Decimal(price).ln(_PRECISE)


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline(PipelineOptions())


@pytest.fixture
def market(pipeline: Pipeline) -> Market:
    return Market(pipeline)


@pytest.fixture(scope="session")
def make_market() -> Any:
    """`make_market(symbol=..., provider=..., **options)`: a symbol in a pipeline of its own."""

    def make(symbol: str = "BTCUSDT", provider: str = "binance", **options: Any) -> Market:
        return Market(Pipeline(PipelineOptions(**options)), symbol, provider)

    return make


@pytest.fixture(scope="session")
def batch() -> type[Batch]:
    return Batch
