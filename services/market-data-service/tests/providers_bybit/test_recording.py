"""The recorded spot and linear sockets: everything decodes, and books and trades equal an independent reading."""

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.providers.bybit import Bybit
from app.providers.provider import UnreadableListingError
from md_contract.events import BookL2, Trade

FILE = "bybit_v5_ws/cryptofeed_BYBIT_20260809_BTC_SOL.jsonl.gz"
SYMBOLS = {"linear": ("BTCUSDT", "SOLUSDT"), "spot": ("BTCUSDT",)}
FRAMES = {"linear": 1_312, "spot": 374}


def lines(folder: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(folder / FILE, "rt") as file:
        yield from map(json.loads, file)


def received(folder: Path, category: str) -> list[tuple[bytes, int]]:
    """The frames of one socket, each with its receive time in ns."""
    socket = None
    frames = []
    for line in lines(folder):
        if line["t"] == "connect" and line["addr"].endswith(f"/v5/public/{category}"):
            socket = line["conn"]
        elif line["t"] == "recv" and line["conn"] == socket:
            frames.append((line["data"].encode(), int(line["ts"] * 1e9)))
    return frames


class NaiveBook:
    """Dictionaries by price, sorted whenever somebody looks."""

    def __init__(self) -> None:
        self.sides: dict[str, dict[Decimal, tuple[str, str]]] = {"b": {}, "a": {}}

    def apply(self, message: dict[str, Any]) -> None:
        if message["type"] == "snapshot":
            self.sides = {"b": {}, "a": {}}
        for name, side in self.sides.items():
            for price, size in message["data"][name]:
                if Decimal(size) == 0:
                    del side[Decimal(price)]
                else:
                    side[Decimal(price)] = (price, size)

    def levels(self) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        bids, asks = self.sides["b"], self.sides["a"]
        return [bids[price] for price in sorted(bids, reverse=True)], [asks[price] for price in sorted(asks)]


@pytest.mark.parametrize("category", ["spot", "linear"])
def test_every_frame_is_read_and_what_is_set_aside_was_not_asked_for(
    recordings: Path, dial: Any, category: Any
) -> None:
    line = dial(Bybit(category, 200), SYMBOLS[category])
    line.open()
    line.pass_time(0.1)
    assert len(line.asked()) == 1
    frames = received(recordings, category)
    assert len(frames) == FRAMES[category]
    topics: Counter[str] = Counter()
    for frame, ts_recv in frames:
        line.conversation.decode(frame, ts_recv)
        message = json.loads(frame)
        topics[message.get("topic", message.get("op")).partition(".")[0]] += 1
    assert line.conversation.subscribed()  # by the first of the recorded acknowledgements
    set_aside = {reason: count for reason, count in line.provider.quarantine.counts.items() if count}
    assert set_aside == {"unknown_stream": topics["tickers"] + topics["kline"], "answer": topics["subscribe"] - 1}
    assert line.provider.counters.books.resyncs == 0


@pytest.mark.parametrize("category", ["spot", "linear"])
def test_trades_equal_an_independent_reading(recordings: Path, dial: Any, category: Any) -> None:
    line = dial(Bybit(category, 200), SYMBOLS[category])
    line.open()
    found = []
    expected = []
    for frame, ts_recv in received(recordings, category):
        found += [event for event in line.conversation.decode(frame, ts_recv) if isinstance(event, Trade)]
        message = json.loads(frame)
        if message.get("topic", "").startswith("publicTrade."):
            expected += [
                Trade(
                    provider=line.provider.name,
                    symbol=row["s"],
                    ts_recv=ts_recv,
                    price=row["p"],
                    size=row["v"],
                    trade_id=row["i"],
                    side="buy" if row["S"] == "Buy" else "sell",
                    ts_event=row["T"] * 1_000_000,
                )
                for row in message["data"]
            ]
    assert found == expected
    assert len(found) == {"spot": 11, "linear": 221}[category]


@pytest.mark.parametrize("category", ["spot", "linear"])
def test_the_book_equals_an_independent_one_level_by_level_at_every_update(
    recordings: Path, dial: Any, category: Any
) -> None:
    line = dial(Bybit(category, 200), SYMBOLS[category], depth=200, rate_hz=1e9)
    line.open()
    naive = {symbol: NaiveBook() for symbol in SYMBOLS[category]}
    compared = 0
    for frame, ts_recv in received(recordings, category):
        line.conversation.decode(frame, ts_recv)
        line.now += 1_000
        message = json.loads(frame)
        if not message.get("topic", "").startswith("orderbook.200."):
            continue
        symbol = message["data"]["s"]
        naive[symbol].apply(message)
        (event,) = line.conversation.on_time(line.now)
        assert isinstance(event, BookL2)
        assert (event.symbol, event.ts_event) == (symbol, message["cts"] * 1_000_000)
        assert (event.bids, event.asks) == naive[symbol].levels()
        compared += 1
    assert compared == {"spot": 300, "linear": 797}[category]


@pytest.mark.parametrize(("category", "listed"), [("spot", 557), ("linear", 800)])
def test_the_recorded_listing_tells_what_is_listed(recordings: Path, category: Any, listed: int) -> None:
    provider = Bybit(category)
    body = next(
        line["data"] for line in lines(recordings) if line["t"] == "http" and f"category={category}" in line["url"]
    )
    symbols = [instrument["symbol"] for instrument in json.loads(body)["result"]["list"]]
    assert len(symbols) == listed
    assert [why for symbol in symbols if (why := provider.refuse(symbol))] == []
    assert provider.unlisted(body.encode(), [*symbols, "NOSUCHUSDT"]) == {
        "NOSUCHUSDT": f"not listed by Bybit ({category})"
    }
    with pytest.raises(UnreadableListingError):
        provider.unlisted(body[:1_000].encode(), symbols)
