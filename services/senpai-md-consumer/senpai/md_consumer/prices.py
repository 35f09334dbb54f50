"""Which prices of one symbol are believed, its trades' and its quotes'; see `plausible` for when."""

import math
from collections.abc import Callable

from senpai.md_consumer.counters import Counters
from senpai.md_consumer.plausible import Plausibility


class Prices:
    """Told of every price that is far from the one before; `seen` is how many of its kind came before it.

    `on_wrong` is called with the event type when a price that is not to be believed has got into the windows.
    """

    __slots__ = ("_counters", "_on_wrong", "_plausible", "quote_level")

    def __init__(self, counters: Counters, on_wrong: Callable[[str], None]) -> None:
        self.quote_level = math.nan  # bid + ask of the last quote that had both
        self._counters = counters
        self._on_wrong = on_wrong
        self._plausible = {"trade": Plausibility(), "quote": Plausibility()}

    def is_doubtful(self, event_type: str, seen: int) -> bool:
        """Whether the latest price, of `seen`, still waits to be confirmed."""
        return self._plausible[event_type].is_doubtful(seen)

    def restart_trades(self, seen: int) -> None:
        """The trades that come have nothing to do with those before."""
        self._plausible["trade"].restart(seen)

    def restart_quotes(self, seen: int) -> None:
        """The quotes that come have nothing to do with those before."""
        self._plausible["quote"].restart(seen)
        self.quote_level = math.nan

    def on_trade_jump(self, before: float, price: float, seen: int) -> None:
        """A trade is far from the one before it."""
        self._doubt("trade", before, price, seen)

    def on_quote_jump(self, total: float, seen: int) -> None:
        """A quote (bid + ask) is far from the one before it, or there was none."""
        before, self.quote_level = self.quote_level, total
        if not math.isnan(before):
            self._doubt("quote", before, total, seen)

    def on_misfit(self) -> None:
        """A trade was put in its place that is far from both its neighbours."""
        self._count("trade")
        self._on_wrong("trade")

    def _doubt(self, event_type: str, before: float, price: float, seen: int) -> None:
        self._count(event_type)
        if self._plausible[event_type].jump(before, price, seen):
            self._on_wrong(event_type)

    def _count(self, event_type: str) -> None:
        doubted = self._counters.implausible
        doubted[event_type] = doubted.get(event_type, 0) + 1
