"""What the heart's tests share: makers of events, and every feature computed in batch, straight from its definition."""

from collections.abc import Iterable
from decimal import Context, Decimal
from functools import cache
from itertools import pairwise
from math import fsum
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


LATEST_QUOTE_NS = 10 * NS_PER_S


class Batch:
    """Every feature of one symbol from the whole list of its events, by the words of the definitions. Slow."""

    def __init__(self, window_s: float = 60) -> None:
        self.long_ns = round(window_s * NS_PER_S)
        self.now: int | None = None
        self.difference = 0
        self.behind: list[int] = []  # ts_recv of the timed events since the last one that was not behind T
        self.arrivals = 0
        self.provider: str | None = None
        self.timed = False  # an event with a time of its own has come
        self.restarted = {"trade": False, "quote": False}
        self.forget_all()

    def forget_all(self) -> None:
        """Another history begins."""
        self.trades: list[tuple[int, int, float, float, int]] = []  # ts, order of arrival, price, size, side
        self.trades_from: int | None = None  # nothing older comes back
        self.delays: list[tuple[int, int]] = []  # ts, ns
        self.forget_quotes()
        self.quote: Quote | None = None
        self.book: BookL2 | None = None
        self.last_book: BookL2 | None = None

    def forget_quotes(self) -> None:
        self.quotes: list[tuple[int, float, float, float, float]] = []  # ts, bid, its size, ask, its size
        self.quotes_from: int | None = None
        self.sizes_known = False

    def apply(self, events: Iterable[Event]) -> None:
        for event in events:
            self.arrivals += 1
            if event.ts_event is None:
                ts = event.ts_recv + self.difference
            else:
                ts = event.ts_event
                if not self.timed or event.provider != self.provider or self.now is None or ts >= self.now:
                    self.behind = []
                else:
                    self.behind.append(event.ts_recv)
                if not self.behind or self.behind[-1] - self.behind[0] > 10 * NS_PER_S:
                    self.difference = ts - event.ts_recv
                if not self.timed:
                    self.begin_event_time()
                self.timed = True
            self.now = ts if self.now is None else max(self.now, ts)
            if event.provider != self.provider:
                self.restarted = dict.fromkeys(self.restarted, self.provider is not None)
                self.provider = event.provider
                self.forget_all()
            if event.ts_event is not None and ts > self.now - max(self.long_ns, 10 * NS_PER_S):
                self.delays.append((ts, event.ts_recv - ts))
            match event:
                case Trade():
                    self.apply_trade(event, ts)
                case Quote():
                    self.apply_quote(event, ts)
                case BookL2():
                    if not older(event, self.last_book):
                        self.book = self.last_book = event

    def apply_trade(self, event: Trade, ts: int) -> None:
        assert self.now is not None
        before = self.restarted["trade"] and self.trades_from is not None and ts < self.trades_from
        if ts <= self.now - max(self.long_ns, 10 * NS_PER_S) or before:
            return
        if self.trades_from is None:
            self.trades_from = ts
        side = {"buy": 1, "sell": -1}.get(str(event.side), 0)
        self.trades.append((ts, self.arrivals, float(event.price), float(event.size), side))

    def apply_quote(self, event: Quote, ts: int) -> None:
        assert self.now is not None
        numbers = (float(event.bid), float(event.bid_size), float(event.ask), float(event.ask_size))
        if older(event, self.quote):
            known = self.quotes_from is not None and not (self.restarted["quote"] and ts < self.quotes_from)
            if known and ts > self.now - LATEST_QUOTE_NS:
                index = sum(1 for row in self.quotes if row[0] <= ts)
                self.quotes.insert(index, (ts, *numbers))
            return
        self.quote = event
        self.sizes_known = True
        if self.quotes:
            ts = max(ts, self.quotes[-1][0])
        if self.quotes_from is None:
            self.quotes_from = ts
        self.quotes.append((ts, *numbers))

    def begin_event_time(self) -> None:
        """What was placed by our own clock has no place on the venue's."""
        self.now = None
        sizes_known = self.sizes_known
        if self.trades:
            self.lose("trade")
        self.lose("quote")
        self.sizes_known = sizes_known

    def lose(self, event_type: str) -> None:
        """Events of this type are missing from here on."""
        self.restarted[event_type] = True
        if event_type == "trade":
            self.trades, self.trades_from = [], None
        elif event_type == "quote":
            self.forget_quotes()
        else:
            self.book = None

    def forget(self, before_ns: int) -> None:
        """Drop what is too old to matter, to be quicker."""
        self.trades = [row for row in self.trades if row[0] >= before_ns]
        self.delays = [row for row in self.delays if row[0] >= before_ns]
        self.quotes = [row for row in self.quotes if row[0] >= before_ns]

    def values(self) -> dict[str, tuple[float | None, float]]:
        """By feature: the value, and what rounding of the inputs in their last place may do to it, absolute."""
        assert self.now is not None
        trades = sorted(self.trades)
        short, long = self.inside(trades, 10 * NS_PER_S), self.inside(trades, self.long_ns)
        old = [row[2] for row in trades if row[0] <= self.now - 10 * NS_PER_S]
        seconds = self.seconds(trades)
        return {
            **{name: (value, 0.0) for name, value in self.quote_values().items()},
            "trade_vwap_10s": (vwap(short), 0.0),
            "trade_vwap_60s": (vwap(long), 0.0),
            "trade_count_10s": (len(short), 0.0),
            "trade_volume_10s": (float(np.sum([row[3] for row in short])), 0.0),
            "return_10s": (trades[-1][2] / old[-1] - 1 if old else None, 0.0),
            "realized_vol_60s": (deviation(long), 1e-15 * float(np.max(np.abs(returns(prices(long))), initial=0))),
            "depth_imbalance_5": depth_imbalance(self.book),
            "trade_imbalance_10s": trade_imbalance(short),
            "order_flow_imbalance_10s": self.order_flow_imbalance(),
            "trade_intensity_60s": (len(long) / (self.long_ns / NS_PER_S), 0.0),
            "realized_vol_1s_60s": (sampled_volatility(seconds), 0.0),
            "ewma_vol_60s": (self.ewma_volatility(seconds), 0.0),
            "vwap_deviation_60s": vwap_deviation(long),
            "spread_zscore_60s": self.spread_zscore(),
            "amihud_60s": (amihud(seconds), 0.0),
            "kyle_lambda_60s": kyle_lambda(seconds),
        }

    def quote_values(self) -> dict[str, float | None]:
        names = ("mid", "spread_abs", "spread_bps", "microprice", "book_imbalance")
        if self.quote is None or not float(self.quote.bid) or not float(self.quote.ask):
            return dict.fromkeys(names)
        bid, ask = float(self.quote.bid), float(self.quote.ask)
        q_bid, q_ask = float(self.quote.bid_size), float(self.quote.ask_size)
        sized = self.sizes_known and q_bid + q_ask > 0
        return {
            "mid": (bid + ask) / 2,
            "spread_abs": ask - bid,
            "spread_bps": (ask - bid) / ((bid + ask) / 2) * 10**4,
            "microprice": (bid * q_ask + ask * q_bid) / (q_bid + q_ask) if sized else None,
            "book_imbalance": (q_bid - q_ask) / (q_bid + q_ask) if sized else None,
        }

    def inside(self, rows: list[Any], span_ns: int) -> list[Any]:
        assert self.now is not None
        return [row for row in rows if self.now - span_ns < row[0] <= self.now]

    def seconds(self, rows: list[Any]) -> list[tuple[int, list[Any]]]:
        """The whole seconds, by their ends, that are over and inside the long window, with the events of each."""
        assert self.now is not None
        by_end: dict[int, list[Any]] = {}
        for row in rows:
            by_end.setdefault(-(-row[0] // NS_PER_S), []).append(row)
        first, now = self.now - self.long_ns, self.now
        return [(end, by_end[end]) for end in sorted(by_end) if (end - 1) * NS_PER_S >= first and end * NS_PER_S < now]

    def ewma_volatility(self, seconds: list[tuple[int, list[Any]]]) -> float | None:
        assert self.now is not None
        if len(seconds) < 2:
            return None
        changes = dict(zip([end for end, _ in seconds[1:]], returns(last_prices(seconds)), strict=True))
        last = -(-self.now // NS_PER_S) - 1
        ends = np.arange(seconds[0][0] + 1, last + 1)
        weights = 0.94 ** (last - ends)
        squares = np.array([changes.get(int(end), 0.0) for end in ends]) ** 2
        return float(np.sqrt(np.sum(weights * squares) / np.sum(weights)))

    def order_flow_imbalance(self) -> tuple[float | None, float]:
        assert self.now is not None
        if self.quotes_from is None:
            return None, 0.0
        terms: list[float] = []
        for (_, b0, q0, a0, r0), (ts, b1, q1, a1, r1) in pairwise(self.quotes):
            if ts > self.now - 10 * NS_PER_S and min(b0, a0, b1, a1) > 0:
                terms += [(b1 >= b0) * q1, -(b1 <= b0) * q0, -(a1 <= a0) * r1, (a1 >= a0) * r0]
        return fsum(terms), 1e-15 * fsum(np.abs(terms))

    def spread_zscore(self) -> tuple[float | None, float]:
        spreads = []
        for _, rows in self.seconds(self.quotes):
            sided = [ask - bid for _, bid, _, ask, _ in rows if bid and ask]
            spreads += sided[-1:]
        if len(spreads) < 2 or not (self.quotes[-1][1] and self.quotes[-1][3]):
            return None, 0.0
        bid, ask = self.quotes[-1][1], self.quotes[-1][3]
        shifted = np.array(spreads) - spreads[-1]  # takes no digits from the differences
        usual = float(np.std(shifted, ddof=1))
        if usual <= 1e-12 * (bid + ask) / 2:
            return None, 0.0
        resolution = 1e-14 * float(np.max(np.abs([ask, bid, *spreads]))) / usual
        return (ask - bid - spreads[-1] - float(np.mean(shifted))) / usual, resolution

    def agrees(self, found: dict[str, Any]) -> None:
        """Assert that all features are right: 1e-9 relative, percentiles 2 % or 0.5 ms."""
        expected = self.values()
        assert found.keys() == expected.keys() | {"latency_ms_p50", "latency_ms_p95"}
        for name, (value, resolution) in expected.items():
            if value is None or found[name] is None:
                assert (name, found[name]) == (name, value)
            else:
                assert abs(found[name] - value) <= 1e-9 * abs(value) + resolution, (name, found[name], value)
        delays = np.array([delay for _, delay in self.inside(self.delays, self.long_ns)], dtype=float) / NS_PER_MS
        for name, q in (("latency_ms_p50", 50), ("latency_ms_p95", 95)):
            exact = float(np.percentile(delays, q)) if len(delays) else None
            if exact is None:
                assert found[name] is None
            else:
                assert abs(found[name] - exact) <= max(0.5, 0.02 * abs(exact)), name


def older(event: Quote | BookL2, latest: Quote | BookL2 | None) -> bool:
    """Whether an event is older than the latest of its kind, as far as both say."""
    if latest is None or event.ts_event is None or latest.ts_event is None:
        return False
    return event.ts_event < latest.ts_event


def vwap(rows: list[Any]) -> float | None:
    prices, sizes = np.array([row[2] for row in rows]), np.array([row[3] for row in rows])
    return float(np.sum(prices * sizes) / np.sum(sizes)) if rows else None


def vwap_deviation(rows: list[Any]) -> tuple[float | None, float]:
    if not rows:
        return None, 0.0
    prices, sizes = np.array([row[2] for row in rows]), np.array([row[3] for row in rows])
    above = float(np.sum(sizes * (prices[-1] - prices)) / np.sum(sizes * prices))  # keeps the digits of last / VWAP - 1
    return above, 1e-15 * (1 + abs(above))


def trade_imbalance(rows: list[Any]) -> tuple[float | None, float]:
    bought = [row[3] for row in rows if row[4] == 1]
    sold = [row[3] for row in rows if row[4] == -1]
    if not bought and not sold:
        return None, 0.0
    return fsum([*bought, *(-size for size in sold)]) / fsum(bought + sold), 0.0


def depth_imbalance(book: BookL2 | None) -> tuple[float | None, float]:
    if book is None or not book.bids or not book.asks:
        return None, 0.0
    bids = np.array([float(size) for _, size in book.bids[:5]])
    asks = np.array([float(size) for _, size in book.asks[:5]])
    total = float(np.sum(bids) + np.sum(asks))
    return ((float(np.sum(bids)) - float(np.sum(asks))) / total, 1e-15) if total else (None, 0.0)


def sampled_volatility(seconds: list[tuple[int, list[Any]]]) -> float | None:
    return float(np.sqrt(np.sum(returns(last_prices(seconds)) ** 2))) if len(seconds) >= 2 else None


def amihud(seconds: list[tuple[int, list[Any]]]) -> float | None:
    if len(seconds) < 2:
        return None
    money = np.array([np.sum([row[2] * row[3] for row in rows]) for _, rows in seconds[1:]])
    return float(np.mean(np.abs(returns(last_prices(seconds))) / money))


def kyle_lambda(seconds: list[tuple[int, list[Any]]]) -> tuple[float | None, float]:
    flows = np.array([fsum(row[3] * row[4] for row in rows) for _, rows in seconds[1:]])
    squares = float(np.sum(flows * flows)) if len(seconds) >= 2 else 0.0
    if not squares:
        return None, 0.0
    terms = flows * np.diff(last_prices(seconds))
    return fsum(terms) / squares, 1e-15 * fsum(np.abs(terms)) / squares


def prices(rows: list[Any]) -> list[float]:
    return [row[2] for row in rows]


def last_prices(seconds: list[tuple[int, list[Any]]]) -> list[float]:
    return [rows[-1][2] for _, rows in seconds]


def deviation(rows: list[Any]) -> float | None:
    log_returns = returns(prices(rows))
    return float(np.std(log_returns, ddof=1)) if len(log_returns) >= 2 else None


def returns(of: list[float]) -> Any:
    """Log returns to the last place; `np.diff(np.log(...))` would lose up to seven digits to cancellation."""
    logs = [ln(price) for price in of]
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
