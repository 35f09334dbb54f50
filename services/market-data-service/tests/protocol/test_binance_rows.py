"""PROTOCOLS section 7, Binance: every row against the simulator, over real sockets.

| row | test |
|---|---|
| combined | `test_combined_frames_bring_every_trade_once` |
| raw; partial depth without symbol | none: the provider connects to `/stream` and takes diffs only |
| bookTicker without `e` | `test_a_quote_without_an_event_type_has_no_venue_time` |
| control replies unwrapped | `test_replies_that_are_not_wrapped_are_understood` |
| both error shapes | `test_a_refused_stream_costs_its_symbol_only` |
| unknown stream acknowledged and silent | `test_an_unknown_stream_is_silent_and_its_neighbour_flows` |
| server ping, drop without pong | `test_pings_are_answered_so_the_connection_stays` |
| close 1008 after 6 control messages in a second | `test_many_subscriptions_keep_the_limit_of_control_messages` |
| close at "24 h" | `test_an_end_at_24_hours_loses_no_trade`, `test_a_connection_is_replaced_before_its_24_hours_end` |
| `serverShutdown` | `test_a_shutdown_notice_loses_no_trade` |
| diff sequence with a hole | `test_after_a_hole_in_the_diffs_no_wrong_book_is_published` |
| snapshot older than the buffer | `test_a_snapshot_older_than_the_buffer_is_taken_again` |
| microsecond mode | none: the provider never asks for it |
| missing trade ids | `test_missing_trades_are_backfilled` |
| duplicate delivery across two connections | `test_what_two_connections_bring_goes_out_once` |
| a frame that comes twice on one connection | `test_a_repeated_frame_goes_out_once` |
| mute connection that still answers pings | `test_a_mute_connection_that_answers_pings_stays_open` |
"""

import json
from typing import Any

import pytest

from app.feed import Clock, Patience
from app.feed import session as feed_session
from app.providers.binance import conversation
from exchange_sim import ExchangeSim
from exchange_sim import Patience as VenuePatience
from exchange_sim.binance import session as venue_session
from exchange_sim.binance.session import BinanceSession
from md_contract.events import BookL2, Quote, Trade

TRADES, DIFFS = "btcusdt@trade", "btcusdt@depth@100ms"


def without_listing(sim: ExchangeSim) -> None:
    """Let the check of the symbols fail, so that unknown ones are subscribed to as well."""
    sim.fail_rest(500)


async def test_combined_frames_bring_every_trade_once(play: Any, until: Any) -> None:
    async with play("binance", "BTCUSDT", "ETHUSDT", rate=600.0) as scene:
        await until(lambda: all(len(scene.of(Trade, symbol)) > 20 for symbol in ("BTCUSDT", "ETHUSDT")))
        assert scene.set_aside == {}
        for symbol in ("BTCUSDT", "ETHUSDT"):
            scene.check_trades_by_id(symbol)
            assert scene.trade_ids(symbol) == sorted(scene.trade_ids(symbol))


async def test_a_quote_without_an_event_type_has_no_venue_time(play: Any, until: Any) -> None:
    async with play("binance", "BTCUSDT") as scene:
        await until(lambda: len(scene.of(Quote)) > 5)
        assert {quote.ts_event for quote in scene.of(Quote)} == {None}
        assert scene.set_aside == {}


async def test_replies_that_are_not_wrapped_are_understood(
    play: Any, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies: list[dict[str, Any]] = []
    receive = BinanceSession.receive

    def spy(session: BinanceSession, text: bytes) -> Any:
        outcome = receive(session, text)
        replies.extend(json.loads(reply) for reply in outcome.replies)
        return outcome

    monkeypatch.setattr(BinanceSession, "receive", spy)
    async with play("binance", "BTCUSDT") as scene:
        await until(lambda: scene.feed.connected)
        assert replies == [{"result": None, "id": 1}]
        assert scene.set_aside == {}


@pytest.mark.parametrize("shape", ["documented", "wrapped"])
async def test_a_refused_stream_costs_its_symbol_only(
    play: Any, until: Any, monkeypatch: pytest.MonkeyPatch, shape: str
) -> None:
    monkeypatch.setattr(conversation, "REQUEST_INTERVAL_NS", 1_000_000)
    monkeypatch.setattr(venue_session, "MESSAGES_PER_SECOND", 1_000)
    options = {"error_shape": shape}
    async with play("binance", "BTCUSDT", "BAD/USDT", market=["BTCUSDT"], sim=options, before=without_listing) as scene:
        await until(lambda: scene.feed.connected and scene.of(Trade) and scene.of(Quote) and scene.of(BookL2))
        assert scene.feed.counters.subscriptions_refused == 3
        assert scene.set_aside == {}
        assert (scene.feed.connections[0].opens, scene.feed.reconnects) == (1, 0)


async def test_an_unknown_stream_is_silent_and_its_neighbour_flows(play: Any, until: Any) -> None:
    async with play("binance", "NOSUCHUSDT", "BTCUSDT", market=["BTCUSDT"], before=without_listing) as scene:
        await until(lambda: scene.feed.connected and len(scene.of(Trade)) > 20 and scene.of(BookL2))
        assert {event.symbol for event in scene.events} == {"BTCUSDT"}
        assert scene.feed.counters.subscriptions_refused == 0
        scene.check_trades_by_id("BTCUSDT")


async def test_pings_are_answered_so_the_connection_stays(play: Any, until: Any) -> None:
    impatient = VenuePatience(ping_interval_s=0.28, pong_timeout_s=0.7)  # pongs count among the 5 messages a second
    async with play("binance", "BTCUSDT", sim={"patience": impatient}) as scene:
        await until(lambda: scene.feed.connected)
        scene.sim.faults.mute()
        frames = scene.feed.frames
        await until(lambda: scene.feed.frames >= frames + 4)  # nothing but pings: for longer than the timeout
        assert (scene.sim.server.opened_total, scene.feed.reconnects) == (1, 0)
        assert scene.feed.connected


async def test_many_subscriptions_keep_the_limit_of_control_messages(play: Any, until: Any) -> None:
    symbols = [f"C{number}USDT" for number in range(300)]
    patience = VenuePatience(ping_interval_s=0.9)  # the answers to pings count as well
    async with play("binance", *symbols, rate=50.0, sim={"patience": patience}) as scene:
        await until(lambda: scene.feed.connected)
        (connection,) = scene.feed.connections
        assert (connection.opens, connection.last_end) == (1, None)
        assert scene.feed.counters.subscriptions_refused == 0
        await until(lambda: scene.of(Trade))


async def test_an_end_at_24_hours_loses_no_trade(play: Any, until: Any) -> None:
    old_age = {"patience": VenuePatience(session_life_s=0.7)}
    late = Patience(base_s=0.1, cap_s=0.1)
    clock = Clock(uniform=lambda: 0.9)  # so late that trades are missed
    async with play("binance", "BTCUSDT", rate=1_000.0, sim=old_age, patience=late, clock=clock) as scene:
        await until(lambda: scene.feed.reconnects >= 1 and scene.feed.counters.backfilled_trades)
        await until(lambda: not scene.feed.provider.errands.pending)
        scene.check_trades_by_id("BTCUSDT")
        assert scene.statuses("gap") == []
        assert scene.statuses("reconnect")


async def test_a_connection_is_replaced_before_its_24_hours_end(play: Any, until: Any) -> None:
    early = Patience(base_s=0.02, rotate_after_s=0.4, rotate_spread_s=0.0, ready_within_s=2.0, overlap_s=0.05)
    async with play("binance", "BTCUSDT", patience=early, sim={"patience": VenuePatience(session_life_s=5.0)}) as scene:
        await until(lambda: scene.feed.rotations >= 2)
        seen = len(scene.events)
        await until(lambda: len(scene.events) > seen + 20)
        assert scene.feed.reconnects == 0
        scene.check_trades_by_id("BTCUSDT")
        scene.check_books("BTCUSDT")


@pytest.mark.parametrize("then_close", [False, True])
async def test_a_shutdown_notice_loses_no_trade(play: Any, until: Any, then_close: bool) -> None:
    async with play("binance", "BTCUSDT") as scene:
        await until(lambda: scene.feed.connected and scene.of(Trade))
        scene.sim.server_shutdown(then_close=then_close)
        await until(lambda: scene.feed.rotations == 1 or (then_close and scene.feed.reconnects == 1))
        await until(lambda: scene.feed.connected)
        seen = len(scene.trade_ids("BTCUSDT"))
        await until(lambda: len(scene.trade_ids("BTCUSDT")) > seen and not scene.feed.provider.errands.pending)
        scene.check_trades_by_id("BTCUSDT")
        assert scene.set_aside == {}
        assert scene.feed.reconnects == (1 if then_close else 0)


async def test_after_a_hole_in_the_diffs_no_wrong_book_is_published(play: Any, until: Any) -> None:
    async with play("binance", "BTCUSDT") as scene:
        await until(lambda: scene.of(BookL2))
        scene.sim.faults.lose(DIFFS)
        await until(lambda: scene.feed.book_resyncs == 1)
        seen = len(scene.of(BookL2))
        await until(lambda: len(scene.of(BookL2)) > seen + 2)
        scene.check_books("BTCUSDT")
        assert scene.feed.reconnects == 0


async def test_a_snapshot_older_than_the_buffer_is_taken_again(play: Any, until: Any) -> None:
    async with play("binance", "BTCUSDT", before=lambda sim: sim.stale_depth(2)) as scene:
        await until(lambda: len(scene.of(BookL2)) > 2)
        assert scene.feed.counters.books.stale_snapshots == 2
        scene.check_books("BTCUSDT")


async def test_missing_trades_are_backfilled(play: Any, until: Any) -> None:
    async with play("binance", "BTCUSDT") as scene:
        await until(lambda: scene.of(Trade))
        scene.sim.faults.lose(TRADES, 3)
        await until(lambda: scene.sim.faults.lost[TRADES] == 3 and scene.feed.counters.backfilled_trades >= 3)
        await until(lambda: not scene.feed.provider.errands.pending)
        scene.check_trades_by_id("BTCUSDT")
        assert sum(trade.backfill for trade in scene.of(Trade)) == scene.feed.counters.backfilled_trades
        assert scene.statuses("gap") == []


async def test_a_repeated_frame_goes_out_once(play: Any, until: Any) -> None:
    async with play("binance", "BTCUSDT") as scene:
        await until(lambda: scene.of(Trade) and scene.of(BookL2))
        for stream in (TRADES, DIFFS):
            scene.sim.faults.duplicate(stream, 3)
        await until(lambda: scene.feed.counters.duplicate_trades >= 3)
        seen = len(scene.of(BookL2))
        await until(lambda: len(scene.of(BookL2)) > seen + 3)
        scene.check_trades_by_id("BTCUSDT")
        scene.check_books("BTCUSDT")
        assert scene.feed.book_resyncs == 0


async def test_what_two_connections_bring_goes_out_once(play: Any, until: Any) -> None:
    async with play("binance", "BTCUSDT") as scene:
        await until(lambda: scene.feed.connected and scene.of(Trade) and scene.of(BookL2))
        scene.sim.server_shutdown()  # the successor is waited for until it has the book, too
        await until(lambda: scene.feed.rotations == 1)
        assert scene.feed.counters.duplicate_trades > 0
        scene.check_trades_by_id("BTCUSDT")


async def test_a_mute_connection_that_answers_pings_stays_open(
    play: Any, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_session, "IDLE_S", 0.02)
    monkeypatch.setattr(feed_session, "PONG_S", 0.2)
    async with play("binance", "BTCUSDT") as scene:
        await until(lambda: scene.feed.connected and scene.of(Trade))
        scene.sim.faults.mute(venue="binance")
        lost = scene.sim.faults.lost
        await until(lambda: lost[TRADES])
        frames, events = scene.feed.frames, len(scene.of(Trade))
        await until(lambda: scene.feed.frames >= frames + 2)  # pongs
        assert len(scene.of(Trade)) == events
        assert (scene.feed.reconnects, scene.sim.clients) == (0, 1)
