"""Shares and coins from Alpaca's two kinds of feed, the whole way, with keys that nobody may ever see."""

from typing import Any

import pytest
from running import Process, Stack, until

from exchange_sim import ExchangeSim, MarketModel, Patience

KEY, SECRET = "PKSEENBYNOBODY0001", "can/ary+SeenByNobody/0002"
NS_PER_S = 1_000_000_000


async def start_producer(stack: Stack, exchange: ExchangeSim, feed: str, symbol: str) -> Process:
    return await stack.start_producer(
        exchange.ws_url,
        exchange.rest_url,
        symbol,
        provider="alpaca",
        ALPACA_FEED=feed,
        ALPACA_API_KEY=KEY,
        ALPACA_API_SECRET=SECRET,
    )


async def start(stack: Stack, exchange: ExchangeSim, feed: str, symbol: str) -> Process:
    await stack.start_consumer()
    await stack.until_http(f"{stack.consumer_url}/health", lambda status, _: status == 200, "the consumer")
    producer = await start_producer(stack, exchange, feed, symbol)
    await stack.until_http(f"{stack.producer_url}/ready", lambda status, _: status == 200, "a ready producer")
    return producer


async def assert_keys_are_nowhere(stack: Stack) -> None:
    said = [line for process in stack.processes.values() for line in process.lines]
    for path in ("/health", "/metrics", "/providers", "/bus-stats"):
        async with stack.http.get(stack.producer_url + path) as answer:
            said.append(await answer.text())
    said.append(str(stack.reader.in_order))
    for text in said:
        for part in (KEY, SECRET, SECRET.replace("/", "\\/")):
            assert part not in text


def assert_numbered(events: list[dict[str, Any]]) -> None:
    """Bus numbers go on by one, event times and receipts never back."""
    assert [event["seq"] for event in events] == list(range(events[0]["seq"], events[0]["seq"] + len(events)))
    for time in ("ts_event", "ts_recv"):
        times = [event[time] for event in events]
        assert times == sorted(times)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("feed", "symbol", "token", "kinds"),
    [
        ("iex", "AAPL", "AAPL", ("trade", "quote")),
        ("crypto", "BTC/USD", "BTC_2FUSD", ("trade", "quote", "book_l2")),
    ],
)
async def test_a_symbol_comes_once_and_in_order_as_events_and_features(
    stack: Stack, feed: str, symbol: str, token: str, kinds: tuple[str, ...]
) -> None:
    async with ExchangeSim(MarketModel(seed=5, symbols=[symbol, "SPY", "ETH/USD"], rate=600.0)) as exchange:
        await start(stack, exchange, feed, symbol)
        for kind in kinds:
            await stack.reader.until(f"md.events.{kind}.{token}", 30)
        await stack.reader.until(f"senpai.features.{token}", 5)
        await assert_keys_are_nowhere(stack)
    events = {kind: stack.reader.by_subject[f"md.events.{kind}.{token}"] for kind in kinds}
    for found in events.values():
        assert_numbered(found)
        assert {(event["provider"], event["symbol"]) for event in found} == {("alpaca", symbol)}
    assert_no_trade_is_lost_or_doubled(events["trade"])
    assert all(float(quote["bid"]) < float(quote["ask"]) for quote in events["quote"])
    for book in events.get("book_l2", ()):
        assert len(book["bids"]) == len(book["asks"]) == 20
        assert float(book["bids"][0][0]) < float(book["asks"][0][0])
    features = stack.reader.by_subject[f"senpai.features.{token}"][-1]
    assert (features["symbol"], features["provider"]) == (symbol, "alpaca")
    assert {subject.split(".")[3] for subject in stack.reader.by_subject if subject.startswith("md.events.trade")} == {
        token
    }


def assert_no_trade_is_lost_or_doubled(trades: list[dict[str, Any]]) -> None:
    """The simulator numbers the trades of a symbol one after the other."""
    ids = [number_of(trade["trade_id"]) for trade in trades]
    assert ids == list(range(ids[0], ids[0] + len(ids)))


def number_of(trade_id: str) -> int:
    """The venue's own: all of a coin's id, the end of a share's (day:exchange:number)."""
    return int(trade_id.rpartition(":")[2])


@pytest.mark.timeout(120)
async def test_it_waits_for_its_place_and_gets_it_back_after_an_abrupt_drop(stack: Stack) -> None:
    patience = Patience(linger_s=1.0)
    async with ExchangeSim(MarketModel(seed=5, symbols=["AAPL"], rate=400.0), patience=patience) as exchange:
        exchange.alpaca.refuse_logins(406, 2)
        producer = await start(stack, exchange, "iex", "AAPL")
        assert any("error 406: connection limit exceeded" in line for line in producer.lines)
        await stack.reader.until("md.events.trade.AAPL", 10)
        exchange.drop(venue="alpaca")
        status = "md.events.status.AAPL"
        await until(lambda: stack.reader.count(status) >= 1, "the reconnect's status")
        before = stack.reader.count("md.events.trade.AAPL")
        await stack.reader.until("md.events.trade.AAPL", before + 10)
        assert stack.reader.by_subject[status][0]["kind"] == "reconnect"
        await assert_keys_are_nowhere(stack)
    trades = stack.reader.by_subject["md.events.trade.AAPL"]
    assert len({trade["trade_id"] for trade in trades}) == len(trades)


@pytest.mark.timeout(120)
async def test_wrong_keys_are_said_on_one_line_and_the_service_lives_on_but_is_not_ready(stack: Stack) -> None:
    async with ExchangeSim(MarketModel(seed=5, symbols=["AAPL"], rate=400.0)) as exchange:
        exchange.alpaca.refuse_logins(402)
        producer = await start_producer(stack, exchange, "iex", "AAPL")
        await until(lambda: any("error 402" in line for line in producer.lines), "a word about the keys")
        advice = [line for line in producer.lines if "ALPACA_API_KEY" in line]
        assert len(advice) == 1
        assert "error 402: auth failed" in advice[0]
        assert "ALPACA_API_SECRET" in advice[0]
        assert "restart" in advice[0]
        await until(lambda: not exchange.clients, "the service to hang up")
        assert (await stack.get(f"{stack.producer_url}/livez"))[0] == 200
        status, health = await stack.get(f"{stack.producer_url}/ready")
        assert (status, health["status"]) == (503, "not_ready")
        assert producer.child.returncode is None
        assert exchange.server.opened_total == 1
        await assert_keys_are_nowhere(stack)
        assert await producer.stop() == 0
