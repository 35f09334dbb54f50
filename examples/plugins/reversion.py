"""A rule of mean reversion and a feature for it. Try it: PYTHONPATH=examples/plugins SENPAI_PLUGINS=reversion"""

from senpai.md_consumer.plugins import Above, Below, Conditions, Quote, Trades, feature, rule

PLUGIN_API = 1


@feature(trades=30, quote=True, unit="fraction", least=2)
def range_30s(trades: Trades, quote: Quote) -> float:
    """(Highest - lowest price of 30 s) / mid."""
    return (max(trades.price) - min(trades.price)) / ((quote.bid + quote.ask) / 2)


@rule
def reversion(vwap_deviation_60s: float, range_30s: float, spread_bps: float) -> Conditions:
    """Against a price that is away from its average by more than half of its range and twice the spread."""
    far = max(range_30s / 2, 2 * spread_bps / 10_000)
    tight = Below("spread_bps", 20, keep=40)
    return Conditions(
        long=[Below("vwap_deviation_60s", -far), tight],
        short=[Above("vwap_deviation_60s", far), tight],
    )
