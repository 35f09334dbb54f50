"""The first reading of a tape of Bybit frames: what is on it, before any of it is played.

The recorder tells which socket a frame came from, and the socket's path which category; without it, it is spot.
"""

import re
from collections import Counter
from typing import Final
from urllib.parse import urlsplit

from exchange_sim.bybit.topics import CATEGORIES, stream_of
from exchange_sim.fixed import SCALE, decimals_of, parse_fixed
from exchange_sim.frame import Frame
from exchange_sim.market import Instrument, split_symbol
from exchange_sim.tape import Recorded, Tape

_NS_PER_MS: Final = 1_000_000
_TOPIC: Final = re.compile(rb'"topic":"([^"]+)"')
_SENT: Final = re.compile(rb'"ts":"?(\d{13})"?[,}]')
_LEVEL: Final = re.compile(rb'\["(\d+\.?\d*)","(\d+\.?\d*)"\]')
_TRADE: Final = (re.compile(rb'"p":"(\d+\.?\d*)"'), re.compile(rb'"v":"(\d+\.?\d*)"'))
_SAMPLES: Final = 500  # frames of a symbol looked at for its tick and lot


def is_frame(text: bytes) -> bool:
    """Tell whether a recorded text is a message of a topic."""
    return text.startswith(b"{") and _TOPIC.search(text) is not None


def as_frame(recorded: Recorded) -> Frame | None:
    """Return what was recorded as a frame; None when it is no message of a topic of a category that there is."""
    found = None if recorded.url else _TOPIC.search(recorded.text)
    category = urlsplit(recorded.address).path.rpartition("/")[2] or CATEGORIES[0]
    if found is None or category not in CATEGORIES:
        return None
    return Frame(stream_of(category, found[1].decode()), recorded.text)


class _Grain:
    """The finest price and size seen of one symbol."""

    def __init__(self) -> None:
        self.frames = 0
        self.price = 0
        self.price_decimals = 0
        self.size_decimals = 0

    def look(self, data: bytes) -> None:
        self.frames += 1
        pairs = _LEVEL.findall(data)
        trade = [pattern.search(data) for pattern in _TRADE]
        if all(trade):
            pairs.append(tuple(found[1] for found in trade if found is not None))
        for price, size in pairs:
            self.price = parse_fixed(price.decode())
            self.price_decimals = max(self.price_decimals, decimals_of(price.decode()))
            self.size_decimals = max(self.size_decimals, decimals_of(size.decode()))


class Survey:
    """What is on a tape.

    Raises:
        TapeError: see `Tape.read`.
    """

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.streams: Counter[str] = Counter()  # frames by stream
        self.first_ns = 0
        self.last_ns = 0
        self.least_latency_ns: int | None = None  # smallest receive time minus send time; None without send times
        self._grains: dict[str, dict[str, _Grain]] = {category: {} for category in CATEGORIES}
        for recorded in tape.read():
            self.first_ns = self.first_ns or recorded.ts_ns
            self.last_ns = recorded.ts_ns
            frame = as_frame(recorded)
            if frame is not None:
                self._look(recorded, frame)

    @property
    def instruments(self) -> dict[str, dict[str, Instrument]]:
        """The tape's symbols by category, with tick and lot as fine as the tape has them."""
        return {
            category: {symbol: _instrument(symbol, grain) for symbol, grain in sorted(grains.items())}
            for category, grains in self._grains.items()
        }

    def _look(self, recorded: Recorded, frame: Frame) -> None:
        self.streams[frame.stream] += 1
        category, _, topic = frame.stream.partition(":")
        grain = self._grains[category].setdefault(topic.rpartition(".")[2], _Grain())
        if grain.frames < _SAMPLES:
            grain.look(frame.data)
        when = _SENT.search(frame.data)
        if when is not None:
            latency_ns = recorded.ts_ns - int(when[1]) * _NS_PER_MS
            least_ns = self.least_latency_ns
            self.least_latency_ns = latency_ns if least_ns is None else min(least_ns, latency_ns)


def _instrument(symbol: str, grain: _Grain) -> Instrument:
    base, quote = split_symbol(symbol)
    tick, lot = SCALE // 10 ** min(8, grain.price_decimals), SCALE // 10 ** min(8, grain.size_decimals)
    return Instrument(symbol, base, quote, price=grain.price, tick=tick, lot=lot, trade_size=lot, level_size=lot)
