"""The market as Bybit tells of it, without sockets: what a client can rebuild from it equals the market."""

import json
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange_sim.binance import Binance
from exchange_sim.bybit import Bybit
from exchange_sim.bybit.shown import ShownBook
from exchange_sim.bybit.text import Digits
from exchange_sim.bybit.topics import BookTopic
from exchange_sim.frame import Frame
from exchange_sim.live import MarketPlayback, Teller
from exchange_sim.market import MarketModel, instrument

S = 1_000_000_000
MS = 1_000_000
OPENED = 1_790_000_000 * S + 37 * MS
SYMBOLS = ("BTCUSDT", "ETHUSDT")
DEPTHS = (1, 50, 200, 1000)
Json = Any


class Tale(NamedTuple):
    """A market told by both venues, stepped by hand."""

    model: MarketModel
    binance: Binance
    bybit: Bybit
    playback: MarketPlayback
    wanted: set[str]

    def subscribe(self, *topics: str, category: str = "spot") -> list[Frame]:
        """Subscribe as a session does; returns what it gets at once."""
        session = self.bybit.open(f"/v5/public/{category}")
        assert session is not None
        outcome = session.receive(json.dumps({"op": "subscribe", "args": topics}).encode())
        self.wanted.update(session.streams)
        return outcome.frames


@pytest.fixture
def tell() -> Callable[..., Tale]:
    def begin(rate: float = 300, symbols: tuple[str, ...] = SYMBOLS) -> Tale:
        model = MarketModel(4, symbols, rate)
        wanted: set[str] = set()
        binance, bybit = Binance(model.instruments), Bybit.of(model.instruments)
        tellers: list[Teller] = [binance.teller(model, wanted.__contains__), bybit.teller(model, wanted.__contains__)]
        playback = MarketPlayback(model, tellers)
        playback.start(OPENED)
        return Tale(model, binance, bybit, playback, wanted)

    return begin


def play(tale: Tale, seconds: float, start_s: float = 0, step_ms: int = 10) -> list[Frame]:
    begin, end = OPENED + int(start_s * S), OPENED + int((start_s + seconds) * S)
    return [frame for now_ns in range(begin, end + 1, step_ms * MS) for frame in tale.playback.take(now_ns)]


def by_stream(frames: list[Frame]) -> dict[str, list[Json]]:
    streams: dict[str, list[Json]] = defaultdict(list)
    for frame in frames:
        streams[frame.stream].append(json.loads(frame.data))
    return streams


@pytest.mark.parametrize("category", ["spot", "linear"])
@pytest.mark.parametrize("depth", DEPTHS)
def test_a_book_of_snapshot_and_deltas_equals_the_market_at_every_message(
    tell: Callable[..., Tale], bybit_book: type, category: str, depth: int
) -> None:
    tale = tell()
    play(tale, 3)
    truth = tale.model.book("BTCUSDT")
    (first,) = tale.subscribe(f"orderbook.{depth}.BTCUSDT", category=category)
    book = bybit_book(depth)
    book.apply(json.loads(first.data))
    messages = []
    begin = (OPENED + 3 * S) // (10 * MS) + 1
    for beat in range(begin, begin + 400):
        for frame in tale.playback.take(beat * 10 * MS):
            messages.append(json.loads(frame.data))
            book.apply(messages[-1])
            bids, asks = book.levels()
            assert messages[-1]["data"]["seq"] == truth.update_id
            assert bids == [(price / 1e8, size / 1e8) for price, size in truth.bids.top(depth)]
            assert asks == [(price / 1e8, size / 1e8) for price, size in truth.asks.top(depth)]
    assert len(messages) > 15
    assert book.gaps == 0
    assert {message["type"] for message in messages} == {"snapshot" if depth == 1 else "delta"}
    interval_ms = {1: 10, 50: 20, 200: 100, 1000: 200}[depth]
    assert all(message["ts"] % interval_ms == 0 for message in messages)
    assert all(after["ts"] > before["ts"] for before, after in pairwise(messages))
    assert all(message["cts"] <= message["ts"] for message in messages)
    assert all(after["data"]["seq"] > before["data"]["seq"] for before, after in pairwise(messages))
    assert all(after["data"]["u"] == before["data"]["u"] + 1 for before, after in pairwise(messages))


def test_deltas_hold_only_what_changed_and_delete_what_left_the_range(
    tell: Callable[..., Tale], bybit_book: type
) -> None:
    tale = tell()
    (first,) = tale.subscribe("orderbook.50.BTCUSDT")
    book = bybit_book(50)
    book.apply(json.loads(first.data))
    deleted = 0
    for frame in play(tale, 5):
        message = json.loads(frame.data)
        for name, side in (("b", book.sides["b"]), ("a", book.sides["a"])):
            for price, size in message["data"][name]:
                assert side.get(float(price)) != float(size)
                assert float(size) > 0 or float(price) in side
                deleted += size == "0"
        book.apply(message)
        assert [len(side) for side in book.sides.values()] == [50, 50]
    assert deleted > 20
    assert book.gaps == 0


levels = st.dictionaries(st.integers(1, 12), st.integers(1, 3), min_size=1)


@given(states=st.lists(st.tuples(levels, levels), min_size=2, max_size=12), depth=st.sampled_from([1, 50]))
def test_whatever_the_market_does_a_client_holds_the_levels_shown(
    states: list[tuple[dict[int, int], dict[int, int]]], depth: int
) -> None:
    what = instrument("BTCUSDT")
    shown = ShownBook(BookTopic("linear", depth, "BTCUSDT"), Digits("linear", what), OPENED)
    client: dict[str, dict[int, int]] = {}
    numbers = []
    for step, (bids, asks) in enumerate(states):
        window = {"b": sorted(bids.items(), reverse=True)[:depth], "a": sorted(asks.items())[:depth]}
        best = {name: [(price * what.tick, size * what.lot) for price, size in window[name]] for name in window}
        data = shown.show(best["b"], best["a"], step, OPENED, OPENED + step * MS)
        if data is not None:
            message = json.loads(data)
            if message["type"] == "snapshot":
                client = {"b": {}, "a": {}}
            for name, side in client.items():
                for price, size in message["data"][name]:
                    side[round(float(price) * 1e8 / what.tick)] = round(float(size) * 1e8 / what.lot)
                client[name] = {price: size for price, size in side.items() if size}
            numbers.append(message["data"]["u"])
        assert client == {name: dict(pairs) for name, pairs in window.items()}
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_the_steps_of_the_pump_change_no_frame(tell: Callable[..., Tale]) -> None:
    topics = [f"orderbook.{depth}.ETHUSDT" for depth in DEPTHS]
    played = []
    for step_ms in (3, 50):
        tale = tell()
        tale.subscribe(*topics, "publicTrade.ETHUSDT")
        frames = play(tale, 5, step_ms=step_ms) + tale.playback.take(OPENED + 5 * S)
        played.append(frames)
    assert played[0] == played[1]


def test_what_nobody_wants_is_not_written_and_a_new_book_has_higher_numbers(tell: Callable[..., Tale]) -> None:
    tale = tell()
    (first,) = tale.subscribe("orderbook.50.BTCUSDT")
    frames = play(tale, 2)
    assert {frame.stream for frame in frames} == {"spot:orderbook.50.BTCUSDT"}
    tale.wanted.clear()
    assert play(tale, 2, start_s=2) == []
    (again,) = tale.subscribe("orderbook.50.BTCUSDT")
    numbers = [json.loads(frame.data)["data"]["u"] for frame in (first, *frames, again)]
    assert numbers == sorted(set(numbers))


def test_a_second_subscriber_joins_the_numbers_of_the_first(tell: Callable[..., Tale], bybit_book: type) -> None:
    tale = tell()
    (first,) = tale.subscribe("orderbook.200.BTCUSDT")
    old, new = bybit_book(200), bybit_book(200)
    old.apply(json.loads(first.data))
    for frame in play(tale, 1.05):
        old.apply(json.loads(frame.data))
    (second,) = tale.subscribe("orderbook.200.BTCUSDT")
    new.apply(json.loads(second.data))
    assert new.levels() == old.levels()
    for frame in play(tale, 1, start_s=1.06):
        for book in (old, new):
            book.apply(json.loads(frame.data))
    assert new.levels() == old.levels()
    assert (old.gaps, new.gaps) == (0, 0)


def test_the_best_quote_is_repeated_after_three_quiet_seconds_with_the_same_number(tell: Callable[..., Tale]) -> None:
    tale = tell(0.02, ("BTCUSDT",))
    (first,) = tale.subscribe("orderbook.1.BTCUSDT", "orderbook.50.BTCUSDT")[:1]
    rows = by_stream(play(tale, 40))["spot:orderbook.1.BTCUSDT"]
    repeats = [(before, after) for before, after in pairwise(rows) if before["data"] == after["data"]]
    assert len(repeats) > 5
    assert {after["ts"] - before["ts"] for before, after in repeats} == {3000}
    assert {after["cts"] - before["cts"] for before, after in repeats} == {0}
    assert all(after["ts"] - before["ts"] <= 3000 for before, after in pairwise(rows))
    assert all(0 <= after["data"]["u"] - before["data"]["u"] <= 1 for before, after in pairwise(rows))
    assert rows[0]["ts"] - json.loads(first.data)["ts"] <= 3010


def test_both_venues_and_both_categories_trade_the_same(tell: Callable[..., Tale]) -> None:
    tale = tell()
    for category in ("spot", "linear"):
        tale.subscribe(*(f"publicTrade.{symbol}" for symbol in SYMBOLS), category=category)
    tale.wanted.update(f"{symbol.lower()}@trade" for symbol in SYMBOLS)
    streams = by_stream(play(tale, 20))
    for symbol in SYMBOLS:
        expected = [
            (row["T"], float(row["p"]), float(row["q"]), "Sell" if row["m"] else "Buy")
            for row in streams[f"{symbol.lower()}@trade"]
        ]
        assert len(expected) > 200
        for category in ("spot", "linear"):
            messages = streams[f"{category}:publicTrade.{symbol}"]
            rows = [row for message in messages for row in message["data"]]
            assert [(row["T"], float(row["p"]), float(row["v"]), row["S"]) for row in rows] == expected
            assert len({row["i"] for row in rows}) == len(rows)
            assert {row["s"] for row in rows} == {symbol}
            assert max(len(message["data"]) for message in messages) > 1
            for message in messages:
                assert message["type"] == "snapshot"
                assert len({row["seq"] for row in message["data"]}) == 1
                assert 0 <= message["ts"] - message["data"][-1]["T"] <= 2


def test_messages_have_the_keys_of_the_recorded_ones_in_their_order(tell: Callable[..., Tale]) -> None:
    tale = tell()
    book = ["s", "b", "a", "u", "seq"]
    first = {
        (category, frame.stream.split(".")[1]): json.loads(frame.data)
        for category in ("spot", "linear")
        for frame in tale.subscribe(
            "publicTrade.BTCUSDT", "orderbook.1.BTCUSDT", "orderbook.200.BTCUSDT", category=category
        )
    }
    for (category, depth), message in first.items():
        head = ["topic", "type", "ts"] if (category, depth) == ("linear", "200") else ["topic", "ts", "type"]
        assert list(message) == [*head, "data", "cts"]
        assert list(message["data"]) == book
        assert (message["topic"], message["type"]) == (f"orderbook.{depth}.BTCUSDT", "snapshot")
    streams = by_stream(play(tale, 5))
    spot, linear = (streams[f"{category}:publicTrade.BTCUSDT"][0] for category in ("spot", "linear"))
    assert list(spot) == ["topic", "ts", "type", "data"]
    assert list(linear) == ["topic", "type", "ts", "data"]
    assert list(spot["data"][0]) == ["i", "T", "p", "v", "S", "seq", "s", "BT", "RPI"]
    assert list(linear["data"][0]) == ["T", "s", "S", "v", "p", "L", "i", "BT", "RPI", "seq"]
    assert spot["data"][0]["i"].isdigit()
    assert len(linear["data"][0]["i"]) == 36


def test_linear_writes_fixed_decimals_and_spot_no_needless_zeros(tell: Callable[..., Tale]) -> None:
    tale = tell()
    prices = {}
    for category in ("spot", "linear"):
        (first,) = tale.subscribe("orderbook.200.BTCUSDT", category=category)
        prices[category] = [price for price, _ in json.loads(first.data)["data"]["b"]]
    assert {len(price.partition(".")[2]) for price in prices["linear"]} == {2}
    assert not any("." in price and price.endswith("0") for price in prices["spot"])
    assert [float(price) for price in prices["spot"]] == [float(price) for price in prices["linear"]]


def test_the_direction_of_each_linear_trade_follows_from_the_prices(tell: Callable[..., Tale]) -> None:
    tale = tell()
    tale.subscribe("publicTrade.BTCUSDT", category="linear")
    rows = [row for message in by_stream(play(tale, 10))["linear:publicTrade.BTCUSDT"] for row in message["data"]]
    for before, after in pairwise(rows):
        step = float(after["p"]) - float(before["p"])
        if step:
            assert after["L"] == ("PlusTick" if step > 0 else "MinusTick")
        else:
            assert after["L"] == f"Zero{before['L'].removeprefix('Zero')}"


@pytest.mark.parametrize("category", ["spot", "linear"])
def test_a_burst_of_trades_is_split_over_messages_with_one_number(tell: Callable[..., Tale], category: str) -> None:
    tale = tell()
    tale.subscribe("publicTrade.BTCUSDT", category=category)
    tale.wanted.add("btcusdt@trade")
    play(tale, 1)
    tale.model.burst("BTCUSDT", 2500)
    assert tale.playback.next_ns() is not None
    streams = by_stream(play(tale, 2, start_s=1.01))
    messages = streams[f"{category}:publicTrade.BTCUSDT"]
    assert [len(message["data"]) for message in messages[:3]] == [1024, 1024, 452]
    rows = [row for message in messages[:3] for row in message["data"]]
    assert len({row["seq"] for row in rows}) == 1
    assert len({row["i"] for row in rows}) == 2500
    assert len({row["T"] for row in rows}) == 1
    assert rows[0]["T"] <= messages[3]["data"][0]["T"]
    ids = [row["t"] for row in streams["btcusdt@trade"]]
    assert all(after == before + 1 for before, after in pairwise(ids))
    with pytest.raises(ValueError, match="expected a symbol of BTCUSDT, ETHUSDT"):
        tale.model.burst("NOPE", 1)


def get(tale: Tale, path: str, now_ns: int = OPENED) -> Json:
    reply = tale.bybit.get(f"/v5/market/{path}", now_ns)
    assert reply.status == 200
    answer = json.loads(reply.body)
    assert answer["retExtInfo"] == {}
    assert answer["time"] == now_ns // MS
    return answer


@pytest.mark.parametrize(("category", "usual", "most"), [("spot", 60, 60), ("linear", 500, 1000)])
def test_recent_trades_are_the_streamed_ones_the_latest_first(
    tell: Callable[..., Tale], category: str, usual: int, most: int
) -> None:
    tale = tell(2000)
    tale.subscribe("publicTrade.BTCUSDT", category=category)
    messages = by_stream(play(tale, 10))[f"{category}:publicTrade.BTCUSDT"]
    rows = [row for message in messages for row in message["data"]][::-1]
    assert len(rows) > most
    for limit, count in ((7, 7), (most, most), (9999, most), (None, usual)):
        query = f"category={category}&symbol=BTCUSDT" + (f"&limit={limit}" if limit else "")
        answer = get(tale, f"recent-trade?{query}")
        assert (answer["retCode"], answer["retMsg"], answer["result"]["category"]) == (0, "OK", category)
        found = answer["result"]["list"]
        assert [
            (row["execId"], row["price"], row["size"], row["side"], int(row["time"]), int(row["seq"])) for row in found
        ] == [(row["i"], row["p"], row["v"], row["S"], row["T"], row["seq"]) for row in rows[:count]]
        assert {row["symbol"] for row in found} == {"BTCUSDT"}


@pytest.mark.parametrize("category", ["spot", "linear"])
def test_the_rest_book_is_the_one_of_depth_1000(tell: Callable[..., Tale], bybit_book: type, category: str) -> None:
    tale = tell()
    (first,) = tale.subscribe("orderbook.1000.BTCUSDT", category=category)
    book = bybit_book(1000)
    book.apply(json.loads(first.data))
    for frame in play(tale, 3):
        book.apply(json.loads(frame.data))
    result = get(tale, f"orderbook?category={category}&symbol=BTCUSDT&limit=1000")["result"]
    assert (result["u"], result["s"]) == (book.update_id, "BTCUSDT")
    bids, asks = book.levels()
    assert [(float(price), float(size)) for price, size in result["b"]] == bids
    assert [(float(price), float(size)) for price, size in result["a"]] == asks
    short = get(tale, f"orderbook?category={category}&symbol=BTCUSDT")["result"]
    assert len(short["b"]) == len(short["a"]) == {"spot": 1, "linear": 25}[category]
    assert result["cts"] <= result["ts"]


def test_a_rest_book_without_subscribers_is_the_market_now(tell: Callable[..., Tale]) -> None:
    tale = tell()
    play(tale, 2)
    result = get(tale, "orderbook?category=spot&symbol=ETHUSDT&limit=5")["result"]
    truth = tale.model.book("ETHUSDT")
    assert result["seq"] == truth.update_id
    assert [(float(price), float(size)) for price, size in result["b"]] == [
        (price / 1e8, size / 1e8) for price, size in truth.bids.top(5)
    ]
    later = get(tale, "orderbook?category=spot&symbol=ETHUSDT&limit=5")["result"]
    assert later["u"] >= result["u"]


def test_instruments_and_time(tell: Callable[..., Tale]) -> None:
    tale = tell()
    spot = get(tale, "instruments-info?category=spot&limit=1")["result"]
    assert [row["symbol"] for row in spot["list"]] == list(SYMBOLS)
    assert "nextPageCursor" not in spot
    row = spot["list"][0]
    assert (row["baseCoin"], row["quoteCoin"], row["status"]) == ("BTC", "USDT", "Trading")
    assert (row["priceFilter"]["tickSize"], row["lotSizeFilter"]["basePrecision"]) == ("0.01", "0.00001")
    page = get(tale, "instruments-info?category=linear&limit=1")["result"]
    assert ([row["symbol"] for row in page["list"]], page["nextPageCursor"]) == (["BTCUSDT"], "1")
    page = get(tale, f"instruments-info?category=linear&limit=1&cursor={page['nextPageCursor']}")["result"]
    assert ([row["symbol"] for row in page["list"]], page["nextPageCursor"]) == (["ETHUSDT"], "")
    assert page["list"][0]["lotSizeFilter"]["qtyStep"] == "0.0001"
    (one,) = get(tale, "instruments-info?category=linear&symbol=ETHUSDT")["result"]["list"]
    assert one["symbol"] == "ETHUSDT"
    assert get(tale, "time", OPENED)["result"] == {"timeSecond": str(OPENED // S), "timeNano": str(OPENED)}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("recent-trade?symbol=BTCUSDT", "Illegal category"),
        ("recent-trade?category=option&symbol=BTCUSDT", "Illegal category"),
        ("recent-trade?category=spot", "params error: symbol invalid"),
        ("recent-trade?category=spot&symbol=NOPE", "Not supported symbols"),
        ("recent-trade?category=spot&symbol=BTCUSDT&limit=ten", "params error: limit invalid"),
        ("orderbook?category=spot&symbol=btcusdt", "Not supported symbols"),
        ("instruments-info?category=", "Illegal category"),
        ("instruments-info?category=linear&symbol=NOPE", "Not supported symbols"),
    ],
)
def test_a_refused_call_has_status_200_and_a_code(tell: Callable[..., Tale], path: str, message: str) -> None:
    answer = get(tell(), path)
    assert (answer["retCode"], answer["retMsg"], answer["result"]) == (10001, message, {})


def test_too_many_calls_are_refused_for_ten_minutes(tell: Callable[..., Tale]) -> None:
    bybit = tell().bybit
    path = "/v5/market/time"
    statuses = {bybit.get(path, OPENED + number * 8 * MS).status for number in range(600)}
    assert statuses == {200}
    refused = bybit.get(path, OPENED + 4900 * MS)
    assert (refused.status, refused.body) == (403, b"access too frequent")
    assert bybit.get(path, OPENED + 590 * S).status == 403
    assert bybit.get(path, OPENED + 606 * S).status == 200


def test_an_unknown_call_is_not_found(tell: Callable[..., Tale]) -> None:
    assert tell().bybit.get("/v5/market/kline?category=spot", OPENED).status == 404
