"""The features: what each is called, and how it is computed.

A family is a class in a file of its own; it follows one window, or the symbol's state, and computes one or more values.
A new feature is a method of a family and a line in a table here; what it means is in the method's docstring. Values are
numbers or None, which says that there is no answer.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from senpai.md_consumer.features.amihud import Amihud
from senpai.md_consumer.features.book_imbalance import BookImbalance
from senpai.md_consumer.features.depth_imbalance import DepthImbalance
from senpai.md_consumer.features.ewma_volatility import EwmaVolatility
from senpai.md_consumer.features.feature import GRID_S, ROLLING_S, Feature, FeatureSet, Reader
from senpai.md_consumer.features.kyle import Kyle
from senpai.md_consumer.features.latency import Latency
from senpai.md_consumer.features.microprice import Microprice
from senpai.md_consumer.features.order_flow_imbalance import OrderFlowImbalance
from senpai.md_consumer.features.quotes import Quotes
from senpai.md_consumer.features.returns import Returns
from senpai.md_consumer.features.sampled_volatility import SampledVolatility
from senpai.md_consumer.features.spread_zscore import SpreadZscore
from senpai.md_consumer.features.trade_imbalance import TradeImbalance
from senpai.md_consumer.features.trade_intensity import TradeIntensity
from senpai.md_consumer.features.volatility import TradeVolatility
from senpai.md_consumer.features.volumes import Volumes
from senpai.md_consumer.features.vwap_deviation import vwap_deviation

__all__ = [
    "FEATURES", "GRID_S", "OPTIONAL", "ROLLING_S", "SPECIFIED", "Feature", "FeatureSet", "Reader",
    "UnknownFeatureError", "select",
]  # fmt: skip

# Always on.
SPECIFIED: Final[Mapping[str, Feature]] = MappingProxyType(
    {
        "mid": Feature(Quotes, Quotes.mid, "quotes", None, "price"),
        "spread_abs": Feature(Quotes, Quotes.spread_abs, "quotes", None, "price"),
        "spread_bps": Feature(Quotes, Quotes.spread_bps, "quotes", None, "bps"),
        "trade_vwap_10s": Feature(Volumes, Volumes.vwap, "trades", 10, "price"),
        "trade_vwap_60s": Feature(Volumes, Volumes.vwap, "trades", 60, "price"),
        "trade_count_10s": Feature(Volumes, Volumes.count, "trades", 10, "trades"),
        "trade_volume_10s": Feature(Volumes, Volumes.volume, "trades", 10, "base units"),
        "return_10s": Feature(Returns, Returns.price_return, "trades", 10, "fraction"),
        "realized_vol_60s": Feature(
            TradeVolatility, TradeVolatility.realized_vol, "trades", 60, "log return per trade"
        ),
        "latency_ms_p50": Feature(Latency, Latency.p50, "delays", 60, "ms"),
        "latency_ms_p95": Feature(Latency, Latency.p95, "delays", 60, "ms"),
    }
)

# On as the setting FEATURES says.
OPTIONAL: Final[Mapping[str, Feature]] = MappingProxyType(
    {
        "microprice": Feature(Microprice, Microprice.microprice, "quotes", None, "price"),
        "book_imbalance": Feature(BookImbalance, BookImbalance.imbalance, "quotes", None, "fraction"),
        "depth_imbalance_5": Feature(DepthImbalance, DepthImbalance.imbalance, "books", None, "fraction"),
        "trade_imbalance_10s": Feature(TradeImbalance, TradeImbalance.imbalance, "trades", 10, "fraction"),
        "order_flow_imbalance_10s": Feature(
            OrderFlowImbalance, OrderFlowImbalance.imbalance, "quotes", 10, "base units"
        ),
        "trade_intensity_60s": Feature(TradeIntensity, TradeIntensity.intensity, "trades", 60, "trades per second"),
        "realized_vol_1s_60s": Feature(
            SampledVolatility, SampledVolatility.realized_vol, "trades", 60, "log return", GRID_S
        ),
        "ewma_vol_60s": Feature(
            EwmaVolatility, EwmaVolatility.volatility, "trades", 60, "log return per second", GRID_S
        ),
        "vwap_deviation_60s": Feature(Volumes, vwap_deviation, "trades", 60, "fraction"),
        "spread_zscore_60s": Feature(SpreadZscore, SpreadZscore.zscore, "quotes", 60, "standard deviations", GRID_S),
        "amihud_60s": Feature(Amihud, Amihud.illiquidity, "trades", 60, "log return per quote unit", GRID_S),
        "kyle_lambda_60s": Feature(Kyle, Kyle.impact, "trades", 60, "price per base unit", GRID_S),
    }
)

FEATURES: Final[Mapping[str, Feature]] = MappingProxyType({**SPECIFIED, **OPTIONAL})


class UnknownFeatureError(ValueError):
    """There are no optional features of these names; `always_on` were named as well."""

    def __init__(self, names: Iterable[str], known: Iterable[str], always_on: Iterable[str] = ()) -> None:
        self.names = list(names)
        self.known = list(known)
        shown, on = ", ".join(map(repr, self.names)), ", ".join(always_on)
        super().__init__(
            f"unknown feature{'s' if len(self.names) > 1 else ''} {shown}: "
            f"expected all, none, or some of {', '.join(self.known)}{f' (always on: {on})' if on else ''}"
        )


def select(text: str) -> dict[str, Feature]:
    """The features that a comma-separated list of optional ones asks for, in their usual order.

    `all`, and no text, mean all of them; `none` means the specified ones alone. Those may be named as well.

    Raises:
        UnknownFeatureError: there is no feature of that name.
    """
    names = {name.strip().lower() for name in text.split(",")} - {""}
    if not names or names == {"all"}:
        return dict(FEATURES)
    if names == {"none"}:
        return dict(SPECIFIED)
    if unknown := sorted(names - FEATURES.keys()):
        raise UnknownFeatureError(unknown, OPTIONAL, sorted(names & SPECIFIED.keys()))
    return {name: feature for name, feature in FEATURES.items() if name in SPECIFIED or name in names}
