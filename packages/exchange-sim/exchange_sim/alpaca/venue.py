"""Alpaca: which endpoints there are, who is let in at each, and how a frame is written."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from exchange_sim.alpaca.door import Door
from exchange_sim.alpaca.live import AlpacaTeller
from exchange_sim.alpaca.session import NAME, AlpacaSession
from exchange_sim.alpaca.streams import feed_of, is_stream, parts_of, stream_of
from exchange_sim.frame import Frame
from exchange_sim.market import MarketModel
from exchange_sim.venue import HttpReply, Variant

ENDPOINTS: Final = {
    "/v2/iex": "shares",
    "/v2/sip": "shares",
    "/v2/test": "test",
    "/v1beta3/crypto/us": "crypto",
}
TEST_SYMBOL: Final = "FAKEPACA"


class Alpaca:
    """The dialect of Alpaca's streams. `doors` are by path; REST calls are not simulated."""

    name: Final = NAME

    def __init__(self, symbols: Iterable[str], make_door: Callable[[], Door] = Door) -> None:
        self.symbols = tuple(symbols)
        self.doors = {path: make_door() for path in ENDPOINTS}
        self.told_by: AlpacaTeller | None = None  # of a market model

    def teller(self, model: MarketModel, is_wanted: Callable[[str], bool]) -> AlpacaTeller:
        """Return who tells of the market model as this venue; books begin with what it says from now on."""
        self.told_by = AlpacaTeller(model, self.symbols, is_wanted)
        return self.told_by

    def owns(self, stream: str) -> bool:
        """Tell whether a stream has this venue's kind of name."""
        return is_stream(stream)

    def serves(self, target: str) -> bool:
        """Tell whether a path is this venue's."""
        return urlsplit(target).path in ENDPOINTS

    def open(self, target: str) -> AlpacaSession | None:
        """Open one of the ENDPOINTS."""
        path = urlsplit(target).path
        if path not in ENDPOINTS:
            return None
        feed = ENDPOINTS[path]
        return AlpacaSession(feed, self.doors[path], has=partial(self._has, feed), stream=stream_of, first=self._first)

    def _has(self, feed: str, symbol: str) -> bool:
        if feed == "test":
            return symbol == TEST_SYMBOL
        return feed_of(symbol) == feed

    def _first(self, stream: str) -> bytes | None:
        channel, symbol = parts_of(stream)
        known = channel == "orderbooks" and symbol in self.symbols
        return self.told_by.whole_book(symbol) if known and self.told_by is not None else None

    def get(self, _target: str, _now_ns: int) -> HttpReply:
        """Answer that no REST call is simulated."""
        return HttpReply(404, b"no REST call of Alpaca is simulated")

    def fail_rest(self, status: int, count: int, retry_after_s: int | None) -> None:
        """There is nothing that could fail."""

    def encode(self, frame: Frame, _variant: Variant) -> bytes:
        """Return the array of a frame's messages."""
        return b"[%b]" % frame.data

    def route(self, stream: str) -> tuple[str, str]:
        """Return kind and symbol of a stream: `alpaca:trades.BRK.B` is `alpaca:trades` of `BRK.B`."""
        channel, symbol = parts_of(stream)
        return f"{NAME}:{channel}", symbol
