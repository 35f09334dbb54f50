"""Symbols that a venue refuses to give: no cadence is needed to know that nothing will come of them.

Each is told once when it is refused, and once when data for it comes although it was refused before.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from app.liveness.detectors import Line
from app.liveness.silence import Change
from md_contract.events import Status

DETECTOR: Final = "subscription"


class RefusalWatch:
    """The refused symbols of one provider. `standing` has why, for those that have been told and still hold."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._standing: dict[str, str] = {}

    @property
    def standing(self) -> Mapping[str, str]:
        return self._standing

    def look(self, lines: Sequence[Line], wall_ns: int) -> Iterator[Status]:
        """Take one look at all connections; tell what has changed."""
        for line in lines:
            for symbol, why in line.refused.items():
                if symbol not in self._standing:
                    yield self._status(Change.STALE, symbol, why, wall_ns)
                self._standing[symbol] = why
        if not self._standing:
            return
        # While not everything has been answered, a symbol that is not refused may be so in a moment.
        given = {symbol for line in lines if line.live for symbol in line.fresh - line.refused.keys()}
        for symbol in [symbol for symbol in self._standing if symbol in given]:
            yield self._status(Change.RECOVERED, symbol, self._standing.pop(symbol), wall_ns)
        if lines:
            for symbol in self._standing.keys() - {symbol for line in lines for symbol in line.symbols}:
                del self._standing[symbol]  # no longer asked for

    def stale(self, wall_ns: int) -> list[Status]:
        """What has been said and still holds, for who did not hear it then."""
        return [self._status(Change.STALE, symbol, why, wall_ns) for symbol, why in self._standing.items()]

    def _status(self, change: Change, symbol: str, why: str, wall_ns: int) -> Status:
        return Status(self._provider, symbol, wall_ns, change.value, {"detector": DETECTOR, "reason": why})
