"""The first reading of a tape of Binance frames: what is on it, before any of it is played."""

import re
from collections import Counter
from typing import Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from exchange_sim.fixed import SCALE, decimals_of, parse_fixed
from exchange_sim.frame import Frame
from exchange_sim.market import Instrument, split_symbol
from exchange_sim.tape import Recorded, Tape

_NS_PER_MS: Final = 1_000_000
_COMBINED: Final = re.compile(rb'\{"stream":"([^"]+)","data":(.*)\}', re.DOTALL)
_EVENT_TIME: Final = re.compile(rb'"E":(\d{13})[,}]')
_FIRST_ID: Final = re.compile(rb'"U":(\d+)')
_SNAPSHOT_ID: Final = re.compile(rb'"lastUpdateId":(\d+)')
_PRICE: Final = re.compile(rb'"[pb]":"(\d+\.?\d*)"')
_SIZE: Final = re.compile(rb'"[qB]":"(\d+\.?\d*)"')
_SAMPLES: Final = 500  # frames of a symbol looked at for its tick and lot
_MAX_SNAPSHOTS: Final = 256  # kept from the first reading; the first of each symbol is needed


class Snapshot(msgspec.Struct, gc=False, rename={"update_id": "lastUpdateId"}):
    """A recorded answer of `GET /api/v3/depth`."""

    update_id: int
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


_decode_snapshot: Final = msgspec.json.Decoder(Snapshot).decode


def as_frame(text: bytes) -> Frame | None:
    """Return a recorded text as a frame; None when it is no frame of a combined socket."""
    found = _COMBINED.fullmatch(text)
    return None if found is None else Frame(found[1].decode(), found[2])


def is_frame(text: bytes) -> bool:
    """Tell whether a recorded text is a frame of a combined socket."""
    return _COMBINED.fullmatch(text) is not None


def read_snapshot(text: bytes) -> Snapshot | None:
    """Return a recorded snapshot; None when it cannot be read."""
    try:
        return _decode_snapshot(text)
    except msgspec.DecodeError:
        return None


def is_snapshot(recorded: Recorded) -> bool:
    """Tell whether a recorded text is the answer of a depth call."""
    if recorded.url:
        return "/depth" in urlsplit(recorded.url).path
    return recorded.text.startswith(b'{"lastUpdateId"')


class _Grain:
    """The finest price and size seen of one symbol."""

    def __init__(self) -> None:
        self.frames = 0
        self.price = 0
        self.price_decimals = 0
        self.size_decimals = 0

    def look(self, data: bytes) -> None:
        self.frames += 1
        price, size = _PRICE.search(data), _SIZE.search(data)
        if price is not None and size is not None:
            self.price = parse_fixed(price[1].decode())
            self.price_decimals = max(self.price_decimals, decimals_of(price[1].decode()))
            self.size_decimals = max(self.size_decimals, decimals_of(size[1].decode()))


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
        self.least_latency_ns: int | None = None  # smallest receive time minus event time; None without event times
        self.snapshots: dict[str, Snapshot] = {}  # the first of each symbol
        self._grains: dict[str, _Grain] = {}
        self._first_ids: dict[int, dict[str, int]] = {}  # by file and symbol: the first update id of its diffs
        self._kept: list[Recorded] = []
        self._read()

    @property
    def instruments(self) -> dict[str, Instrument]:
        """The tape's symbols, with tick and lot as fine as the tape has them."""
        return {symbol: _instrument(symbol, grain) for symbol, grain in sorted(self._grains.items())}

    @property
    def seconds(self) -> float:
        """Length of the tape."""
        return (self.last_ns - self.first_ns) / 1e9

    def owner(self, recorded: Recorded) -> str | None:
        """Return the symbol of a recorded snapshot: from its address, else the one with the nearest update ids."""
        if recorded.url:
            return next(iter(parse_qs(urlsplit(recorded.url).query).get("symbol", [])), None)
        found = _SNAPSHOT_ID.search(recorded.text)
        candidates = self._first_ids.get(recorded.file)
        if found is None or not candidates:
            return None
        update_id = int(found[1])
        return min(candidates, key=lambda symbol: abs(candidates[symbol] - update_id))

    def _read(self) -> None:
        for recorded in self.tape.read():
            self.first_ns = self.first_ns or recorded.ts_ns
            self.last_ns = recorded.ts_ns
            if is_snapshot(recorded):
                if len(self._kept) < _MAX_SNAPSHOTS:
                    self._kept.append(recorded)
                continue
            frame = None if recorded.url else as_frame(recorded.text)
            if frame is not None:
                self._look(recorded, frame)
        for recorded in self._kept:
            symbol = self.owner(recorded)
            if symbol in self._grains and symbol not in self.snapshots:
                snapshot = read_snapshot(recorded.text)
                if snapshot is not None:
                    self.snapshots[symbol] = snapshot
        self._kept.clear()

    def _look(self, recorded: Recorded, frame: Frame) -> None:
        self.streams[frame.stream] += 1
        name, _, kind = frame.stream.partition("@")
        symbol = name.upper()
        grain = self._grains.get(symbol)
        if grain is None and not name.startswith("!"):
            grain = self._grains[symbol] = _Grain()
        if grain is not None and grain.frames < _SAMPLES:
            grain.look(frame.data)
        when = _EVENT_TIME.search(frame.data)
        if when is not None:
            latency_ns = recorded.ts_ns - int(when[1]) * _NS_PER_MS
            least_ns = self.least_latency_ns
            self.least_latency_ns = latency_ns if least_ns is None else min(least_ns, latency_ns)
        if kind.startswith("depth") and symbol not in self._first_ids.setdefault(recorded.file, {}):
            first_id = _FIRST_ID.search(frame.data)
            if first_id is not None:
                self._first_ids[recorded.file][symbol] = int(first_id[1])


def _instrument(symbol: str, grain: _Grain) -> Instrument:
    base, quote = split_symbol(symbol)
    lot = SCALE // 10 ** min(8, grain.size_decimals) if grain.price else 1
    tick = SCALE // 10 ** min(8, grain.price_decimals) if grain.price else 1
    return Instrument(symbol, base, quote, price=grain.price, tick=tick, lot=lot, trade_size=lot, level_size=lot)
