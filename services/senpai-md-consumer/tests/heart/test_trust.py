"""What is said of how far the numbers can be trusted."""

from typing import Any

import pytest

from md_contract.events import BookL2, Quote, Trade
from md_contract.units import NS_PER_S
from senpai.md_consumer.counters import Counters
from senpai.md_consumer.state import SymbolState
from senpai.md_consumer.trust import MISSING, Cadence, Cadences


def feed(market: Any, start_s: int, for_s: int, every_s: float = 1) -> None:
    """A trade every so often, on both clocks, with a look at the time after each."""
    for i in range(round(for_s / every_s)):
        market.mono_ns = round((50_000 + start_s + i * every_s) * NS_PER_S)
        market.trade(start_s + i * every_s, 100)
        market.pipeline.on_time(market.mono_ns)


def test_a_symbol_is_warm_after_the_longest_window(market: Any) -> None:
    feed(market, 0, 60)
    assert (market.trust.warm, market.trust.reasons) == (False, ["warming_up"])
    feed(market, 60, 1)
    assert (market.trust.warm, market.trust.reasons) == (True, [])
    assert (market.trust.gap, market.trust.stale, market.trust.source) == (False, False, "binance")


def test_quotes_count_as_history_for_a_symbol_that_has_not_traded(market: Any) -> None:
    market.quote(0)
    market.trade(59)
    assert not market.trust.warm
    market.trade(60)
    assert market.trust.warm


def test_after_a_switch_of_source_history_begins_with_its_first_event(market: Any) -> None:
    feed(market, 0, 100)
    market.provider = "bybit"
    market.quote(110)
    market.trade(150)
    assert (market.trust.warm, market.trust.gap) == (False, False)
    market.trade(170)
    assert market.trust.warm


def test_a_shorter_window_is_warm_earlier(make_market: Any) -> None:
    market = make_market(window_s=20)
    feed(market, 0, 21)
    assert market.trust.warm


def test_age_is_the_silence_and_trades_are_counted(market: Any) -> None:
    feed(market, 0, 100)
    assert (market.trust.age_ms, market.trust.trades_60s) == (0, 60)
    market.mono_ns += 1_500_000_000
    assert market.trust.age_ms == 1_500


@pytest.mark.parametrize(("every_s", "fresh_s", "stale_s"), [(0.1, 4.9, 5.2), (1, 9.9, 10.2), (3, 29, 31)])
def test_a_symbol_is_stale_after_ten_of_its_usual_silences(
    market: Any, every_s: float, fresh_s: float, stale_s: float
) -> None:
    feed(market, 0, 90, every_s)
    market.mono_ns += round((fresh_s - 1e-3) * NS_PER_S)
    assert not market.trust.stale
    market.mono_ns += round((stale_s - fresh_s) * NS_PER_S)
    assert market.trust.stale
    assert "stale" in market.trust.reasons
    market.trade(200)
    assert not market.trust.stale


def test_becoming_stale_and_warm_is_news(market: Any) -> None:
    feed(market, 0, 3)
    news = [second for second in range(3, 150) if market.silence(1)]
    assert news[-1] == 62  # the last trade leaves the 60 s window
    assert market.trust.stale
    assert market.trust.warm
    assert market.silence(1_000) == []


@pytest.mark.parametrize("missing", [1, 50, -1])
def test_lost_trades_restart_the_trade_windows_and_show_for_the_longest_window(market: Any, missing: int) -> None:
    feed(market, 0, 100)
    market.quote(100)
    market.pipeline.on_bus_gap("trade", "BTCUSDT", missing, market.mono_ns)
    feed(market, 110, 1)
    found = market.features
    assert (found["trade_count_10s"], found["return_10s"], found["mid"]) == (1, None, 100)
    assert found["latency_ms_p50"] is not None
    reason = "trade_gap" if missing > 0 else "new_epoch"
    assert (market.trust.gap, market.trust.reasons) == (True, ["warming_up", reason])
    feed(market, 111, 59)
    assert not market.trust.warm
    feed(market, 170, 1)
    assert (market.trust.gap, market.trust.reasons) == (False, [])


@pytest.mark.parametrize("event_type", ["quote", "book_l2"])
def test_lost_quotes_and_books_show_and_restart_nothing(market: Any, event_type: str) -> None:
    feed(market, 0, 100)
    market.pipeline.on_bus_gap(event_type, "BTCUSDT", 2, market.mono_ns)
    assert (market.trust.gap, market.trust.warm, market.trust.reasons) == (True, True, [f"{event_type}_gap"])
    assert market.features["trade_count_10s"] == 10
    feed(market, 100, 60)
    assert market.trust.reasons == []


def test_news_of_an_unknown_symbol_is_nothing(market: Any) -> None:
    market.pipeline.on_bus_gap("trade", "BTCUSDT", 2, 0)
    market.status("gap")
    assert market.pipeline.symbols == set()


@pytest.mark.parametrize(
    ("kind", "detail", "reasons", "gap", "restarts"),
    [
        ("gap", {}, ["trade_gap", "warming_up"], True, 1),
        ("gap", {"from": 1, "to": 3, "missing": 3}, ["trade_gap", "warming_up"], True, 1),
        ("gap", {"type": "quote"}, ["quote_gap"], True, 0),
        ("drop", {"type": "trade"}, ["trade_gap", "warming_up"], True, 1),
        ("drop", {"type": "book_l2"}, ["book_l2_gap"], True, 0),
        ("reconnect", {"reason": "closed"}, ["reconnect"], True, 0),
        ("correction", {}, ["correction"], True, 0),
        ("stale", {}, ["stale"], False, 0),
        ("source_switch", {}, ["source_switch"], False, 0),
        ("recovered", {}, [], False, 0),
        ("gap", {"type": ["odd"]}, [], False, 0),
        ("something_new", {}, [], False, 0),
    ],
)
@pytest.mark.parametrize("symbol", ["BTCUSDT", "__system__"])
def test_status_events_show_in_trust(
    market: Any, kind: str, detail: dict[str, Any], reasons: list[str], gap: bool, restarts: int, symbol: str
) -> None:
    feed(market, 0, 100)
    market.mono_ns += 1
    market.status(kind, symbol, **detail)
    assert (sorted(market.trust.reasons), market.trust.gap) == (reasons, gap)
    assert sum(market.pipeline.counters.restarts.values()) == restarts
    assert market.pipeline.counters.statuses == {"other" if kind == "something_new" else kind: 1}


def test_a_status_of_one_provider_does_not_concern_another(market: Any) -> None:
    feed(market, 0, 100)
    market.provider = "bybit"
    market.status("reconnect", "__system__")
    assert market.trust.reasons == []


def test_stale_ends_with_recovered_or_with_an_event(market: Any) -> None:
    feed(market, 0, 100)
    for end, value in ((market.status, "recovered"), (market.trade, 101)):
        market.mono_ns += 1
        market.status("stale")
        assert market.trust.stale
        market.mono_ns += 1
        end(value)
        assert not market.trust.stale


def test_a_cadence_is_the_mean_gap_with_a_fifth_of_its_weight_on_the_last_look() -> None:
    cadence, second = Cadence(), NS_PER_S
    assert cadence.most_silence_ns(77) == 77
    cadence.look(1, 100 * second)
    assert cadence.most_silence_ns(77) == 77
    cadence.look(3, 102 * second)
    assert cadence.most_silence_ns(77) == 10 * second
    cadence.look(3, 150 * second)
    assert cadence.most_silence_ns(77) == 10 * second
    cadence.look(4, 108 * second)
    assert cadence.most_silence_ns(77) == pytest.approx(10 * (1 + 0.2 * 5) * second)
    cadence.look(10_000, 109 * second)
    cadence.look(10_001, 109 * second)
    assert cadence.most_silence_ns(77) == pytest.approx(10 * 0.64 * 2 * second, rel=1e-3)
    for events in range(10_002, 10_010):
        cadence.look(events, 109 * second)
    assert cadence.most_silence_ns(77) == 5 * second


def test_something_is_missing_after_all_that_disturbs_but_what_only_begins_anew_or_is_odd() -> None:
    nothing_missing = {reason for reason, is_missing in MISSING.items() if not is_missing}
    assert nothing_missing == {"event_time_began", "source_switch", "implausible_price"}


def test_two_looks_are_enough_for_a_cadence(market: Any) -> None:
    feed(market, 0, 2)
    market.mono_ns += 10 * NS_PER_S
    assert not market.trust.stale
    market.mono_ns += 1
    assert market.trust.stale


def test_an_unknown_cadence_is_as_long_as_the_longest_window(market: Any) -> None:
    market.trade(0)
    market.mono_ns += 60 * NS_PER_S
    assert not market.trust.stale
    market.mono_ns += 1
    assert market.trust.stale


def test_cadences_go_by_our_clock_though_that_of_who_received_the_events_steps() -> None:
    state, cadences, second = SymbolState("BTCUSDT", 60 * NS_PER_S, Counters()), Cadences(), NS_PER_S
    for mono_s, recv_s in ((100, 10_000), (102, 13_602), (104, 13_604)):
        recv = recv_s * second
        state.on_trade(Trade("binance", "BTCUSDT", recv, "1", "1", "1"), mono_s * second)
        state.on_quote(Quote("binance", "BTCUSDT", recv, "1", "1", "2", "1"), mono_s * second)
        state.on_book(BookL2("binance", "BTCUSDT", recv, [], []), mono_s * second)
        cadences.look(state)
    assert [cadences[source].most_silence_ns(0) for source in ("trades", "quotes", "books")] == [20 * second] * 3
    assert cadences["delays"].most_silence_ns(0) == pytest.approx(20 / 3 * second)


def test_an_event_of_the_same_instant_ends_stale_and_no_age_is_below_zero(market: Any) -> None:
    market.trade(0)
    market.status("stale")
    assert not market.trust.stale
    market.mono_ns -= 5
    assert (market.trust.age_ms, market.trust.stale) == (0, False)
