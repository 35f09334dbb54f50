"""What Alpaca does rarely, made to happen."""

import math
from collections.abc import Callable, Iterable
from typing import Final

from exchange_sim.alpaca.door import Door
from exchange_sim.alpaca.live import AlpacaTeller
from exchange_sim.alpaca.session import ERRORS, error
from exchange_sim.alpaca.streams import feed_of
from exchange_sim.alpaca.venue import ENDPOINTS, Alpaca
from exchange_sim.frame import Frame

_SLOW_CLIENT: Final = 407


class AlpacaFaults:
    """`endpoint` is a path such as `/v2/iex`; None means all. What cannot be done raises ValueError and says why.

    A mute feed is `ExchangeSim.faults.mute(venue="alpaca")`.
    """

    def __init__(
        self, venue: Alpaca | None, publish: Callable[[Frame], None], end: Callable[[str, bytes], int]
    ) -> None:
        """`publish` sends a frame to all subscribers at once, `end` drops a venue's clients after a last text."""
        self._known = venue
        self._publish = publish
        self._end = end

    @property
    def _venue(self) -> Alpaca:
        if self._known is None:
            raise ValueError("expected a market that alpaca is a venue of, with symbols like AAPL or BTC/USD")
        return self._known

    def refuse_logins(self, code: int = 402, count: int | None = None, *, endpoint: str | None = None) -> None:
        """Refuse the next `count` logins, or all from now on, with this error code."""
        if code not in ERRORS:
            raise ValueError(f"expected a code of {', '.join(map(str, ERRORS))}, found {code}")
        for door in self._doors(endpoint):
            door.refusal, door.refusals = code, math.inf if count is None else count

    def accept_logins(self, *, endpoint: str | None = None) -> None:
        """Refuse none any more."""
        for door in self._doors(endpoint):
            door.refusals = 0

    def limit_symbols(self, count: int | None, *, endpoint: str | None = None) -> None:
        """Carry no more than so many symbols a channel (405); None: any number."""
        for door in self._doors(endpoint):
            door.max_symbols = count

    def withhold_feed(self, on: bool = True, *, endpoint: str | None = None) -> None:
        """Let the plan not include a feed (409), or include it again."""
        for door in self._doors(endpoint):
            door.has_feed = not on

    def slow_client(self) -> int:
        """Tell every client that it is too slow (407), and drop it; returns how many."""
        return self._end(self._venue.name, error(_SLOW_CLIENT))

    def cancel(self, symbol: str) -> None:
        """Take the last trade of a share back."""
        self._publish(self._of_a_trade(symbol).cancel_last(symbol))

    def correct(self, symbol: str) -> None:
        """Replace the last trade of a share by one of twice the size."""
        self._publish(self._of_a_trade(symbol).correct_last(symbol))

    def begin_again(self, symbol: str) -> None:
        """Send the whole book of a coin (`r` is true) in the middle of its stream."""
        if symbol not in self._venue.symbols or feed_of(symbol) != "crypto":
            raise ValueError(f"expected a symbol like BTC/USD that is traded here, found {symbol!r}")
        self._publish(self._teller.begin_again(symbol))

    @property
    def _teller(self) -> AlpacaTeller:
        if self._venue.told_by is None:
            raise ValueError("expected an invented market, found a recording or a script")
        return self._venue.told_by

    def _of_a_trade(self, symbol: str) -> AlpacaTeller:
        if feed_of(symbol) == "crypto" or symbol not in self._teller.last_fill:
            raise ValueError(f"expected a share that has traded, found {symbol!r}")
        return self._teller

    def _doors(self, endpoint: str | None) -> Iterable[Door]:
        doors = self._venue.doors
        if endpoint is None:
            return doors.values()
        if endpoint not in doors:
            raise ValueError(f"expected an endpoint of {', '.join(ENDPOINTS)}, found {endpoint!r}")
        return [doors[endpoint]]
