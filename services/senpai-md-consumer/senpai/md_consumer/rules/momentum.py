"""The specified rule: a price move within 10 seconds, on volume, while the spread is tight."""

from collections.abc import Mapping
from typing import Final

from md_contract.signals import Condition, Direction
from senpai.md_consumer.features import Reader
from senpai.md_consumer.rules.finding import RuleOptions

READS: Final = ("return_10s", "trade_volume_10s", "spread_bps")


class Momentum:
    """Long when return_10s and trade_volume_10s are above and spread_bps below their thresholds; short mirrored.

    What held is lost only when it is missed by far: the return and the volume below `rearm_fraction` of their
    thresholds, the spread above its threshold divided by it. A crossed quote is no market to enter, so its negative
    spread does not count as tight.
    """

    def __init__(self, readers: Mapping[str, Reader], options: RuleOptions) -> None:
        self._return = readers["return_10s"]
        self._volume = readers["trade_volume_10s"]
        self._spread = readers["spread_bps"]
        self._options = options
        self._outer = options.return_threshold
        self._inner = options.return_threshold * options.rearm_fraction

    def begins(self) -> Direction | None:
        change = self._return()
        if change is None or -self._outer <= change <= self._outer:
            return None
        volume, spread = self._volume(), self._spread()
        if volume is None or spread is None:
            return None
        if not (volume > self._options.volume_threshold and 0 <= spread < self._options.spread_threshold_bps):
            return None
        return "long" if change > 0 else "short"

    def lost(self, direction: Direction) -> list[str]:
        change, volume, spread = self._return(), self._volume(), self._spread()
        least = self._options.volume_threshold * self._options.rearm_fraction
        most = self._options.spread_threshold_bps / self._options.rearm_fraction
        kept = (
            change is not None and (change if direction == "long" else -change) >= self._inner,
            volume is not None and volume >= least,
            spread is not None and 0 <= spread <= most,
        )
        return [name for name, is_kept in zip(READS, kept, strict=True) if not is_kept]

    def is_over(self, direction: Direction) -> bool:
        change = self._return()
        return change is not None and (change if direction == "long" else -change) < self._inner

    def conditions(self, direction: Direction) -> list[Condition]:
        change, volume, spread = self._return(), self._volume(), self._spread()
        found = []
        if change is not None:
            up = direction == "long"
            found.append(Condition("return_10s", change, ">" if up else "<", self._outer if up else -self._outer))
        if volume is not None:
            found.append(Condition("trade_volume_10s", volume, ">", self._options.volume_threshold))
        if spread is not None:
            found.append(Condition("spread_bps", spread, "<", self._options.spread_threshold_bps))
        return found
