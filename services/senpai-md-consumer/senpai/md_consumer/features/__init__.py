"""The features: what each is called, and how it is computed.

A family is a class in a file of its own; it follows one window, or the symbol's state, and computes one or more values.
A new feature is a method of a family and a line in FEATURES; what it means is in the method's docstring. Values are
numbers or None, which says that there is no answer.
"""

from collections.abc import Callable, Iterable, Mapping
from types import MethodType
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from md_contract.signals import FeatureValue
from md_contract.units import NS_PER_S
from senpai.md_consumer.features.latency import Latency
from senpai.md_consumer.features.quotes import Quotes
from senpai.md_consumer.features.returns import Returns
from senpai.md_consumer.features.volatility import TradeVolatility
from senpai.md_consumer.features.volumes import Volumes
from senpai.md_consumer.state import SymbolState

Source: TypeAlias = Literal["quotes", "trades", "delays"]
Reader: TypeAlias = Callable[[], FeatureValue]

ROLLING_S: Final = 60  # windows of this length follow the setting that shortens them


class Feature(NamedTuple):
    """One value of a family over one window."""

    family: type
    value: Callable[[Any], FeatureValue]  # a method of the family
    source: Source  # what the family follows
    window_s: int | None  # None: the latest state, no window
    unit: str


FEATURES: Final[dict[str, Feature]] = {
    "mid": Feature(Quotes, Quotes.mid, "quotes", None, "price"),
    "spread_abs": Feature(Quotes, Quotes.spread_abs, "quotes", None, "price"),
    "spread_bps": Feature(Quotes, Quotes.spread_bps, "quotes", None, "bps"),
    "trade_vwap_10s": Feature(Volumes, Volumes.vwap, "trades", 10, "price"),
    "trade_vwap_60s": Feature(Volumes, Volumes.vwap, "trades", 60, "price"),
    "trade_count_10s": Feature(Volumes, Volumes.count, "trades", 10, "trades"),
    "trade_volume_10s": Feature(Volumes, Volumes.volume, "trades", 10, "base units"),
    "return_10s": Feature(Returns, Returns.price_return, "trades", 10, "fraction"),
    "realized_vol_60s": Feature(TradeVolatility, TradeVolatility.realized_vol, "trades", 60, "log return per trade"),
    "latency_ms_p50": Feature(Latency, Latency.p50, "delays", 60, "ms"),
    "latency_ms_p95": Feature(Latency, Latency.p95, "delays", 60, "ms"),
}


class FeatureSet:
    """The features of one symbol. Those of one family and window share one object, so nothing is summed twice."""

    def __init__(self, state: SymbolState, names: Iterable[str] = FEATURES) -> None:
        self._state = state
        self._families: dict[tuple[type, int | None], object] = {}
        self.readers: Mapping[str, Reader] = {name: self._reader(FEATURES[name]) for name in names}

    def values(self) -> dict[str, FeatureValue]:
        """Every feature's value at the symbol's present clock."""
        return {name: read() for name, read in self.readers.items()}

    def _reader(self, feature: Feature) -> Reader:
        key = (feature.family, feature.window_s)
        family = self._families.get(key)
        if family is None:
            family = self._families[key] = feature.family(self._input(feature))
        return MethodType(feature.value, family)

    def _input(self, feature: Feature) -> object:
        """What the feature's family follows."""
        if feature.window_s is None:
            return self._state
        span_ns = self._state.span_ns if feature.window_s == ROLLING_S else feature.window_s * NS_PER_S
        return (self._state.trades if feature.source == "trades" else self._state.delays).window(span_ns)
