"""Connections over real sockets: subscribed in full, kept up, told about, closed without a trace."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest

from app.feed import Clock, ConnectionState, Feed
from app.providers import make_provider
from app.providers.binance import conversation
from md_contract.events import Event, Status, Trade

KINDS = ("trade", "bookTicker", "depth@100ms")


def trade_ids(running: Any) -> list[int]:
    return [int(event.trade_id) for event in running.of(Trade)]


def statuses(running: Any, kind: str) -> list[Status]:
    return [event for event in running.of(Status) if event.kind == kind]


async def test_every_stream_of_every_symbol_is_subscribed_and_the_feed_is_then_connected(
    venue: Any, run_feed: Any, until: Any
) -> None:
    async with run_feed("BTCUSDT", "ETHUSDT") as running:
        await until(lambda: running.feed.connected)
        assert sorted(venue.client.names) == sorted(f"{s}@{kind}" for s in ("btcusdt", "ethusdt") for kind in KINDS)
        assert running.feed.symbols == ("BTCUSDT", "ETHUSDT")
        client = venue.client
    assert client.close_code == 1000
    assert not running.feed.connected
    assert [connection.state for connection in running.feed.connections] == [ConnectionState.STOPPED]


async def test_a_feed_is_not_connected_before_its_subscriptions_are_answered(
    venue: Any, run_feed: Any, until: Any, trade: Any
) -> None:
    venue.answer = lambda request: []
    async with run_feed("BTCUSDT") as running:
        await until(lambda: venue.clients and venue.client.requests)
        assert not running.feed.connected
        venue.client.send(trade(1))
        await until(lambda: trade_ids(running) == [1])
        venue.client.send({"result": None, "id": venue.client.requests[0]["id"]})
        await until(lambda: running.feed.connected)


async def test_a_trade_is_published_with_both_clocks(venue: Any, run_feed: Any, until: Any, trade: Any) -> None:
    async with run_feed("BTCUSDT") as running:
        await until(lambda: running.feed.connected)
        venue.client.send(trade(7))
        await until(lambda: running.events)
        (event,) = running.events
        assert event.ts_event == 1_700_000_000_007_000_000
        assert event.ts_recv == running.feed.last_recv_ns


async def test_a_servers_ping_is_answered_with_its_payload(venue: Any, run_feed: Any, until: Any) -> None:
    async with run_feed("BTCUSDT") as running:
        await until(lambda: running.feed.connected)
        venue.client.transport.send_ping(b"1795350000123")
        await until(lambda: venue.client.pongs == [b"1795350000123"])


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (lambda venue: venue.close_clients(1001), "closed by the server with 1001"),
        (lambda venue: venue.close_clients(1008), "closed by the server with 1008"),
        (lambda venue: venue.drop_clients(), "connection lost without a close frame"),
    ],
    ids=["1001", "1008", "cut"],
)
async def test_after_a_reconnect_every_symbol_is_told_and_what_was_missed_is_known_exactly(
    venue: Any, run_feed: Any, until: Any, trade: Any, end: Callable[[Any], None], reason: str
) -> None:
    async with run_feed("BTCUSDT", "ETHUSDT") as running:
        await until(lambda: running.feed.connected)
        venue.client.send(trade(7))
        await until(lambda: trade_ids(running) == [7])
        end(venue)
        await until(lambda: len(venue.clients) == 2 and running.feed.connected)
        venue.client.send(trade(7), trade(10))
        await until(lambda: trade_ids(running) == [7, 10])
        told = statuses(running, "reconnect")
        assert [(event.symbol, event.detail) for event in told] == [
            ("BTCUSDT", {"reason": reason, "last_trade_id": "7"}),
            ("ETHUSDT", {"reason": reason, "last_trade_id": None}),
        ]
        assert running.feed.reconnects == 1
        assert running.feed.counters.duplicate_trades == 1
        assert running.feed.connections[0].last_end == reason
    assert [event.detail for event in statuses(running, "gap")] == [
        {"from": 8, "to": 9, "missing": 2, "backfilled": 0}
    ], "this venue has no history to ask"


async def test_a_server_that_is_gone_is_tried_until_it_is_back(
    venue: Any, run_feed: Any, until: Any, trade: Any
) -> None:
    await venue.stop()
    async with run_feed("BTCUSDT") as running:
        await until(lambda: running.feed.connections and running.feed.connections[0].attempts >= 3)
        assert not running.feed.connected
        assert running.feed.reconnects == 0
        await venue.start()
        await until(lambda: running.feed.connected)
        await venue.stop()
        await until(lambda: running.feed.connections[0].attempts >= 6)
        await venue.start()
        await until(lambda: running.feed.connected)
        venue.client.send(trade(1))
        await until(lambda: trade_ids(running) == [1])
        assert running.feed.reconnects == 1
        assert len(statuses(running, "reconnect")) == 1


async def test_an_unknown_symbol_is_left_out_and_the_others_are_served(venue: Any, run_feed: Any, until: Any) -> None:
    async with run_feed("BTCUSDT", "NOSUCHUSDT", "btc.>") as running:
        await until(lambda: running.feed.connected)
        assert running.feed.symbols == ("BTCUSDT",)
        assert set(running.feed.excluded) == {"NOSUCHUSDT", "btc.>"}
        assert {name.partition("@")[0] for name in venue.client.names} == {"btcusdt"}


async def test_without_any_known_symbol_the_feed_stays_idle(venue: Any, run_feed: Any, until: Any) -> None:
    async with run_feed("NOSUCHUSDT") as running:
        await until(lambda: running.feed.excluded)
        assert not running.feed.connected
        assert venue.clients == []


@pytest.mark.parametrize("listing", [b"<html>", 500, 429], ids=["unreadable", "500", "429"])
async def test_when_the_listing_cannot_be_had_the_feed_goes_on_unchecked(
    venue: Any, run_feed: Any, until: Any, listing: Any
) -> None:
    venue.rest["/api/v3/exchangeInfo"] = venue.refuse(listing) if isinstance(listing, int) else lambda _: listing
    async with run_feed("BTCUSDT", "NOSUCHUSDT") as running:
        await until(lambda: running.feed.connected)
        assert running.feed.symbols == ("BTCUSDT", "NOSUCHUSDT")
        assert len(venue.client.names) == 6


async def test_the_check_is_made_up_for_later(venue: Any, run_feed: Any, until: Any) -> None:
    listing = venue.rest.pop("/api/v3/exchangeInfo")
    later = asyncio.Event()

    async def sleep(seconds: float) -> None:
        await (later.wait() if seconds == 60.0 else asyncio.sleep(min(seconds, 0.01)))

    async with run_feed("BTCUSDT", "NOSUCHUSDT", clock=Clock(sleep=sleep, uniform=lambda: 0.0)) as running:
        await until(lambda: running.feed.connected)
        venue.rest["/api/v3/exchangeInfo"] = listing
        later.set()
        await until(lambda: "NOSUCHUSDT" in running.feed.excluded)
        assert running.feed.connections[0].symbols == ("BTCUSDT",)
        venue.close_clients()
        await until(lambda: len(venue.clients) == 2 and running.feed.connected)
        assert len(venue.client.names) == 3


async def test_a_refused_handshake_is_not_repeated_before_the_venue_allows_it(
    venue: Any, run_feed: Any, until: Any
) -> None:
    venue.handshake = venue.refuse(429, Retry_After="77")
    waits: list[float] = []
    allowed = asyncio.Event()

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await (allowed.wait() if seconds == 77.0 else asyncio.sleep(min(seconds, 0.01)))

    async with run_feed("BTCUSDT", clock=Clock(sleep=sleep, uniform=lambda: 0.5)) as running:
        await until(lambda: 77.0 in waits)
        assert running.feed.connections[0].last_end == "handshake refused with HTTP 429"
        assert running.feed.connections[0].attempts == 1
        venue.handshake = lambda: None
        allowed.set()
        await until(lambda: running.feed.connected)


async def test_a_server_that_hangs_up_during_the_handshake_is_tried_again(run_feed: Any, until: Any) -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with run_feed("BTCUSDT", ws_url=f"ws://127.0.0.1:{port}") as running:
        await until(lambda: running.feed.connections and running.feed.connections[0].attempts >= 3)
    server.close()


async def test_stopping_is_quick_while_a_server_says_nothing(run_feed: Any, until: Any) -> None:
    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with run_feed("BTCUSDT", ws_url=f"ws://127.0.0.1:{port}"):
        await until(lambda: writers)
        begun = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - begun < 3.0, "the handshake would last for five seconds"
    writers[0].close()
    server.close()


async def test_nothing_is_read_while_paused_and_nothing_is_lost_by_it(
    venue: Any, run_feed: Any, until: Any, trade: Any
) -> None:
    async with run_feed("BTCUSDT") as running:
        await until(lambda: running.feed.connected)
        venue.client.send(trade(1))
        await until(lambda: trade_ids(running) == [1])
        running.feed.pause()
        running.feed.pause()
        assert running.feed.paused
        for number in range(2, 500):
            venue.client.send(trade(number))
        for _ in range(20):
            await asyncio.sleep(0)
        assert trade_ids(running) == [1]
        running.feed.resume()
        await until(lambda: trade_ids(running) == list(range(1, 500)))


async def test_a_publisher_may_pause_the_feed_in_the_middle_of_a_read(
    venue: Any, run_feed: Any, until: Any, trade: Any
) -> None:
    got: list[int] = []

    def publish(event: Event) -> None:
        if isinstance(event, Trade):
            got.append(int(event.trade_id))
            if len(got) % 50 == 0:
                running.feed.pause()

    async with run_feed("BTCUSDT", publish=publish) as running:
        await until(lambda: running.feed.connected)
        for number in range(1, 5_001):
            venue.client.send(trade(number))
        while len(got) < 5_000:
            await until(lambda: running.feed.paused)
            running.feed.resume()
        assert got == list(range(1, 5_001))


async def test_a_subscription_that_is_never_answered_ends_the_connection(
    venue: Any, run_feed: Any, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "REQUEST_TIMEOUT_NS", 50_000_000)
    venue.answer = lambda request: []
    async with run_feed("BTCUSDT") as running:
        await until(lambda: running.feed.connected or len(venue.clients) >= 3)
        assert not running.feed.connected
        assert running.feed.connections[0].last_end == "no answer to subscription request 1"


async def test_while_paused_no_new_connection_is_made(venue: Any, run_feed: Any, until: Any) -> None:
    before_the_next = asyncio.Event()

    async def sleep(seconds: float) -> None:
        await (asyncio.sleep(seconds) if seconds > 5 else before_the_next.wait())

    async with run_feed("BTCUSDT", clock=Clock(sleep=sleep, uniform=lambda: 0.5)) as running:
        await until(lambda: running.feed.connected)
        venue.drop_clients()
        (connection,) = running.feed.connections
        await until(lambda: connection.state is ConnectionState.WAITING)
        running.feed.pause()
        before_the_next.set()
        for _ in range(50):
            await asyncio.sleep(0)
        assert connection.attempts == 1
        running.feed.resume()
        await until(lambda: len(venue.clients) == 2 and running.feed.connected)


@pytest.mark.parametrize("answers", [True, False], ids=["pongs", "no pong"])
async def test_a_silent_connection_is_pinged_and_left_when_there_is_no_pong(
    venue: Any, run_feed: Any, until: Any, answers: bool
) -> None:
    venue.answers_pings = answers
    steps: dict[float, asyncio.Semaphore] = {20.0: asyncio.Semaphore(0), 10.0: asyncio.Semaphore(0)}

    async def sleep(seconds: float) -> None:
        await (steps[seconds].acquire() if seconds in steps else asyncio.sleep(min(seconds, 0.01)))

    async with run_feed("BTCUSDT", clock=Clock(sleep=sleep, uniform=lambda: 0.0)) as running:
        await until(lambda: running.feed.connected)
        steps[20.0].release()
        steps[20.0].release()
        await until(lambda: venue.client.pings == 1)
        if answers:
            await until(lambda: running.feed.frames == 2)  # the answer to the subscription, and the pong
        steps[10.0].release()
        if answers:
            steps[20.0].release()
            await until(lambda: venue.client.pings == 2)
            assert len(venue.clients) == 1
        else:
            await until(lambda: len(venue.clients) == 2)
            assert running.feed.connections[0].last_end == "no frame and no pong for 30 s"


async def test_an_error_of_ours_ends_the_connection_not_the_feed(
    venue: Any, run_feed: Any, until: Any, trade: Any
) -> None:
    got: list[Event] = []

    def publish(event: Event) -> None:
        if isinstance(event, Trade) and event.trade_id == "13":
            raise ZeroDivisionError("a bug")
        got.append(event)

    async with run_feed("BTCUSDT", publish=publish) as running:
        await until(lambda: running.feed.connected)
        venue.client.send(trade(12), trade(13))
        await until(lambda: len(venue.clients) == 2 and running.feed.connected)
        assert running.feed.connections[0].failures == 1
        venue.client.send(trade(14))
        await until(lambda: isinstance(got[-1], Trade) and got[-1].trade_id == "14")


async def test_more_symbols_than_one_connection_carries_are_spread_over_several(
    venue: Any, run_feed: Any, until: Any
) -> None:
    symbols = [f"S{number}USDT" for number in range(301)]
    venue.rest["/api/v3/exchangeInfo"] = lambda _: {"symbols": [{"symbol": symbol} for symbol in symbols]}
    async with run_feed(*symbols) as running:
        await until(lambda: running.feed.connected)
        assert sorted(len(client.names) for client in venue.clients) == [3, 900]
        venue.drop_clients()
        await until(lambda: running.feed.reconnects == 2 and running.feed.connected)


@pytest.mark.parametrize(
    ("ws_url", "rest_url"), [("http://x", "http://x"), ("ws://x", "ws://x"), ("x", "http://x"), ("ws://", "http://x")]
)
def test_addresses_that_are_none_are_refused_at_once(ws_url: str, rest_url: str) -> None:
    with pytest.raises(ValueError, match=r"expected a (ws:// or wss|http:// or https)://"):
        Feed(make_provider("binance"), ["BTCUSDT"], publish=print, ws_url=ws_url, rest_url=rest_url)


@pytest.mark.skipif(sys.platform == "win32", reason="uvloop does not run on Windows")
def test_the_feed_works_on_uvloop(make_venue: Callable[[], Any], until: Any, trade: Any) -> None:
    import uvloop

    async def scene() -> None:
        venue = make_venue()
        await venue.start()
        got: list[Event] = []
        addresses = {"ws_url": venue.ws_url, "rest_url": venue.rest_url}
        feed = Feed(make_provider("binance"), ["BTCUSDT"], publish=got.append, **addresses)
        task = asyncio.create_task(feed.run())
        await until(lambda: feed.connected)
        venue.client.send(trade(1))
        await until(lambda: len(got) == 1)
        feed.pause()
        venue.client.send(trade(2))
        await asyncio.sleep(0)
        feed.resume()
        await until(lambda: len(got) == 2)
        await feed.stop()
        await task
        await venue.stop()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scene())
