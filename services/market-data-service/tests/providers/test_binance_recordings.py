"""Recorded Binance frames through a conversation, against the raw frames read with the standard library."""

import gzip
import heapq
import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.books.diff_sync import Sign
from app.providers.provider import Fetch
from md_contract.events import BookL2, Event, Quote, Status, Trade

HFTBACKTEST = ["btcusdt", "ethusdt"]
EVERY = 2  # compare the book after every so many updates: more than 1,000 instants a symbol
Frames = list[tuple[int, bytes]]


def hftbacktest(recordings: Path, symbol: str) -> Frames:
    with gzip.open(recordings / f"binance_spot_ws/hftbacktest_spot_{symbol}_20240808.gz") as lines:
        return [(int(time), frame.strip()) for time, frame in (line.split(b" ", 1) for line in lines)]


def play(talk: Any, frames: Frames) -> Iterator[tuple[bytes, list[Event]]]:
    """Each recorded frame and the events it gave; a recorded snapshot answers the open request for one."""
    fetches: list[Fetch] = []
    for now, (ts_recv, frame) in enumerate(frames):
        events = []
        if frame.startswith(b'{"lastUpdateId"'):
            events += talk.conversation.fetched(fetches.pop(), frame, ts_recv)
        else:
            events += talk.conversation.decode(frame, ts_recv)
        events += talk.conversation.on_time(now * 1_000)
        fetches += [want for want in talk.conversation.wants if isinstance(want, Fetch)]
        talk.conversation.wants.clear()
        yield frame, events


@pytest.mark.parametrize("symbol", HFTBACKTEST)
def test_every_recorded_trade_and_quote_comes_out_once_in_order_and_exact(
    make_talk: Any, recordings: Path, symbol: str
) -> None:
    talk = make_talk(symbol.upper(), rate_hz=1e9)
    frames = hftbacktest(recordings, symbol)
    events = [event for _, events in play(talk, frames) for event in events]
    raw: dict[str, list[Any]] = {"trade": [], "bookTicker": []}
    for ts_recv, frame in frames:
        message = json.loads(frame)
        kind = message.get("stream", "@").partition("@")[2]
        raw.setdefault(kind, []).append((ts_recv, message.get("data")))
    trades = [event for event in events if isinstance(event, Trade)]
    quotes = [event for event in events if isinstance(event, Quote)]
    assert [(e.ts_recv, e.price, e.size, int(e.trade_id), e.side, e.ts_event) for e in trades] == [
        (at, d["p"], d["q"], d["t"], "sell" if d["m"] else "buy", d["T"] * 1_000_000) for at, d in raw["trade"]
    ]
    assert [(e.ts_recv, e.bid, e.bid_size, e.ask, e.ask_size, e.ts_event) for e in quotes] == [
        (at, d["b"], d["B"], d["a"], d["A"], None) for at, d in raw["bookTicker"]
    ]
    assert talk.aside == {}
    assert not any(isinstance(event, Status) for event in events)


class NaiveBook:
    """The rules of the venue's documentation, with everything sorted anew at every look."""

    def __init__(self, snapshot: dict[str, Any]) -> None:
        self.last: int = snapshot["lastUpdateId"]
        self.bids = {Decimal(price): (price, size) for price, size in snapshot["bids"]}
        self.asks = {Decimal(price): (price, size) for price, size in snapshot["asks"]}

    def update(self, diff: dict[str, Any]) -> None:
        if diff["u"] <= self.last:
            return
        assert diff["U"] <= self.last + 1, "the recording has a hole"
        for side, changes in ((self.bids, diff["b"]), (self.asks, diff["a"])):
            for price, size in changes:
                side.pop(Decimal(price), None)
                if Decimal(size):
                    side[Decimal(price)] = (price, size)
        self.last = diff["u"]

    def top(self, depth: int) -> tuple[list[Any], list[Any]]:
        bids = heapq.nlargest(depth, self.bids)
        asks = heapq.nsmallest(depth, self.asks)
        return [self.bids[price] for price in bids], [self.asks[price] for price in asks]


@pytest.mark.parametrize("symbol", HFTBACKTEST)
def test_the_published_book_equals_an_independent_rebuild_and_its_top_the_recorded_quotes(
    make_talk: Any, recordings: Path, symbol: str
) -> None:
    frames = hftbacktest(recordings, symbol)
    snapshot = next(json.loads(frame) for _, frame in frames if frame.startswith(b'{"lastUpdateId"'))
    quotes = {}
    for _, frame in frames:
        if b"@bookTicker" in frame[:40]:
            data = json.loads(frame)["data"]
            quotes[data["u"]] = ((data["b"], data["B"]), (data["a"], data["A"]))
    naive = NaiveBook(snapshot)
    talk = make_talk(symbol.upper(), rate_hz=1e9)
    lowest, highest = min(naive.bids), max(naive.asks)
    compared = lined_up = updates = 0
    for frame, events in play(talk, frames):
        if b"@depth" not in frame[:40]:
            continue
        naive.update(json.loads(frame)["data"])
        books = [event for event in events if isinstance(event, BookL2)]
        if not books:
            continue
        updates += 1
        if naive.last in quotes:
            lined_up += 1
            assert (books[-1].bids[0], books[-1].asks[0]) == quotes[naive.last]
        if updates % EVERY == 0:
            compared += 1
            assert (books[-1].bids, books[-1].asks) == naive.top(20)
            assert Decimal(books[-1].bids[-1][0]) >= lowest
            assert Decimal(books[-1].asks[-1][0]) <= highest
    shallow = talk.provider.counters.books.given_up[Sign.SHALLOW]
    assert updates > 3_400 or shallow, "only where the market left what the recorded snapshot covers may it end early"
    assert updates > 2_400
    assert compared > 1_000
    assert lined_up > 100
    assert talk.provider.counters.books.resyncs == shallow


def test_a_recording_of_thin_symbols_with_other_streams_beside_decodes_completely(
    make_talk: Any, recordings: Path
) -> None:
    with gzip.open(recordings / "binance_spot_ws/cryptofeed_BINANCE_20211012.jsonl.gz") as lines:
        records = [json.loads(line) for line in lines]
    symbols = ("NKNUSDT", "BLZETH", "LRCBTC", "RUNEEUR")
    talk = make_talk(*symbols, rate_hz=1e9)
    snapshots = {
        r["url"].split("symbol=")[1].split("&")[0]: r["data"] for r in records if "depth?symbol" in r.get("url", "")
    }
    listing = next(record["data"] for record in records if "exchangeInfo" in record.get("url", ""))
    assert talk.provider.unlisted(listing.encode(), [*symbols, "NOSUCH"]) == {"NOSUCH": "not listed by Binance"}

    sent: Counter[str] = Counter()
    got: Counter[str] = Counter()
    for now, record in enumerate(record for record in records if record["t"] == "recv"):
        ts_recv = int(record["ts"] * 1e9)
        sent[json.loads(record["data"])["stream"].partition("@")[2]] += 1
        events = [*talk.conversation.decode(record["data"].encode(), ts_recv)]
        for fetch in [want for want in talk.conversation.wants if isinstance(want, Fetch)]:
            talk.conversation.fetched(fetch, snapshots[fetch.topic].encode(), ts_recv)
        talk.conversation.wants.clear()
        events += talk.conversation.on_time(now * 1_000)
        got.update(type(event).__name__ for event in events)
    assert got["Quote"] == sent["bookTicker"] > 50
    assert talk.aside == {"unknown_stream": sent["kline_1m"] + sent["aggTrade"]}
    assert got["BookL2"] > 20
