"""The specified rule: a price move within 10 seconds, on volume, while the spread is tight."""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from md_contract.signals import Condition
from senpai.md_consumer.features import Reader
from senpai.md_consumer.rules.finding import Finding, RuleOptions


class Episode(Enum):
    """What the symbol is in the middle of."""

    NONE = "none"
    LONG = "long"
    SHORT = "short"


class Sign(Enum):
    """What an event says; only asked for when the return is beyond what the present episode tolerates."""

    LONG = "long"  # every condition of a long signal holds
    SHORT = "short"
    CALM = "calm"  # neither


TRANSITIONS: Final[dict[tuple[Episode, Sign], Episode]] = {
    (Episode.NONE, Sign.LONG): Episode.LONG,
    (Episode.NONE, Sign.SHORT): Episode.SHORT,
    (Episode.LONG, Sign.SHORT): Episode.SHORT,
    (Episode.SHORT, Sign.LONG): Episode.LONG,
    (Episode.LONG, Sign.CALM): Episode.NONE,
    (Episode.SHORT, Sign.CALM): Episode.NONE,
}


class Momentum:
    """Long when return_10s and trade_volume_10s are above and spread_bps below their thresholds; short mirrored.

    One finding per episode, however the values flutter about their thresholds: an episode lasts until the return is
    back within the inner threshold. A crossed quote is no market to enter, so its negative spread does not count as
    tight. While the return is unknown nothing begins and nothing ends.
    """

    def __init__(self, readers: Mapping[str, Reader], options: RuleOptions) -> None:
        self._return = readers["return_10s"]
        self._volume = readers["trade_volume_10s"]
        self._spread = readers["spread_bps"]
        self._options = options
        self._outer = options.return_threshold
        self._inner = options.return_threshold * options.rearm_fraction
        self._episode = Episode.NONE

    def evaluate(self) -> Finding | None:
        change = self._return()
        if change is None:
            return None
        episode = self._episode
        if episode is Episode.NONE:
            if -self._outer <= change <= self._outer:
                return None
        elif change >= self._inner if episode is Episode.LONG else change <= -self._inner:
            return None
        reason = self._reason(change)
        sign = Sign.CALM if reason is None else Sign.LONG if change > 0 else Sign.SHORT
        self._episode = TRANSITIONS.get((episode, sign), episode)
        return None if reason is None else Finding("long" if sign is Sign.LONG else "short", reason)

    def _reason(self, change: float) -> list[Condition] | None:
        """The conditions of a signal in the direction of the return, if all of them hold."""
        options, volume, spread = self._options, self._volume(), self._spread()
        if volume is None or spread is None or not self._outer < abs(change):
            return None
        if not (volume > options.volume_threshold and 0 <= spread < options.spread_threshold_bps):
            return None
        up = change > 0
        return [
            Condition("return_10s", change, ">" if up else "<", self._outer if up else -self._outer),
            Condition("trade_volume_10s", volume, ">", options.volume_threshold),
            Condition("spread_bps", spread, "<", options.spread_threshold_bps),
        ]
