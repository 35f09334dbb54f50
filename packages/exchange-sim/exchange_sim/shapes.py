"""Synthetic tapes with chosen price moves, in the hftbacktest format: for tests that must know what should happen."""

import gzip
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from exchange_sim.binance import Binance
from exchange_sim.market import MarketModel, Move

_NS_PER_S: Final = 1_000_000_000
_NS_PER_MS: Final = 1_000_000
_BEGIN_NS: Final = 1_790_000_000 * _NS_PER_S
_STEP_NS: Final = 10 * _NS_PER_MS
_LATENCY_NS: Final = 3 * _NS_PER_MS


def write_tape(
    path: Path,
    *,
    seconds: float,
    moves: Mapping[str, Iterable[Move]],
    rate: float = 100.0,
    seed: int = 1,
    wander: float = 0.2,
) -> int:
    """Write a tape of trades, quotes, diff books and one depth snapshot a symbol; returns the number of lines.

    The market is calm but for the moves: `{"BTCUSDT": [Move(at_s=20, size=0.005, over_s=5)]}` raises BTCUSDT by 0.5 %
    between second 20 and second 25. Times count from the beginning of the tape; a name ending in .gz is packed.
    """
    model = MarketModel(seed, moves, rate, moves=moves, wander=wander)
    venue = Binance(model.instruments)
    kinds = ("trade", "bookTicker", "depth@100ms")
    streams = {f"{symbol.lower()}@{kind}" for symbol in model.symbols for kind in kinds}
    live = venue.live(model, streams.__contains__)
    live.start(_BEGIN_NS)
    packed = path.suffix == ".gz"
    lines = 0
    with gzip.open(path, "wb") if packed else path.open("wb") as file:
        for symbol in model.symbols:
            snapshot = venue.get(f"/api/v3/depth?symbol={symbol}&limit=1000", _BEGIN_NS).body
            file.write(b"%d %b\n" % (_BEGIN_NS, snapshot))
            lines += 1
        for now_ns in range(_BEGIN_NS, _BEGIN_NS + int(seconds * _NS_PER_S) + 1, _STEP_NS):
            for frame in live.take(now_ns):
                file.write(b"%d %b\n" % (now_ns + _LATENCY_NS, venue.encode(frame, 1)))
                lines += 1
    return lines
