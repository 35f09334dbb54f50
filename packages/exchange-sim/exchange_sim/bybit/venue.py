"""Bybit V5, public: which paths there are, and what a stream's name says."""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from exchange_sim.bybit import text
from exchange_sim.bybit.live import BybitTeller
from exchange_sim.bybit.oddities import Oddities
from exchange_sim.bybit.recorded import BybitPlayer
from exchange_sim.bybit.rest import Instruments, Rest
from exchange_sim.bybit.session import BybitSession
from exchange_sim.bybit.survey import Survey
from exchange_sim.bybit.topics import CATEGORIES, NAME, book_topic, is_stream, stream_of, symbol_of
from exchange_sim.bybit.view import EmptyView, View
from exchange_sim.frame import Frame
from exchange_sim.market import Instrument, MarketModel
from exchange_sim.replay import TapePlayback
from exchange_sim.venue import HttpReply, Session, Variant

_PATHS: Final = "/v5/"
_SOCKET: Final = re.compile(rf"/v5/public/({'|'.join(CATEGORIES)})/?")


class Bybit:
    """The dialect of Bybit's public stream server and REST API, spot and linear."""

    name: Final = NAME

    def __init__(self, instruments: Instruments) -> None:
        self.instruments = instruments
        self.rest = Rest(instruments)
        self.oddities = Oddities()
        self.view: View = EmptyView()
        self._opened = 0  # sessions so far

    @classmethod
    def of(cls, instruments: Mapping[str, Instrument]) -> "Bybit":
        """Return a venue that trades the same instruments in every category."""
        return cls(dict.fromkeys(CATEGORIES, instruments))

    @property
    def symbols(self) -> Iterable[str]:
        return dict.fromkeys(symbol for instruments in self.instruments.values() for symbol in instruments)

    def teller(self, model: MarketModel, is_wanted: Callable[[str], bool]) -> BybitTeller:
        """Return who tells of the market model as this venue; REST calls and subscribers see it from now on."""
        teller = BybitTeller(model, self.instruments[CATEGORIES[0]], is_wanted)
        self.view = teller
        return teller

    def recorded(self, survey: Survey, is_wanted: Callable[[str], bool]) -> TapePlayback:
        """Return a surveyed tape of this venue; REST calls and subscribers see it from now on."""
        player = BybitPlayer(survey, is_wanted)
        self.view = player
        return TapePlayback(survey, player)

    def owns(self, stream: str) -> bool:
        """Tell whether a stream has this venue's kind of name."""
        return is_stream(stream)

    def serves(self, target: str) -> bool:
        """Tell whether a path is this venue's."""
        return target.startswith(_PATHS)

    def open(self, target: str) -> Session | None:
        """Open `/v5/public/spot` or `/v5/public/linear`."""
        found = _SOCKET.fullmatch(urlsplit(target).path)
        if found is None:
            return None
        category = found[1]
        self._opened += 1
        return BybitSession(
            category,
            f"simulated-{self._opened:06d}",
            has=partial(self._has, category),
            first=partial(self._first, category),
            now_ms=lambda: self.view.now_ms,
            oddities=self.oddities,
        )

    def _has(self, category: str, topic: str) -> bool:
        return symbol_of(category, topic) in self.instruments[category]

    def _first(self, category: str, topic: str) -> bytes | None:
        return self.snapshot(stream_of(category, topic))

    def snapshot(self, stream: str) -> bytes | None:
        """Return the snapshot of an order book as its subscribers have it; None for other streams."""
        topic = book_topic(stream)
        view = None if topic is None else self.view.book(topic)
        return None if topic is None or view is None else text.book(topic, "snapshot", view)

    def get(self, target: str, now_ns: int) -> HttpReply:
        """Answer a REST call."""
        return self.rest.get(target, now_ns, self.view)

    def fail_rest(self, status: int, count: int, retry_after_s: int | None) -> None:
        """Answer the next `count` REST calls with this HTTP status."""
        self.rest.fail(status, count, retry_after_s)

    def encode(self, frame: Frame, _variant: Variant) -> bytes:
        """Return a message, as odd as messages are today."""
        odd = self.oddities.reordered_keys or self.oddities.text_times
        return self.oddities.disguise(frame.data) if odd else frame.data

    def route(self, stream: str) -> tuple[str, str]:
        """Return kind and symbol: `spot:orderbook.50.BTCUSDT` is `spot:orderbook.50` of `BTCUSDT`."""
        kind, _, symbol = stream.rpartition(".")
        return kind, symbol
