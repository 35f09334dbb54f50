"""A connection is replaced before it ends: the next one flows before the old one is closed."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from app.feed import Clock, ConnectionState, Patience
from app.providers.binance import conversation
from md_contract.events import BookL2, Quote, Status, Trade
from md_contract.units import NS_PER_S

SHUTDOWN = {"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": 1795350000123}}
QUICK = Patience(overlap_s=0.05, ready_within_s=5.0)


def trade_ids(running: Any) -> list[int]:
    return [int(event.trade_id) for event in running.of(Trade)]


def quote(update: int) -> dict[str, Any]:
    data = {"u": update, "s": "BTCUSDT", "b": "1", "B": "1", "a": "2", "A": "1"}
    return {"stream": "btcusdt@bookTicker", "data": data}


def depth(number: int, size: str = "5") -> dict[str, Any]:
    data = {"e": "depthUpdate", "E": 1700000000000 + number, "s": "BTCUSDT", "U": number, "u": number}
    return {"stream": "btcusdt@depth@100ms", "data": data | {"b": [["10.0", size]], "a": []}}


@pytest.fixture
def market(venue: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A venue with a book to take; a book without an update is waited for as long as a test likes."""
    monkeypatch.setattr(conversation, "QUIET_NS", 3_600 * NS_PER_S)
    venue.rest["/api/v3/depth"] = lambda query: {"lastUpdateId": 100, "bids": [["10.0", "1"]], "asks": [["11.0", "1"]]}
    return venue


async def start_of_overlap(market: Any, until: Any, running: Any, trade: Callable[..., Any]) -> tuple[Any, Any]:
    """Bring about a shutdown notice; return the old connection and the new one, both subscribed, the new not ready."""
    await until(lambda: running.feed.connected)
    old = market.client
    old.send(trade(1), quote(1), depth(101, "1"))
    await until(lambda: running.of(BookL2))
    old.send(SHUTDOWN)
    await until(lambda: len(market.clients) == 2 and market.client.requests)
    return old, market.client


async def test_a_shutdown_notice_brings_a_new_connection_before_the_old_one_is_closed(
    market: Any, run_feed: Any, until: Any, trade: Any
) -> None:
    async with run_feed("BTCUSDT", patience=QUICK, book_rate_hz=1000.0) as running:
        old, new = await start_of_overlap(market, until, running, trade)
        assert old.transport is not None, "still serving"
        assert running.feed.connected
        assert running.feed.reconnects == 0, "a successor beside its predecessor is no reconnect"
        for number in (2, 3):
            old.send(trade(number), quote(number))
            new.send(trade(number), quote(number))
        old.send(trade(4))
        await until(lambda: 4 in trade_ids(running))
        old.send(depth(102, "2"))
        await until(lambda: running.of(BookL2)[-1].bids[0] == ("10.0", "2"))
        new.send(trade(4), depth(101, "1"), depth(102, "2"), depth(103, "3"))
        await until(lambda: running.of(BookL2)[-1].bids[0] == ("10.0", "3"))
        await until(lambda: old.transport is None)
        new.send(trade(5), quote(4), depth(104, "4"))
        await until(lambda: running.of(BookL2)[-1].bids[0] == ("10.0", "4"))
        assert trade_ids(running) == [1, 2, 3, 4, 5]
        assert len(running.of(Quote)) == 4
        assert [book.bids[0][1] for book in running.of(BookL2)] == ["1", "2", "3", "4"]
        assert running.of(Status) == [], "nothing was lost, so there is nothing to tell"
        assert (running.feed.rotations, running.feed.reconnects) == (1, 0)
        assert old.close_code == 1000
        assert running.feed.connected
        market.drop_clients()
        await until(lambda: running.feed.reconnects == 1 and running.feed.connected)


async def test_an_old_connection_that_ends_too_early_leaves_the_field_to_the_new_one(
    market: Any, run_feed: Any, until: Any, trade: Any
) -> None:
    async with run_feed("BTCUSDT", patience=QUICK) as running:
        old, new = await start_of_overlap(market, until, running, trade)
        old.transport.disconnect(graceful=False)
        await until(lambda: old.transport is None)
        new.send(trade(2))
        await until(lambda: trade_ids(running) == [1, 2])
        assert len(market.clients) == 2
        await until(lambda: running.feed.connected)
        assert (running.feed.rotations, running.feed.reconnects) == (0, 1)
        (connection,) = running.feed.connections
        assert connection.last_end == "connection lost without a close frame"


async def test_a_new_connection_that_fails_leaves_the_old_one_at_work_and_is_tried_again(
    market: Any, run_feed: Any, until: Any, trade: Any
) -> None:
    async with run_feed("BTCUSDT", patience=QUICK) as running:
        old, new = await start_of_overlap(market, until, running, trade)
        new.transport.disconnect(graceful=False)
        await until(lambda: len(market.clients) == 3 and market.client.requests)
        assert running.feed.connections[0].state is ConnectionState.LIVE
        old.send(trade(2))
        await until(lambda: trade_ids(running) == [1, 2])
        market.client.send(depth(101))
        await until(lambda: old.transport is None)
        assert running.feed.rotations == 1


async def test_an_old_connection_that_ends_while_its_replacement_is_put_off_is_replaced_as_any_other(
    market: Any, run_feed: Any, until: Any, trade: Any
) -> None:
    put_off = asyncio.Event()

    async def sleep(seconds: float) -> None:
        put_off.set()
        await (asyncio.sleep(seconds) if seconds < 0.4 else asyncio.Event().wait())

    luck = 0.9  # the first wait would be 0.45 s: for ever, here
    async with run_feed("BTCUSDT", patience=QUICK, clock=Clock(sleep=sleep, uniform=lambda: luck)) as running:
        old, new = await start_of_overlap(market, until, running, trade)
        put_off.clear()
        new.transport.disconnect(graceful=False)
        await put_off.wait()
        assert running.feed.connected
        luck = 0.0
        old.transport.disconnect(graceful=False)
        await until(lambda: len(market.clients) == 3 and running.feed.connected)
        assert [event.kind for event in running.of(Status)] == ["reconnect"]


async def test_a_new_connection_that_never_gets_ready_is_given_up(
    market: Any, run_feed: Any, until: Any, trade: Any
) -> None:
    async with run_feed("BTCUSDT", patience=Patience(ready_within_s=0.05)) as running:
        old, new = await start_of_overlap(market, until, running, trade)
        await until(lambda: len(market.clients) >= 4)
        assert new.transport is None
        assert old.transport is not None
        assert running.feed.connected
        assert running.feed.rotations == 0


async def test_a_book_that_nobody_has_holds_no_replacement_up(
    market: Any, run_feed: Any, until: Any, trade: Any
) -> None:
    market.rest["/api/v3/exchangeInfo"] = market.refuse(500)  # so that nobody knows that there is no such symbol
    async with run_feed("BTCUSDT", "NOSUCHUSDT", patience=QUICK) as running:
        old, new = await start_of_overlap(market, until, running, trade)
        new.send(depth(101))
        await until(lambda: running.feed.rotations == 1 and old.transport is None)


async def test_a_book_that_does_not_change_is_not_waited_for_and_one_that_does_is(
    market: Any, run_feed: Any, until: Any, trade: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "QUIET_NS", NS_PER_S // 20)
    async with run_feed("BTCUSDT", patience=QUICK) as running:
        old, _ = await start_of_overlap(market, until, running, trade)
        await until(lambda: running.feed.rotations == 1 and old.transport is None)
        market.client.send(trade(2), depth(101, "2"))
        await until(lambda: running.of(BookL2)[-1].bids[0] == ("10.0", "2"))
        assert trade_ids(running) == [1, 2]
        assert running.of(Status) == []


async def test_a_connection_is_replaced_at_its_age_and_not_all_at_the_same_time(
    market: Any, run_feed: Any, until: Any, trade: Any
) -> None:
    patience = Patience(rotate_after_s=3_600.05, rotate_spread_s=3_600.0, overlap_s=0.01)

    def luck() -> float:
        return 1.0 if len(market.clients) < 2 else 0.0  # the earliest there is, after 0.05 s; then the latest

    async with run_feed("BTCUSDT", patience=patience, clock=Clock(uniform=luck)) as running:
        await until(lambda: len(market.clients) == 2 and market.client.requests)
        await until(lambda: running.feed.rotations == 1)
        await until(lambda: market.clients[0].transport is None)
        assert len(market.clients) == 2, "the next one lives for an hour longer"


async def test_when_every_stream_is_refused_the_connection_is_not_live_and_ends(
    market: Any, run_feed: Any, until: Any
) -> None:
    market.answer = lambda request: [{"code": 2, "msg": "Invalid request", "id": request["id"]}]
    async with run_feed("BTCUSDT") as running:
        await until(lambda: running.feed.connections and running.feed.connections[0].last_end)
        assert running.feed.connections[0].last_end == "every stream was refused"
        assert not running.feed.connected
        assert running.feed.counters.subscriptions_refused == 3


async def test_missed_trades_are_fetched_after_a_reconnect_and_published(
    market: Any, run_feed: Any, until: Any, trade: Any
) -> None:
    def history(query: dict[str, list[str]]) -> Any:
        first, limit = int(query["fromId"][0]), int(query["limit"][0])
        return [
            {"id": n, "price": "1", "qty": "1", "time": 1_700_000_000_000 + n, "isBuyerMaker": True}
            for n in range(first, first + limit)
        ]

    market.rest["/api/v3/historicalTrades"] = history
    async with run_feed("BTCUSDT") as running:
        await until(lambda: running.feed.connected)
        market.client.send(trade(7))
        await until(lambda: trade_ids(running) == [7])
        market.drop_clients()
        await until(lambda: len(market.clients) == 2 and running.feed.connected)
        market.client.send(trade(10))
        await until(lambda: len(running.of(Status)) == 3)
        assert trade_ids(running) == [7, 10, 8, 9]
        assert [event.backfill for event in running.of(Trade)] == [False, False, True, True]
        assert [event.kind for event in running.of(Status)] == ["reconnect", "backfill", "backfill"]
        assert running.feed.reconnects == 1
