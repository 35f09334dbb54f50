"""Recorded Binance frames as a playback: sent again as they were, with the books and trades kept for the REST calls.

`GET /api/v3/depth` answers with the tape's own snapshot until the diff stream has caught up with it, and from then on
with the book rebuilt from it and the diffs sent so far. Both let a client synchronise by the venue's procedure at any
time: before the catch-up the snapshot is newer than all that it has buffered, and the stream goes on to reach it.

Partial books (`@depth20@100ms`) that the tape does not hold are made from the rebuilt book, after each diff.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import msgspec

from exchange_sim.binance import text
from exchange_sim.binance.live import PARTIAL_DEPTHS
from exchange_sim.binance.record import AggregateRow, Record, TradeRow
from exchange_sim.binance.survey import Survey, as_frame, is_snapshot, read_snapshot
from exchange_sim.frame import Frame
from exchange_sim.tape import Recorded

_SLOW_MS: Final = 1_000
_TIMES: Final = re.compile(rb'("[ET]":)(\d{13})(?=[,}])')
_KLINE_TIMES: Final = re.compile(rb'("[ETt]":)(\d{13})(?=[,}])')


class _Diff(msgspec.Struct, gc=False, rename={"last_id": "u", "bids": "b", "asks": "a", "event_ms": "E"}):
    last_id: int
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]
    event_ms: int


class _Trade(
    msgspec.Struct, gc=False, rename={"trade_id": "t", "price": "p", "size": "q", "time_ms": "T", "buyer_is_maker": "m"}
):
    trade_id: int
    price: str
    size: str
    time_ms: int
    buyer_is_maker: bool


class _Aggregate(
    msgspec.Struct,
    gc=False,
    rename={
        "aggregate_id": "a",
        "price": "p",
        "size": "q",
        "first_id": "f",
        "last_id": "l",
        "time_ms": "T",
        "buyer_is_maker": "m",
    },
):
    aggregate_id: int
    price: str
    size: str
    first_id: int
    last_id: int
    time_ms: int
    buyer_is_maker: bool


_Keeper: TypeAlias = Callable[[Frame, list[Frame]], None]
_decode_diff: Final = msgspec.json.Decoder(_Diff).decode
_decode_trade: Final = msgspec.json.Decoder(_Trade).decode
_decode_aggregate: Final = msgspec.json.Decoder(_Aggregate).decode


class BinancePlayer:
    """Plays a surveyed tape. Every recorded frame comes out once, in the tape's order; nothing comes between two of
    them but partial books made from the diff just sent.
    """

    def __init__(self, survey: Survey, records: Mapping[str, Record], is_wanted: Callable[[str], bool]) -> None:
        self._survey = survey
        self._records = records
        self._is_wanted = is_wanted
        self.unreadable = 0  # frames that were sent but could not be kept for the REST calls
        self._keepers: dict[str, _Keeper | None] = {}
        self._slow_spoke_ms: dict[str, int] = {}
        for symbol, snapshot in survey.snapshots.items():
            records[symbol].renew(snapshot.bids, snapshot.asks, snapshot.update_id)

    def play(self, recorded: Recorded, offset_ms: int) -> list[Frame]:
        """Return what to send for one recorded text."""
        if is_snapshot(recorded):
            self._renew(recorded)
            return []
        frame = None if recorded.url else as_frame(recorded.text)
        if frame is None:
            return []
        if offset_ms:
            frame = Frame(frame.stream, _moved(frame, offset_ms))
        frames = [frame]
        if frame.stream not in self._keepers:
            self._keepers[frame.stream] = self._keeper(frame.stream)
        keep = self._keepers[frame.stream]
        if keep is not None:
            try:
                keep(frame, frames)
            except msgspec.DecodeError:
                self.unreadable += 1
        return frames

    def _keeper(self, stream: str) -> _Keeper | None:
        """Return what remembers the frames of a stream for the REST calls."""
        kind = stream.partition("@")[2]
        if kind == "trade":
            return self._keep_trade
        if kind == "aggTrade":
            return self._keep_aggregate
        return self._keep_diff if kind.partition("@")[0] == "depth" else None

    def _record(self, frame: Frame) -> Record:
        return self._records[frame.stream.partition("@")[0].upper()]

    def _keep_trade(self, frame: Frame, _frames: list[Frame]) -> None:
        raw = _decode_trade(frame.data)
        row = TradeRow(raw.trade_id, raw.price, raw.size, raw.time_ms, raw.buyer_is_maker)
        record = self._record(frame)
        record.trades.append(row)
        if f"{record.symbol.lower()}@aggTrade" not in self._survey.streams:
            record.join(row)

    def _keep_aggregate(self, frame: Frame, _frames: list[Frame]) -> None:
        raw = _decode_aggregate(frame.data)
        row = AggregateRow(
            raw.aggregate_id, raw.price, raw.size, raw.first_id, raw.last_id, raw.time_ms, raw.buyer_is_maker
        )
        self._record(frame).aggregates.append(row)

    def _renew(self, recorded: Recorded) -> None:
        """Take a snapshot that is ahead of the rebuilt book, after a hole in the recording."""
        symbol = self._survey.owner(recorded)
        record = self._records.get(symbol or "")
        if record is not None:
            snapshot = read_snapshot(recorded.text)
            if snapshot is not None and snapshot.update_id > record.update_id:
                record.renew(snapshot.bids, snapshot.asks, snapshot.update_id)

    def _keep_diff(self, frame: Frame, frames: list[Frame]) -> None:
        diff = _decode_diff(frame.data)
        record = self._record(frame)
        if diff.last_id <= record.update_id:
            return
        record.note(diff.bids, diff.asks, diff.last_id)
        name = frame.stream.partition("@")[0]
        slow = diff.event_ms - self._slow_spoke_ms.get(name, 0) >= _SLOW_MS
        if slow:
            self._slow_spoke_ms[name] = diff.event_ms
        for depth in PARTIAL_DEPTHS:
            for stream, due in ((f"{name}@depth{depth}@100ms", True), (f"{name}@depth{depth}", slow)):
                if due and self._is_wanted(stream) and stream not in self._survey.streams:
                    frames.append(Frame(stream, text.snapshot(record.book, depth)))


def _moved(frame: Frame, offset_ms: int) -> bytes:
    pattern = _KLINE_TIMES if "@kline" in frame.stream else _TIMES
    return pattern.sub(lambda found: found[1] + b"%d" % (int(found[2]) + offset_ms), frame.data)
