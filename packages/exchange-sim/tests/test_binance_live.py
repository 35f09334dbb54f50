"""The market as Binance streams, without sockets: what a client can rebuild from them equals the market."""

import json
import math
from collections import defaultdict
from itertools import pairwise
from typing import Any, NamedTuple

import pytest

from exchange_sim.binance import Binance
from exchange_sim.frame import Frame
from exchange_sim.market import MarketModel

S = 1_000_000_000
MS = 1_000_000
OPENED = 1_790_000_000 * S + 37 * MS
KINDS = ("trade", "aggTrade", "bookTicker", "depth", "depth@100ms", "depth5", "depth10@100ms", "depth20@100ms")
Json = Any


class Minute(NamedTuple):
    """One minute of market: all frames, and their payloads by stream."""

    venue: Binance
    frames: list[Frame]
    streams: dict[str, list[Json]]


def everything(stream: str) -> bool:
    return True


def play(venue: Binance, model: MarketModel, seconds: float, step_ms: int = 50) -> list[Frame]:
    live = venue.live(model, everything)
    live.start(OPENED)
    end_ns = OPENED + int(seconds * S)
    frames: list[Frame] = []
    for now_ns in range(OPENED, end_ns + 1, step_ms * MS):
        frames += live.take(now_ns)
    return frames


def by_stream(frames: list[Frame]) -> dict[str, list[Json]]:
    streams: dict[str, list[Json]] = defaultdict(list)
    for frame in frames:
        streams[frame.stream].append(json.loads(frame.data))
    return streams


@pytest.fixture(scope="module")
def minute() -> Minute:
    model = MarketModel(4, ["BTCUSDT", "ETHUSDT"], 200)
    venue = Binance(model.instruments)
    frames = play(venue, model, 60)
    return Minute(venue, frames, by_stream(frames))


def test_the_steps_of_the_pump_change_no_frame(minute: Minute) -> None:
    model = MarketModel(4, ["BTCUSDT", "ETHUSDT"], 200)
    assert play(Binance(model.instruments), model, 60, step_ms=3) == minute.frames


def test_frames_that_nobody_wants_are_not_made() -> None:
    model = MarketModel(4, ["BTCUSDT"], 200)
    live = Binance(model.instruments).live(model, {"btcusdt@trade"}.__contains__)
    live.start(OPENED)
    streams = {frame.stream for step in range(50) for frame in live.take(OPENED + step * 100 * MS)}
    assert streams == {"btcusdt@trade"}


def test_a_late_pump_catches_up_in_bounded_steps() -> None:
    model = MarketModel(4, ["BTCUSDT"], 1000)
    live = Binance(model.instruments).live(model, everything)
    live.start(OPENED)
    late = [live.take(OPENED + 10 * S) for _ in range(50)]
    assert max(map(len, late)) < 2000
    assert not live.take(OPENED + 10 * S)
    model = MarketModel(4, ["BTCUSDT"], 1000)
    assert [frame for batch in late for frame in batch] == play(Binance(model.instruments), model, 10)


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT"])
def test_trades_have_consecutive_ids_and_plausible_times(minute: Minute, symbol: str) -> None:
    rows = minute.streams[f"{symbol.lower()}@trade"]
    assert len(rows) > 500
    assert all(after["t"] == before["t"] + 1 for before, after in pairwise(rows))
    assert all(after["T"] >= before["T"] for before, after in pairwise(rows))
    assert {row["s"] for row in rows} == {symbol}
    assert all(0 <= row["E"] - row["T"] <= 2 for row in rows)
    assert all(OPENED // MS <= row["T"] <= OPENED // MS + 60_000 for row in rows)
    assert rows[0].keys() == {"e", "E", "s", "t", "p", "q", "T", "m", "M"}


@pytest.mark.parametrize(
    ("stream", "period_ms"), [("btcusdt@depth@100ms", 100), ("btcusdt@depth", 1000), ("ethusdt@depth@100ms", 100)]
)
def test_diffs_on_a_snapshot_rebuild_the_market_exactly(stream: str, period_ms: int, rebuilt_book: type) -> None:
    model = MarketModel(4, ["BTCUSDT", "ETHUSDT"], 200)
    venue = Binance(model.instruments)
    symbol = stream.partition("@")[0].upper()
    live = venue.live(model, everything)
    live.start(OPENED)
    book = rebuilt_book()
    truth = model.book(symbol)
    compared = 0
    for step in range(1, 301):
        for frame in live.take((OPENED // (100 * MS) + step) * 100 * MS):
            if frame.stream == stream:
                book.apply(json.loads(frame.data))
        if step == 123:
            assert book.load(json.loads(venue.get(f"/api/v3/depth?symbol={symbol}&limit=5000", OPENED).body))
        if book.update_id == truth.update_id:
            compared += 1
            for mine, side in zip(book.levels(10_000), (truth.bids, truth.asks), strict=True):
                assert mine == [(price / 1e8, size / 1e8) for price, size in side.top(10_000)]
    assert book.gaps == 0
    assert compared >= (300 - 123) * 100 // period_ms


def test_both_diff_streams_are_contiguous(minute: Minute) -> None:
    streams = minute.streams
    for name, period_ms in (("btcusdt@depth@100ms", 100), ("btcusdt@depth", 1000)):
        rows = streams[name]
        assert len(rows) > 0.9 * 60_000 / period_ms
        assert all(after["U"] == before["u"] + 1 for before, after in pairwise(rows))
        assert all(row["E"] % period_ms == 0 for row in rows)


def test_quotes_agree_with_the_book_at_their_update_id(minute: Minute, rebuilt_book: type) -> None:
    """Between two partial books, the last quote is the top of the second, when there was no change after it."""
    quotes: dict[int, Json] = {}
    compared = 0
    for frame in minute.frames:
        row = json.loads(frame.data)
        if frame.stream == "btcusdt@bookTicker":
            quotes[row["u"]] = row
            assert float(row["b"]) < float(row["a"])
        elif frame.stream == "btcusdt@depth10@100ms" and row["lastUpdateId"] in quotes:
            quote = quotes[row["lastUpdateId"]]
            assert row["bids"][0] == [quote["b"], quote["B"]]
            assert row["asks"][0] == [quote["a"], quote["A"]]
            compared += 1
    assert compared > 100
    assert list(quotes) == sorted(quotes)


def test_a_partial_book_has_as_many_levels_as_its_name_says_best_first(
    minute: Minute,
) -> None:
    streams = minute.streams
    for name, depth in (("btcusdt@depth5", 5), ("btcusdt@depth10@100ms", 10), ("btcusdt@depth20@100ms", 20)):
        for row in streams[name]:
            assert row.keys() == {"lastUpdateId", "bids", "asks"}
            bids, asks = ([float(price) for price, _ in row[side]] for side in ("bids", "asks"))
            assert (len(bids), len(asks)) == (depth, depth)
            assert bids == sorted(bids, reverse=True)
            assert asks == sorted(asks)


def test_aggregates_cover_the_trades_without_gap_or_overlap(
    minute: Minute,
) -> None:
    streams = minute.streams
    trades = {row["t"]: row for row in streams["ethusdt@trade"]}
    aggregates = streams["ethusdt@aggTrade"]
    assert all(after["a"] == before["a"] + 1 for before, after in pairwise(aggregates))
    assert all(after["f"] == before["l"] + 1 for before, after in pairwise(aggregates))
    for row in aggregates:
        parts = [trades[trade_id] for trade_id in range(row["f"], row["l"] + 1)]
        assert {(part["p"], part["T"], part["m"]) for part in parts} == {(row["p"], row["T"], row["m"])}
        assert math.isclose(float(row["q"]), sum(float(part["q"]) for part in parts), rel_tol=1e-12)
    assert any(row["f"] < row["l"] for row in aggregates)


def test_rest_trades_are_the_streamed_ones(minute: Minute) -> None:
    venue, streams = minute.venue, minute.streams
    rows = streams["btcusdt@trade"]

    def get(path: str) -> list[Json]:
        reply = venue.get(path, OPENED + 60 * S)
        assert reply.status == 200
        found: list[Json] = json.loads(reply.body)
        return found

    latest = get("/api/v3/trades?symbol=BTCUSDT&limit=7")
    assert [(row["id"], row["price"], row["qty"], row["time"], row["isBuyerMaker"]) for row in latest] == [
        (row["t"], row["p"], row["q"], row["T"], row["m"]) for row in rows[-7:]
    ]
    assert all(
        math.isclose(float(row["quoteQty"]), float(row["price"]) * float(row["qty"]), abs_tol=1e-7) for row in latest
    )
    from_id = rows[40]["t"]
    past = get(f"/api/v3/historicalTrades?symbol=BTCUSDT&fromId={from_id}&limit=30")
    assert [row["id"] for row in past] == list(range(from_id, from_id + 30))
    aggregates = streams["btcusdt@aggTrade"]
    past = get(f"/api/v3/aggTrades?symbol=BTCUSDT&fromId={aggregates[5]['a']}&limit=3")
    assert [(row["a"], row["f"], row["l"], row["q"]) for row in past] == [
        (row["a"], row["f"], row["l"], row["q"]) for row in aggregates[5:8]
    ]
    between = get(f"/api/v3/aggTrades?symbol=BTCUSDT&startTime={aggregates[9]['T']}&endTime={aggregates[12]['T']}")
    assert {row["a"] for row in between} >= {row["a"] for row in aggregates[9:13]}
    assert all(aggregates[9]["T"] <= row["T"] <= aggregates[12]["T"] for row in between)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/api/v3/depth?symbol=NOSUCH", -1121),
        ("/api/v3/depth?symbol=btcusdt", -1121),
        ("/api/v3/depth", -1102),
        ("/api/v3/depth?symbol=BTCUSDT&limit=ten", -1100),
        ("/api/v3/depth?symbol=BTCUSDT&limit=0", -1130),
        ("/api/v3/historicalTrades?symbol=BTCUSDT&fromId=-1", -1100),
        ("/api/v3/exchangeInfo?symbol=NOSUCH", -1121),
        ("/api/v3/exchangeInfo?symbols=[%22BTCUSDT%22,%22NOSUCH%22]", -1121),
        ("/api/v3/exchangeInfo?symbols=nonsense", -1100),
    ],
)
def test_a_bad_call_gets_the_venues_error(minute: Minute, path: str, code: int) -> None:
    reply = minute.venue.get(path, OPENED)
    assert (reply.status, json.loads(reply.body)["code"]) == (400, code)


def test_exchange_info_describes_the_symbols(minute: Minute) -> None:
    venue = minute.venue
    everyone = json.loads(venue.get("/api/v3/exchangeInfo", OPENED).body)
    assert [row["symbol"] for row in everyone["symbols"]] == ["BTCUSDT", "ETHUSDT"]
    two = json.loads(venue.get('/api/v3/exchangeInfo?symbols=["ETHUSDT"]', OPENED).body)["symbols"]
    assert [(row["symbol"], row["status"], row["baseAsset"], row["quoteAsset"]) for row in two] == [
        ("ETHUSDT", "TRADING", "ETH", "USDT")
    ]
    filters = {row["filterType"]: row for row in two[0]["filters"]}
    assert filters["PRICE_FILTER"]["tickSize"] == "0.01000000"
    assert filters["LOT_SIZE"]["stepSize"] == "0.00010000"


def test_used_weight_is_told_and_too_much_of_it_is_refused_for_the_rest_of_the_minute() -> None:
    venue = Binance(MarketModel(1, ["BTCUSDT"]).instruments)
    path = "/api/v3/depth?symbol=BTCUSDT&limit=5000"
    start = OPENED // (60 * S) * 60 * S
    used = [int(venue.get(path, start + 15 * S).headers["X-MBX-USED-WEIGHT-1M"]) for _ in range(24)]
    assert used == [250 * count for count in range(1, 25)]
    refused = venue.get(path, start + 15 * S)
    assert (refused.status, refused.headers["Retry-After"]) == (429, "46")
    assert venue.get(path, start + 61 * S).status == 200
