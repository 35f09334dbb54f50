"""PROTOCOLS section 7, Bybit: every row against the simulator, over real sockets.

| row | test |
|---|---|
| 11 args on spot | `test_no_request_has_more_than_ten_topics` |
| the three pong shapes | `test_every_shape_of_a_pong_keeps_the_connection` |
| unknown topic error | `test_an_unknown_topic_costs_its_symbol_only` |
| already-subscribed error | `test_a_topic_that_is_subscribed_already_counts_as_joined` |
| bad answers to subscriptions (beyond the list) | `test_a_bad_answer_to_a_subscription_is_got_over` |
| depth 1 repeating the same `u` | `test_a_repeated_best_price_is_heard_and_not_published` |
| snapshot in mid-stream | `test_a_snapshot_in_mid_stream_replaces_the_book` |
| `u` = 1 | `test_a_service_that_begins_anew_replaces_the_book` |
| delete of an absent level | `test_deleting_an_absent_level_changes_nothing` |
| ticker delta with missing fields | none: the provider does not subscribe to tickers |
| trades split over several messages | `test_an_order_of_2500_trades_arrives_whole` |
| reordered JSON keys; `ts` as string | `test_odd_writing_changes_nothing` |
| idle cut after 10 minutes | `test_our_pings_prevent_the_idle_cut`, `test_after_an_idle_cut_it_connects_again` |
| a skipped delta (section 3.5) | `test_after_a_skipped_delta_no_wrong_book_is_published` |
"""

import json
from typing import Any

import pytest

from app.providers.bybit import control
from exchange_sim import ExchangeSim
from exchange_sim import Patience as VenuePatience
from exchange_sim.bybit import shown
from exchange_sim.bybit.session import BybitSession
from md_contract.events import BookL2, Quote, Trade
from md_contract.units import NS_PER_MS

BOOK = "spot:orderbook.50.BTCUSDT"


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the venue is asked for, in order."""
    heard: list[dict[str, Any]] = []
    receive = BybitSession.receive

    def spy(session: BybitSession, text: bytes) -> Any:
        heard.append(json.loads(text))
        return receive(session, text)

    monkeypatch.setattr(BybitSession, "receive", spy)
    return heard


@pytest.fixture
def quick_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "PING_INTERVAL_NS", 150 * NS_PER_MS)
    monkeypatch.setattr(control, "PONG_TIMEOUT_NS", 120 * NS_PER_MS)


def without_listing(sim: ExchangeSim) -> None:
    """Let the check of the symbols fail, so that unknown ones are subscribed to as well."""
    sim.fail_rest(500)


def flows(scene: Any, symbol: str = "BTCUSDT") -> bool:
    return bool(scene.feed.connected and all(scene.of(kind, symbol) for kind in (Trade, Quote, BookL2)))


async def test_no_request_has_more_than_ten_topics(play: Any, until: Any, requests: Any) -> None:
    symbols = [f"C{number}USDT" for number in range(15)]
    async with play("bybit", *symbols) as scene:
        await until(lambda: scene.feed.connected)
        sizes = [len(request["args"]) for request in requests if request["op"] == "subscribe"]
        assert sizes == [10, 10, 10, 10, 5]
        assert scene.feed.counters.subscriptions_refused == 0


@pytest.mark.parametrize(("provider", "is_option"), [("bybit", False), ("bybit_linear", False), ("bybit", True)])
async def test_every_shape_of_a_pong_keeps_the_connection(
    play: Any, until: Any, requests: Any, quick_pings: None, provider: str, is_option: bool
) -> None:
    async with play(provider, "BTCUSDT", before=lambda sim: sim.bybit.option_pongs(is_option)) as scene:
        await until(lambda: sum(request["op"] == "ping" for request in requests) >= 4)
        assert scene.feed.connections[0].opens == 1
        assert scene.set_aside == {}


async def test_an_unknown_topic_costs_its_symbol_only(play: Any, until: Any) -> None:
    async with play("bybit", "NOSUCHUSDT", "BTCUSDT", market=["BTCUSDT"], before=without_listing) as scene:
        await until(lambda: flows(scene))
        assert scene.feed.counters.subscriptions_refused == 3
        assert {event.symbol for event in scene.events} == {"BTCUSDT"}
        assert scene.feed.connections[0].opens == 1


async def test_a_topic_that_is_subscribed_already_counts_as_joined(
    play: Any, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive = BybitSession.receive
    earlier = [b'{"op":"subscribe","args":["publicTrade.BTCUSDT"]}']

    def receive_after_another(session: BybitSession, text: bytes) -> Any:
        if earlier:
            receive(session, earlier.pop())
        return receive(session, text)

    monkeypatch.setattr(BybitSession, "receive", receive_after_another)
    async with play("bybit", "BTCUSDT") as scene:
        await until(lambda: flows(scene))
        assert scene.feed.counters.subscriptions_refused == 0
        assert scene.feed.connections[0].opens == 1
        scene.check_trades_in_order("BTCUSDT")


@pytest.mark.parametrize(("how", "opens"), [("refused", 1), ("late", 1), ("missing", 2), ("foreign", 2), ("cut", 2)])
async def test_a_bad_answer_to_a_subscription_is_got_over(
    play: Any, until: Any, monkeypatch: pytest.MonkeyPatch, how: str, opens: int
) -> None:
    monkeypatch.setattr(control, "REQUEST_TIMEOUT_NS", 300 * NS_PER_MS)
    async with play("bybit", "BTCUSDT", before=lambda sim: sim.bybit.spoil_acks(how)) as scene:
        await until(lambda: scene.feed.connections and scene.feed.connections[0].opens == opens)
        await until(lambda: flows(scene))
        assert scene.feed.counters.subscriptions_refused == 0
        assert scene.feed.connections[0].opens == opens
        scene.check_books("BTCUSDT")


async def test_a_repeated_best_price_is_heard_and_not_published(
    play: Any, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shown, "REPEAT_NS", 50 * NS_PER_MS)
    async with play("bybit", "BTCUSDT", rate=0.01) as scene:
        await until(lambda: scene.feed.connected and scene.of(Quote))
        heard = scene.feed.connections[0].heard
        before = heard("BTCUSDT")
        await until(lambda: scene.feed.counters.repeated_quotes >= 4)
        assert len(scene.of(Quote)) == 1
        assert heard("BTCUSDT") > before


async def test_a_snapshot_in_mid_stream_replaces_the_book(play: Any, until: Any) -> None:
    async with play("bybit", "BTCUSDT") as scene:
        await until(lambda: flows(scene))
        scene.sim.bybit.resend(BOOK)
        seen = len(scene.of(BookL2))
        await until(lambda: len(scene.of(BookL2)) > seen + 5)
        scene.check_books("BTCUSDT")
        assert (scene.feed.book_resyncs, scene.set_aside) == (0, {})


@pytest.mark.parametrize("kind", ["snapshot", "delta"])
async def test_a_service_that_begins_anew_replaces_the_book(play: Any, until: Any, kind: str) -> None:
    async with play("bybit", "BTCUSDT") as scene:
        await until(lambda: flows(scene))
        scene.sim.bybit.restart(BOOK, kind)
        scene.sim.bybit.restart("spot:orderbook.1.BTCUSDT")
        books, quotes = len(scene.of(BookL2)), len(scene.of(Quote))
        await until(lambda: len(scene.of(BookL2)) > books + 5 and len(scene.of(Quote)) > quotes + 5)
        scene.check_books("BTCUSDT")
        assert (scene.feed.book_resyncs, scene.set_aside) == (0, {})


async def test_deleting_an_absent_level_changes_nothing(play: Any, until: Any) -> None:
    async with play("bybit", "BTCUSDT") as scene:
        await until(lambda: flows(scene))
        scene.sim.bybit.delete_absent(BOOK, 3)
        seen = len(scene.of(BookL2))
        await until(lambda: len(scene.of(BookL2)) > seen + 5)
        scene.check_books("BTCUSDT")
        assert (scene.feed.book_resyncs, scene.set_aside) == (0, {})


@pytest.mark.parametrize("provider", ["bybit", "bybit_linear"])
async def test_an_order_of_2500_trades_arrives_whole(play: Any, until: Any, provider: str) -> None:
    async with play(provider, "BTCUSDT") as scene:
        await until(lambda: scene.feed.connected and scene.of(Trade))
        scene.sim.burst("BTCUSDT", 2_500)
        await until(lambda: len(scene.of(Trade)) > 2_500)
        scene.check_trades_in_order("BTCUSDT")
        assert scene.set_aside == {}


@pytest.mark.parametrize("oddity", ["reorder_keys", "text_times"])
@pytest.mark.parametrize("provider", ["bybit", "bybit_linear"])
async def test_odd_writing_changes_nothing(play: Any, until: Any, provider: str, oddity: str) -> None:
    async with play(provider, "BTCUSDT", before=lambda sim: getattr(sim.bybit, oddity)()) as scene:
        await until(lambda: flows(scene) and len(scene.of(Trade)) > 5)
        scene.check_trades_in_order("BTCUSDT")
        scene.check_books("BTCUSDT")
        assert scene.set_aside == {}


async def test_our_pings_prevent_the_idle_cut(play: Any, until: Any, requests: Any, quick_pings: None) -> None:
    async with play("bybit", "BTCUSDT", sim={"patience": VenuePatience(idle_s=0.5)}) as scene:
        await until(lambda: scene.feed.connected)
        scene.sim.faults.mute()
        requests.clear()
        await until(lambda: len(requests) >= 5)  # 0.75 s
        assert scene.feed.connections[0].opens == 1


async def test_after_an_idle_cut_it_connects_again(play: Any, until: Any) -> None:
    async with play("bybit", "BTCUSDT", sim={"patience": VenuePatience(idle_s=0.2)}) as scene:
        await until(lambda: flows(scene))
        scene.sim.faults.mute()
        await until(lambda: scene.feed.reconnects >= 1)
        scene.sim.faults.unmute()
        seen = len(scene.of(Trade))
        await until(lambda: scene.feed.connected and len(scene.of(Trade)) > seen)
        ids = [trade.trade_id for trade in scene.of(Trade)]
        assert len(ids) == len(set(ids))
        assert scene.statuses("reconnect")


async def test_after_a_skipped_delta_no_wrong_book_is_published(play: Any, until: Any) -> None:
    async with play("bybit", "BTCUSDT") as scene:
        await until(lambda: flows(scene))
        scene.sim.faults.lose(BOOK)
        await until(lambda: scene.feed.book_resyncs == 1)
        seen = len(scene.of(BookL2))
        await until(lambda: len(scene.of(BookL2)) > seen + 5)
        scene.check_books("BTCUSDT")
        assert scene.feed.connections[0].opens == 1
