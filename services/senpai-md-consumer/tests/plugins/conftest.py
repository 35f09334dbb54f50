import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from md_contract.events import BookL2, Event, Quote, Trade
from md_contract.units import NS_PER_MS, NS_PER_S
from senpai.md_consumer.features import FEATURES
from senpai.md_consumer.pipeline import Pipeline, PipelineOptions
from senpai.md_consumer.plugins.loaded import Plugins
from senpai.md_consumer.rules import RULES

START = 1_700_000_000 * NS_PER_S
EXAMPLES = Path(__file__).parents[4] / "examples" / "plugins"
HEAD = "from senpai.md_consumer.plugins import *\n"
_numbers = count()


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Write a module of plug-ins; gives its name."""
    monkeypatch.syspath_prepend(tmp_path)
    made = []

    def begin(text: str, name: str | None = None) -> str:
        name = name or f"mine_{next(_numbers)}"
        (tmp_path / f"{name}.py").write_text(HEAD + dedent(text))
        made.append(name)
        return name

    yield begin
    for name in made:
        sys.modules.pop(name, None)


@pytest.fixture
def examples(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The modules of the worked examples, importable."""
    monkeypatch.syspath_prepend(EXAMPLES)
    yield "flow,reversion"
    for name in ("flow", "reversion"):
        sys.modules.pop(name, None)


class Market:
    """Symbols fed into a pipeline with plug-ins; seconds count from an arbitrary start."""

    def __init__(self, plugins: Plugins, features: Mapping[str, Any] = FEATURES, **options: Any) -> None:
        made = PipelineOptions(features={**features, **plugins.features}, **options)
        self.pipeline = Pipeline(made, {**RULES, **plugins.rules})
        self.mono_ns = 7_000 * NS_PER_S

    def trade(
        self, at_s: float, price: Any = 100, size: Any = 1, side: Any = "buy", symbol: str = "BTCUSDT"
    ) -> list[Any]:
        at = START + round(at_s * NS_PER_S)
        return self.feed(Trade("binance", symbol, at + 10 * NS_PER_MS, str(price), str(size), "1", side, at))

    def quote(self, at_s: float, bid: Any = 99.99, ask: Any = 100.01, symbol: str = "BTCUSDT") -> list[Any]:
        at = START + round(at_s * NS_PER_S)
        return self.feed(Quote("binance", symbol, at + 10 * NS_PER_MS, str(bid), "2", str(ask), "1", at))

    def book(self, at_s: float, bids: Any, asks: Any) -> list[Any]:
        at = START + round(at_s * NS_PER_S)
        return self.feed(BookL2("binance", "BTCUSDT", at + 10 * NS_PER_MS, bids, asks, at))

    def feed(self, event: Event) -> list[Any]:
        self.mono_ns += NS_PER_MS
        return list(self.pipeline.on_event(event, self.mono_ns))

    def features(self, symbol: str = "BTCUSDT") -> Any:
        vector = self.pipeline.features(symbol, self.mono_ns, START)
        assert vector is not None
        return vector.features


@pytest.fixture(scope="session")
def market() -> type[Market]:
    return Market
