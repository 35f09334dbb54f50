"""What Bybit does rarely, made to happen."""

from collections.abc import Callable
from typing import Final

from exchange_sim.bybit.oddities import BadAck
from exchange_sim.bybit.shown import ShownBook
from exchange_sim.bybit.venue import Bybit
from exchange_sim.frame import Frame

_KINDS: Final = ("snapshot", "delta")
_NS_PER_MS: Final = 1_000_000


class BybitFaults:
    """Streams are named as `spot:orderbook.50.BTCUSDT`. Whatever cannot be done raises ValueError and says why.

    A skipped delta is `ExchangeSim.faults.lose(stream)`.
    """

    def __init__(self, venue: Bybit | None, publish: Callable[[Frame], None]) -> None:
        """`publish` sends a frame to all subscribers at once."""
        self._known = venue
        self._publish = publish

    @property
    def _venue(self) -> Bybit:
        if self._known is None:
            raise ValueError("expected a market that bybit is a venue of, found one of binance alone")
        return self._known

    def reorder_keys(self, on: bool = True) -> None:
        """Write the keys of every message the other way round, or stop doing so."""
        self._venue.oddities.reordered_keys = on

    def text_times(self, on: bool = True) -> None:
        """Write `ts` as text, or stop doing so."""
        self._venue.oddities.text_times = on

    def option_pongs(self, on: bool = True) -> None:
        """Answer pings in the shape of the category option, or stop doing so."""
        self._venue.oddities.option_pongs = on

    def spoil_acks(self, how: str, count: int = 1) -> None:
        """Answer the next `count` valid subscriptions badly: see `BadAck`."""
        if how not in {bad.value for bad in BadAck}:
            raise ValueError(f"expected a bad answer of {', '.join(BadAck)}, found {how!r}")
        self._venue.oddities.bad_acks.extend([BadAck(how)] * count)

    def resend(self, stream: str) -> None:
        """Send a snapshot in the middle of an order book's stream."""
        data = self._venue.snapshot(stream)
        if data is None:
            raise ValueError(f"expected an order book that has begun, found {stream!r}")
        self._publish(Frame(stream, data))

    def restart(self, stream: str, kind: str = "snapshot") -> None:
        """Send the whole book as a service does that has begun anew: numbered 1, called a snapshot or a delta."""
        if kind not in _KINDS:
            raise ValueError(f"expected a kind of {', '.join(_KINDS)}, found {kind!r}")
        self._publish(Frame(stream, self._shown(stream).restart(kind, self._venue.view.now_ms * _NS_PER_MS)))

    def delete_absent(self, stream: str, count: int = 1) -> None:
        """Let each of the next `count` deltas also delete a level that is not there."""
        self._shown(stream).absent += count

    def _shown(self, stream: str) -> ShownBook:
        shown = self._venue.view.shown.get(stream)
        if shown is None:
            raise ValueError(
                f"expected an order book that somebody is subscribed to and no recording has, found {stream!r}"
            )
        return shown
