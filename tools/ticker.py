"""One line every few seconds for each symbol: what the consumer computes right now, asked over its HTTP."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from threading import Event, Thread
from typing import Any
from urllib.parse import quote

import http_json

SIGNALS = re.compile(r"^senpai_signals_emitted_total\{(?P<labels>[^}]*)\}\s+(?P<count>\S+)", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')


def shown(value: float | None, pattern: str, scale: float = 1.0) -> str:
    """The value by `pattern`, or a dash of the same width as a short number when there is none."""
    return "-" if value is None else pattern.format(value * scale)


def line_of(symbol: str, answer: dict[str, Any], signals: str) -> str:
    """One line of `GET /features/latest`."""
    features, trust = answer.get("features", {}), answer.get("trust", {})
    words = [
        f"{symbol:<9}",
        f"mid {shown(features.get('mid'), '{:,.2f}'):>11}",
        f"return_10s {shown(features.get('return_10s'), '{:+.3f} %', 100):>9}",
        f"trades_10s {shown(features.get('trade_count_10s'), '{:.0f}'):>4}",
        f"spread {shown(features.get('spread_bps'), '{:.3f} bps'):>9}",
        f"latency {shown(features.get('latency_ms_p50'), '{:.1f} ms'):>7}",
        f"signals {signals}",
    ]
    if not trust.get("warm", True):
        words.append("(warming up)")
    return "  ".join(words)


def signals_by_symbol(metrics: str) -> dict[str, dict[str, int]]:
    """Count of signals by symbol and direction, from the text of `GET /metrics`."""
    counts: dict[str, dict[str, int]] = {}
    for match in SIGNALS.finditer(metrics):
        labels = dict(LABEL.findall(match["labels"]))
        of_symbol = counts.setdefault(labels.get("symbol", ""), {})
        of_symbol[labels.get("direction", "")] = int(float(match["count"]))
    return counts


class Ticker:
    """Looks at the consumer and remembers what it has told already."""

    def __init__(self, port: int, symbols: Sequence[str]) -> None:
        self._port = port
        self._symbols = symbols
        self._told: dict[str, dict[str, int]] = {}

    def look(self) -> list[str]:
        """A line for each symbol. Raises NoAnswerError when the consumer does not answer."""
        _, metrics = http_json.get(self._port, "/metrics")
        counts = signals_by_symbol(metrics)
        return [self._line(symbol, counts.get(symbol, {})) for symbol in self._symbols]

    def _line(self, symbol: str, counts: dict[str, int]) -> str:
        told = self._told.get(symbol, {})
        self._told[symbol] = counts
        fresh = [direction.upper() for direction, count in counts.items() if count > told.get(direction, 0)]
        total = ", ".join(f"{count} {direction}" for direction, count in sorted(counts.items()) if count)
        try:
            answer = http_json.get_json(self._port, f"/features/latest?symbol={quote(symbol)}")
        except http_json.NoAnswerError:
            return f"{symbol:<9}  no features yet"
        return line_of(symbol, answer, total or "none yet") + "".join(f"  <- NEW {direction}" for direction in fresh)


def start(port: int, symbols: Sequence[str], say: Callable[[str], None], every_s: float, done: Event) -> None:
    """Say the lines every so often, in a thread of its own, until `done`."""
    ticker = Ticker(port, symbols)

    def work() -> None:
        while not done.wait(every_s):
            try:
                lines = ticker.look()
            except http_json.NoAnswerError as error:
                lines = [f"senpai-md-consumer: {error}"]
            for line in lines:
                say(line)

    Thread(target=work, daemon=True).start()
