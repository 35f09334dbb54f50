"""The features by their definitions, from raw recorded frames with numpy; knows nothing of the project's code."""

import gzip
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

NS_PER_S = 1_000_000_000


@dataclass
class Recording:
    """One symbol's frames in their recorded order; `order` holds ("trade" | "quote", index)."""

    trade_ids: list[str] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    prices: list[str] = field(default_factory=list)
    sizes: list[str] = field(default_factory=list)
    sides: list[str] = field(default_factory=list)
    quotes: list[tuple[str, str, str, str]] = field(default_factory=list)
    quotes_before_trade: list[int] = field(default_factory=list)

    def add(self, frame: dict[str, Any]) -> None:
        kind = frame["stream"].split("@")[1]
        data = frame["data"]
        if kind == "trade":
            self.quotes_before_trade.append(len(self.quotes))
            self.trade_ids.append(str(data["t"]))
            self.times.append(data["T"] * 1_000_000)
            self.prices.append(data["p"])
            self.sizes.append(data["q"])
            self.sides.append("sell" if data["m"] else "buy")
        elif kind == "bookTicker":
            self.quotes.append((data["b"], data["B"], data["a"], data["A"]))


def read_recording(path: Path) -> dict[str, Recording]:
    """Read a file of `<receive ns> <combined frame>` lines, gzipped or not: the recording of each symbol."""
    found: dict[str, Recording] = {}
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt") as lines:
        for line in lines:
            frame = json.loads(line.split(" ", 1)[1])
            if "stream" in frame:
                symbol = frame["stream"].split("@")[0].upper()
                found.setdefault(symbol, Recording()).add(frame)
    return found


class Batch:
    """Features of the first `k` trades at clock T, from scratch each time."""

    def __init__(self, recording: Recording, offset_ns: int) -> None:
        self.times: NDArray[np.int64] = np.array(recording.times, dtype=np.int64) + offset_ns
        self.prices: NDArray[np.float64] = np.array(recording.prices, dtype=np.float64)
        self.sizes: NDArray[np.float64] = np.array(recording.sizes, dtype=np.float64)
        self.sides: NDArray[np.float64] = np.array([{"buy": 1.0, "sell": -1.0}[side] for side in recording.sides])
        assert np.all(np.diff(self.times) >= 0), "this computation needs trades in time order"

    def trades_applied(self, clock: int, in_window_60s: int) -> int:
        """How many trades had been applied, given how many of them were in the 60-second window at `clock`."""
        return int(np.searchsorted(self.times, clock - 60 * NS_PER_S, side="right")) + in_window_60s

    def window(self, clock: int, applied: int, span_s: int) -> slice:
        return slice(int(np.searchsorted(self.times[:applied], clock - span_s * NS_PER_S, side="right")), applied)

    def features(self, clock: int, applied: int) -> dict[str, float | None]:
        ten, sixty = self.window(clock, applied, 10), self.window(clock, applied, 60)
        old = int(np.searchsorted(self.times[:applied], clock - 10 * NS_PER_S, side="right"))
        prices = self.prices[sixty]
        returns = np.log1p(np.diff(prices) / prices[:-1])  # exact to the last digits, which a difference of logs is not
        return {
            "trade_vwap_10s": self._vwap(ten),
            "trade_vwap_60s": self._vwap(sixty),
            "trade_count_10s": float(ten.stop - ten.start),
            "trade_volume_10s": math.fsum(self.sizes[ten]),
            "return_10s": float(self.prices[applied - 1] / self.prices[old - 1] - 1.0) if old else None,
            "realized_vol_60s": float(np.std(returns, ddof=1)) if len(returns) >= 2 else None,
            "trade_imbalance_10s": self._imbalance(ten),
            "trade_intensity_60s": (sixty.stop - sixty.start) / 60,
            "vwap_deviation_60s": self._vwap_deviation(sixty),
            **self._by_seconds(clock, sixty),
        }

    def _imbalance(self, window: slice) -> float | None:
        if window.start == window.stop:
            return None
        return math.fsum(self.sizes[window] * self.sides[window]) / math.fsum(self.sizes[window])

    def _vwap_deviation(self, window: slice) -> float | None:
        if window.start == window.stop:
            return None
        prices, sizes = self.prices[window], self.sizes[window]  # last / VWAP - 1 without losing its digits
        return math.fsum(sizes * (prices[-1] - prices)) / math.fsum(sizes * prices)

    def _by_seconds(self, clock: int, window: slice) -> dict[str, float | None]:
        """From the last price, the money and the signed volume of every whole second inside the window."""
        ends = -(-self.times[window] // NS_PER_S)
        rows = []
        for end in np.unique(ends):
            if (end - 1) * NS_PER_S >= clock - 60 * NS_PER_S and end * NS_PER_S < clock:
                prices, sizes, sides = (column[window][ends == end] for column in (self.prices, self.sizes, self.sides))
                rows.append((int(end), prices[-1], math.fsum(prices * sizes), math.fsum(sizes * sides)))
        if len(rows) < 2:
            return dict.fromkeys(("realized_vol_1s_60s", "ewma_vol_60s", "amihud_60s", "kyle_lambda_60s"))
        seconds, closes, money, flows = (np.array(column) for column in zip(*rows, strict=True))
        changes = np.diff(closes)
        returns = np.log1p(changes / closes[:-1])
        last = -(-clock // NS_PER_S) - 1  # the last second that is over
        weights = 0.94 ** np.arange(last - seconds[0])
        squares = math.fsum(flows[1:] ** 2)
        return {
            "realized_vol_1s_60s": math.sqrt(math.fsum(returns**2)),
            "ewma_vol_60s": math.sqrt(math.fsum(0.94 ** (last - seconds[1:]) * returns**2) / math.fsum(weights)),
            "amihud_60s": float(np.mean(np.abs(returns) / money[1:])),
            "kyle_lambda_60s": math.fsum(flows[1:] * changes) / squares if squares else None,
        }

    def _vwap(self, window: slice) -> float | None:
        if window.start == window.stop:
            return None
        return math.fsum(self.prices[window] * self.sizes[window]) / math.fsum(self.sizes[window])


def quote_features(quote: tuple[str, str, str, str]) -> dict[str, float]:
    bid, bid_size, ask, ask_size = map(float, quote)
    mid = (bid + ask) / 2
    return {
        "mid": mid,
        "spread_abs": ask - bid,
        "spread_bps": (ask - bid) / mid * 1e4,
        "microprice": (bid * ask_size + ask * bid_size) / (bid_size + ask_size),
        "book_imbalance": (bid_size - ask_size) / (bid_size + ask_size),
    }
