"""PROTOCOLS section 7, Alpaca: every row against the simulator, over real sockets.

| row | test |
|---|---|
| connected/authenticated handshake | `test_it_logs_in_and_everything_flows` |
| 404 when auth is late | `test_a_login_that_came_too_late_is_made_again` |
| 402 | `test_refused_keys_are_tried_again_much_later` |
| 406 for the second connection | `test_while_another_client_is_in_it_logs_in_again_on_the_same_connection` |
| 406 for 30 s after an abrupt drop | `test_after_an_abrupt_drop_it_gets_in_when_the_venue_has_noticed` |
| 405 leaving subscriptions unchanged | `test_a_symbol_limit_is_filled_and_what_fits_flows` |
| 407 then drop, and drop without 407 | `test_after_a_drop_it_comes_back` |
| arrays mixing types; numbers not strings | `test_one_array_may_hold_every_type` |
| times with 3, 6, 8, 9 digits and none | `test_times_are_read_to_the_nanosecond` |
| corrections and cancels | `test_a_correction_and_a_cancel_name_a_trade_that_was_published` |
| crypto book with `r`, later `r` again, size 0 | `test_a_coin_book_is_the_markets_also_when_it_begins_again` |
| id above 2^53 | `test_ids_above_2_to_the_53_are_kept` |
| MessagePack mode | none: the provider never asks for it |
| mute socket | `test_a_mute_socket_stays_open` |
| silence outside the session | tests/calendar, tests/liveness: the feed itself knows no session |
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from app.feed import Clock
from app.feed import session as feed_session
from app.providers.alpaca import login
from exchange_sim import Patience as VenuePatience
from exchange_sim import Script
from exchange_sim.alpaca import AlpacaSession
from md_contract.events import BookL2, Quote, Trade
from md_contract.units import NS_PER_MS

COINS = {"alpaca_feed": "crypto"}
LATE_S = 500.0


def flows(scene: Any) -> bool:
    return bool(scene.feed.connected and scene.of(Trade) and scene.of(Quote))


def share(number: int, time: str = "2026-11-20T15:30:00Z", symbol: str = "AAPL") -> dict[str, Any]:
    return {"T": "t", "S": symbol, "i": number, "x": "V", "p": 228.27, "s": 100, "c": ["@"], "z": "C", "t": time}


@pytest.fixture
def array() -> Callable[..., Script]:
    """A venue that sends one array of these messages and no more."""

    def make(*messages: dict[str, Any]) -> Script:
        return Script([(0.0, json.dumps(messages))], symbols=["AAPL"], venues=["alpaca"])

    return make


async def test_it_logs_in_and_everything_flows(play: Any, until: Any) -> None:
    async with play("alpaca", "AAPL") as scene:
        await until(lambda: flows(scene) and len(scene.of(Trade)) > 20)
        scene.check_trades_in_order("AAPL")
        assert scene.set_aside == {}
        assert scene.feed.connections[0].opens == 1


async def test_a_login_that_came_too_late_is_made_again(play: Any, until: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AlpacaSession, "greeting", None)  # so that it waits a second before it logs in
    async with play("alpaca", "AAPL", sim={"patience": VenuePatience(login_s=0.1)}) as scene:
        await until(lambda: scene.feed.connections and scene.feed.connections[0].last_end)
        monkeypatch.undo()
        assert "404" in scene.feed.connections[0].last_end
        await until(lambda: flows(scene))


async def test_refused_keys_are_tried_again_much_later(play: Any, until: Any) -> None:
    waits: list[float] = []
    come_back = asyncio.Event()

    async def sleep(seconds: float) -> None:
        if seconds < LATE_S:
            await asyncio.sleep(seconds)
            return
        waits.append(seconds)
        await come_back.wait()

    clock = Clock(uniform=lambda: 0.02, sleep=sleep)
    async with play("alpaca", "AAPL", clock=clock, before=lambda sim: sim.alpaca.refuse_logins(402)) as scene:
        await until(lambda: waits)
        assert scene.feed.connections[0].opens == 1
        assert scene.of(Trade) == []
        scene.sim.alpaca.accept_logins()
        come_back.set()
        await until(lambda: flows(scene))


async def test_while_another_client_is_in_it_logs_in_again_on_the_same_connection(
    play: Any, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login, "STEP_NS", 10 * NS_PER_MS)
    async with play("alpaca", "AAPL", before=lambda sim: sim.alpaca.refuse_logins(406, count=2)) as scene:
        await until(lambda: flows(scene))
        assert scene.feed.connections[0].opens == 1


async def test_after_an_abrupt_drop_it_gets_in_when_the_venue_has_noticed(
    play: Any, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login, "STEP_NS", 20 * NS_PER_MS)
    async with play("alpaca", "AAPL", sim={"patience": VenuePatience(linger_s=0.3)}) as scene:
        await until(lambda: flows(scene))
        scene.sim.drop(venue="alpaca")
        await until(lambda: scene.feed.reconnects == 1)
        seen = len(scene.of(Trade))
        await until(lambda: scene.feed.connected and len(scene.of(Trade)) > seen)
        assert scene.feed.connections[0].opens == 2


async def test_a_symbol_limit_is_filled_and_what_fits_flows(play: Any, until: Any) -> None:
    async with play("alpaca", "AAPL", "SPY", "QQQ", "TSLA", before=lambda sim: sim.alpaca.limit_symbols(2)) as scene:
        await until(lambda: flows(scene) and len({trade.symbol for trade in scene.of(Trade)}) == 2)
        assert scene.feed.counters.subscriptions_refused == 4
        assert {event.symbol for event in scene.of(Trade) + scene.of(Quote)} == {"AAPL", "SPY"}
        assert scene.feed.connections[0].opens == 1


@pytest.mark.parametrize("is_told", [True, False])
async def test_after_a_drop_it_comes_back(play: Any, until: Any, is_told: bool) -> None:
    async with play("alpaca", "AAPL") as scene:
        await until(lambda: flows(scene))
        if is_told:
            scene.sim.alpaca.slow_client()
        else:
            scene.sim.drop(1001, venue="alpaca")
        await until(lambda: scene.feed.reconnects == 1)
        seen = len(scene.of(Trade))
        await until(lambda: scene.feed.connected and len(scene.of(Trade)) > seen)
        assert ("407" in scene.statuses("reconnect")[0].detail["reason"]) is is_told
        assert scene.statuses("gap"), "trades may be missing, and no id can tell"


async def test_one_array_may_hold_every_type(play: Any, until: Any, array: Any) -> None:
    quote = {
        "T": "q",
        "S": "AAPL",
        "bx": "V",
        "bp": 228.25,
        "bs": 3,
        "ax": "V",
        "ap": 228.3,
        "as": 1.5,
        "t": share(0)["t"],
    }
    bar = {"T": "b", "S": "AAPL", "o": 1, "h": 1, "l": 1, "c": 1, "v": 1, "t": share(0)["t"]}
    status = {"T": "s", "S": "AAPL", "sc": "T", "t": share(0)["t"]}
    script = array(share(1), quote, bar, {**share(2), "p": "228.27"}, status, share(3))
    async with play("alpaca", "AAPL", script=script) as scene:
        await until(lambda: len(scene.of(Trade)) == 2)
        assert [(trade.price, trade.size) for trade in scene.of(Trade)] == [("228.27", "100")] * 2
        (found,) = scene.of(Quote)
        assert (found.bid, found.bid_size, found.ask, found.ask_size) == ("228.25", "3", "228.3", "1.5")
        assert sum(scene.set_aside.values()) == 1, "the text in place of a number"


async def test_times_are_read_to_the_nanosecond(play: Any, until: Any, array: Any) -> None:
    fractions = {
        "": 0,
        ".123": 123_000_000,
        ".123456": 123_456_000,
        ".12345678": 123_456_780,
        ".123456789": 123_456_789,
    }
    trades = [share(number, f"2026-11-20T15:30:00{text}Z") for number, text in enumerate(fractions)]
    async with play("alpaca", "AAPL", script=array(*trades)) as scene:
        await until(lambda: len(scene.of(Trade)) == len(fractions))
        second = scene.of(Trade)[0].ts_event
        assert [trade.ts_event - second for trade in scene.of(Trade)] == list(fractions.values())
        assert second == 1_795_188_600 * 10**9


async def test_a_correction_and_a_cancel_name_a_trade_that_was_published(play: Any, until: Any) -> None:
    async with play("alpaca", "AAPL", rate=50.0) as scene:
        await until(lambda: flows(scene))
        scene.sim.alpaca.correct("AAPL")
        scene.sim.alpaca.cancel("AAPL")
        await until(lambda: len(scene.statuses("correction")) == 2)
        known = {trade.trade_id for trade in scene.of(Trade)}
        assert [status.detail["action"] for status in scene.statuses("correction")] == ["correct", "cancel"]
        assert all(status.detail["trade_id"] in known for status in scene.statuses("correction"))
        assert scene.set_aside == {}


async def test_a_coin_book_is_the_markets_also_when_it_begins_again(play: Any, until: Any) -> None:
    async with play("alpaca", "BTC/USD", options=COINS) as scene:
        await until(lambda: flows(scene) and len(scene.of(BookL2)) > 10)
        scene.sim.alpaca.begin_again("BTC/USD")
        seen = len(scene.of(BookL2))
        await until(lambda: len(scene.of(BookL2)) > seen + 10)
        scene.check_books("BTC/USD")
        assert (scene.feed.book_resyncs, scene.set_aside) == (0, {})


async def test_ids_above_2_to_the_53_are_kept(play: Any, until: Any) -> None:
    async with play("alpaca", "BTC/USD", options=COINS) as scene:
        await until(lambda: len(scene.of(Trade)) > 20)
        ids = scene.trade_ids("BTC/USD")
        assert ids[0] > 2**53
        assert ids == list(range(ids[0], ids[0] + len(ids)))


async def test_a_mute_socket_stays_open(play: Any, until: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_session, "IDLE_S", 0.05)
    monkeypatch.setattr(feed_session, "PONG_S", 0.2)
    async with play("alpaca", "AAPL") as scene:
        await until(lambda: flows(scene))
        scene.sim.faults.mute(venue="alpaca")
        await until(lambda: scene.sim.faults.lost["alpaca:trades.AAPL"])
        frames, trades = scene.feed.frames, len(scene.of(Trade))
        await until(lambda: scene.feed.frames >= frames + 2)  # pongs
        assert len(scene.of(Trade)) == trades
        assert (scene.feed.reconnects, scene.sim.clients) == (0, 1)
