"""Binance spot: which paths there are, how a frame is wrapped, what a stream's name says."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from exchange_sim.binance.live import BinanceTeller
from exchange_sim.binance.record import Record
from exchange_sim.binance.recorded import BinancePlayer
from exchange_sim.binance.rest import Rest
from exchange_sim.binance.session import (
    COMBINED,
    MAX_STREAMS,
    MICROSECONDS,
    NAME,
    BinanceSession,
    ErrorShape,
    is_stream,
)
from exchange_sim.binance.survey import Survey
from exchange_sim.frame import Frame
from exchange_sim.live import MarketPlayback
from exchange_sim.market import Instrument, MarketModel
from exchange_sim.replay import TapePlayback
from exchange_sim.venue import HttpReply, Session, Variant

SHUTDOWN_STREAM: Final = "!serverShutdown"
_MILLISECONDS: Final = re.compile(rb'("[ET]":\d{13})(?=[,}])')


class Binance:
    """The dialect of Binance spot's stream server and REST API."""

    name: Final = NAME

    def __init__(self, instruments: Mapping[str, Instrument], *, error_shape: ErrorShape = "documented") -> None:
        self.instruments = dict(instruments)
        self.records = {symbol: Record(symbol) for symbol in instruments}
        self.rest = Rest(self.records, self.instruments)
        self._error_shape = error_shape

    @property
    def symbols(self) -> Iterable[str]:
        return self.records.keys()

    def teller(self, model: MarketModel, is_wanted: Callable[[str], bool]) -> BinanceTeller:
        """Return who tells of the market model as this venue."""
        return BinanceTeller(model, self.records, is_wanted)

    def live(self, model: MarketModel, is_wanted: Callable[[str], bool]) -> MarketPlayback:
        """Return the market model as this venue's streams, and no other's."""
        return MarketPlayback(model, [self.teller(model, is_wanted)])

    def recorded(self, survey: Survey, is_wanted: Callable[[str], bool]) -> TapePlayback:
        """Return a surveyed tape of this venue."""
        return TapePlayback(survey, BinancePlayer(survey, self.records, is_wanted))

    def owns(self, _stream: str) -> bool:
        """Tell whether a stream has this venue's kind of name, which any text may be that is no other venue's."""
        return True

    def serves(self, _target: str) -> bool:
        """Tell whether a path is this venue's: every one that is no other venue's."""
        return True

    def open(self, target: str) -> Session | None:
        """Open `/stream?streams=a/b`, `/ws/a/b`, or either of them without streams."""
        url = urlsplit(target)
        query = parse_qs(url.query)
        path = unquote(url.path)
        if path == "/stream":
            names = [name for part in query.get("streams", []) for name in part.split("/") if name]
        elif path == "/ws" or path.startswith("/ws/"):
            names = [name for name in path.removeprefix("/ws").split("/") if name]
        else:
            return None
        if len(names) > MAX_STREAMS or not all(map(is_stream, names)):
            return None
        micro = query.get("timeUnit", [""])[0].upper() == "MICROSECOND"
        return BinanceSession(names, combined=path == "/stream", microseconds=micro, error_shape=self._error_shape)

    def get(self, target: str, now_ns: int) -> HttpReply:
        """Answer a REST call."""
        return self.rest.get(target, now_ns)

    def fail_rest(self, status: int, count: int, retry_after_s: int | None) -> None:
        """Answer the next `count` REST calls with this HTTP status."""
        self.rest.fail(status, count, retry_after_s)

    def encode(self, frame: Frame, variant: Variant) -> bytes:
        """Wrap a payload for a combined socket, and write its times in the session's unit."""
        data = _MILLISECONDS.sub(rb"\g<1>000", frame.data) if variant & MICROSECONDS else frame.data
        return b'{"stream":"%b","data":%b}' % (frame.stream.encode(), data) if variant & COMBINED else data

    def route(self, stream: str) -> tuple[str, str]:
        """Return kind and symbol: `btcusdt@depth@100ms` is `depth@100ms` of `BTCUSDT`."""
        symbol, _, kind = stream.partition("@")
        return kind, symbol.upper()

    def shutdown_notice(self, now_ns: int) -> Frame:
        """Return the message that tells clients to leave."""
        return Frame(SHUTDOWN_STREAM, b'{"e":"serverShutdown","E":%d}' % (now_ns // 1_000_000))
