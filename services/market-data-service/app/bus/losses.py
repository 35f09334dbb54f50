"""What one sink did not get, until it is told: by type and symbol, as `status` events of kind `drop`. Pure.

Whoever reads behind the sink cannot see it otherwise: `seq` is given after conflation, and a row that was never stored
leaves no trace. `latest_kept` says that only conflation took them: the latest state is right, what looks back is not.
Heartbeats are not told of, as nobody computes with them.
"""

from typing import Final

from msgspec import Struct

from md_contract.events import TYPE_OF, BookL2, Event, Quote, Status, Trade
from md_contract.units import NS_PER_S

TOLD: Final = (Trade, Quote, BookL2)
TELL_EVERY_S: Final = 2  # of a buffer; under overload a few events more, not many


class _Lost(Struct):
    """Of one type and symbol."""

    provider: str
    missing: int
    from_ns: int  # ts_recv of the first one
    to_ns: int  # of the last one
    latest_kept: bool  # the sink gets a newer one instead of each


class Losses:
    """Of one sink. Bounded by its types times its symbols."""

    def __init__(self, sink: str) -> None:
        self._sink = sink
        self._lost: dict[tuple[type[Event], str], _Lost] = {}
        self._told_ns: int | None = None

    def add(self, event: Event, conflated: bool) -> None:
        """Take note of an event that the sink will not get; `conflated`: it gets a newer one instead."""
        if not isinstance(event, TOLD):
            return
        key = (event.__class__, event.symbol)
        lost = self._lost.get(key)
        if lost is None:
            self._lost[key] = _Lost(event.provider, 1, event.ts_recv, event.ts_recv, conflated)
        else:
            lost.provider, lost.to_ns = event.provider, event.ts_recv
            lost.missing += 1
            lost.latest_kept &= conflated

    def is_due(self, mono_ns: int) -> bool:
        """Whether there is something to tell, and the last time is long enough ago."""
        return bool(self._lost) and (self._told_ns is None or mono_ns - self._told_ns >= TELL_EVERY_S * NS_PER_S)

    def take(self, mono_ns: int, wall_ns: int) -> list[Status]:
        """What there is to tell; with this it counts as told."""
        lost, self._lost = self._lost, {}
        self._told_ns = mono_ns
        return [
            Status(
                its.provider,
                symbol,
                wall_ns,
                "drop",
                {
                    "type": TYPE_OF[kind],
                    "missing": its.missing,
                    "from_ns": its.from_ns,
                    "to_ns": its.to_ns,
                    "latest_kept": its.latest_kept,
                    "sink": self._sink,
                },
            )
            for (kind, symbol), its in lost.items()
        ]
