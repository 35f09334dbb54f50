"""What is said of how far the numbers can be trusted."""

from typing import Any

import pytest

from md_contract.events import BookL2, Quote, Trade
from md_contract.units import NS_PER_S
from senpai.md_consumer.counters import Counters
from senpai.md_consumer.marks import INPUTS
from senpai.md_consumer.state import SymbolState
from senpai.md_consumer.trust import MISSING, Cadence, Cadences, assess, doubts


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
        ("drop", {"type": "trade", "latest_kept": True}, ["trade_gap", "warming_up"], True, 1),
        ("drop", {"type": "quote", "latest_kept": True}, ["quote_gap"], True, 0),
        ("reconnect", {"reason": "closed"}, ["reconnect"], True, 0),
        ("backfill", {"from": 1, "to": 3, "missing": 3, "backfilled": 0}, ["backfill"], True, 0),
        ("backfill", {"from": 1, "to": 3, "missing": 0, "backfilled": 3}, [], False, 0),
        ("backfill", {"missing": "odd"}, [], False, 0),
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


def backfill(market: Any, first: int, missing: int) -> None:
    market.status("backfill", **{"from": first, "to": first + 2, "missing": missing, "backfilled": 3 - missing})


def test_a_hole_being_filled_shows_until_all_of_them_are_filled(market: Any) -> None:
    feed(market, 0, 100)
    backfill(market, 5, 3)
    backfill(market, 20, 3)
    backfill(market, 5, 0)
    backfill(market, 5, 0)  # said again
    feed(market, 100, 5)
    assert (market.trust.gap, market.trust.warm, market.trust.reasons) == (True, True, ["backfill"])
    backfill(market, 20, 0)
    assert (market.trust.gap, market.trust.reasons) == (False, [])
    backfill(market, 20, 0)
    assert market.trust.reasons == []


def test_a_hole_that_is_never_filled_shows_until_it_has_left_the_longest_window(market: Any) -> None:
    feed(market, 0, 100)
    backfill(market, 5, 3)
    feed(market, 100, 59)
    assert market.trust.reasons == ["backfill"]
    feed(market, 159, 1)
    assert market.trust.reasons == []


def test_more_holes_than_are_counted_are_not_filled_too_early(market: Any) -> None:
    feed(market, 0, 100)
    for first in range(40):
        backfill(market, first, 3)
    for first in range(40):
        backfill(market, first, 0)
    assert market.trust.reasons == ["backfill"]
    feed(market, 100, 60)
    assert market.trust.reasons == []


def test_what_of_a_hole_could_not_be_had_is_a_gap(market: Any) -> None:
    feed(market, 0, 100)
    backfill(market, 5, 3)
    market.status("gap", **{"from": 5, "to": 5, "missing": 1, "backfilled": 2})
    assert sorted(market.trust.reasons) == ["trade_gap", "warming_up"]


@pytest.mark.parametrize(
    ("to", "shown"), [("bybit", "bybit"), (None, "binance"), ("", "binance"), (7, "binance"), ("a\nb", "binance")]
)
def test_a_switch_names_the_provider_that_the_status_names(market: Any, to: Any, shown: str) -> None:
    feed(market, 0, 100)
    market.status("source_switch", to=to)
    market.silence(1)
    assert market.pipeline.switched() == {"BTCUSDT": shown}


def test_a_switch_is_over_when_the_longest_window_holds_one_source(market: Any) -> None:
    feed(market, 0, 100)
    market.status("source_switch", to="other")
    market.provider = "bybit"
    feed(market, 100, 60)
    market.pipeline.on_time(market.mono_ns)
    assert (market.clock_s, market.pipeline.switched()) == (159, {"BTCUSDT": "bybit"})
    feed(market, 160, 1)
    market.pipeline.on_time(market.mono_ns)
    assert market.pipeline.switched() == {}


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
    assert cadence.most_silence_ns(77) == pytest.approx(10 * (1 + 0.2 * 5) * second, rel=1e-9, abs=0)
    cadence.look(10_000, 109 * second)
    cadence.look(10_001, 109 * second)
    assert cadence.most_silence_ns(77) == pytest.approx(10 * 0.64 * 2 * second, rel=1e-3, abs=0)
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
    assert cadences["delays"].most_silence_ns(0) == pytest.approx(20 / 3 * second, rel=1e-9, abs=0)


def test_an_event_of_the_same_instant_ends_stale_and_no_age_is_below_zero(market: Any) -> None:
    market.trade(0)
    market.status("stale")
    assert not market.trust.stale
    market.mono_ns -= 5
    assert (market.trust.age_ms, market.trust.stale) == (0, False)


class Symbol:
    """A symbol's state and cadences, without a pipeline; seconds of every clock count from an arbitrary start."""

    def __init__(self) -> None:
        self.state, self.cadences = SymbolState("BTCUSDT", 60 * NS_PER_S, Counters()), Cadences()

    def live(self, start_s: int, end_s: int, *kinds: str, price: str = "100") -> None:
        """An event of each of these kinds every second, and a look at the cadences after each."""
        for second in range(start_s, end_s):
            at = second * NS_PER_S
            where = ("binance", "BTCUSDT", at)
            if "trades" in kinds:
                self.state.on_trade(Trade(*where, price, "1", "1", ts_event=at), at)
            if "quotes" in kinds:
                self.state.on_quote(Quote(*where, price, "1", price, "1", ts_event=at), at)
            if "books" in kinds:
                self.state.on_book(BookL2(*where, [], [], ts_event=at), at)
            self.cadences.look(self.state)

    def doubts(self, *, at_s: float, **needs_s: int) -> list[str]:
        needs: Any = {source: span_s * NS_PER_S for source, span_s in needs_s.items()}
        return doubts(self.state, self.cadences, needs, round(at_s * NS_PER_S))


@pytest.fixture
def symbol() -> Symbol:
    symbol = Symbol()
    symbol.live(1_000, 1_100, "trades", "quotes", "books")
    return symbol


def test_inputs_that_are_live_are_not_doubted(symbol: Symbol) -> None:
    assert symbol.doubts(at_s=1_099, trades=60, quotes=60, books=0) == []


@pytest.mark.parametrize(("span_s", "expected"), [(99, []), (100, ["warming_up"])])
@pytest.mark.parametrize("source", ["trades", "quotes"])
def test_an_input_is_warm_when_its_history_is_as_long_as_the_window(
    symbol: Symbol, source: str, span_s: int, expected: list[str]
) -> None:
    assert symbol.doubts(at_s=1_099, **{source: span_s}) == expected


def test_one_input_that_is_not_warm_is_enough(symbol: Symbol) -> None:
    symbol.state.restart_trades("correction")
    symbol.state.marks.clear()
    assert symbol.doubts(at_s=1_099, quotes=60) == []
    assert symbol.doubts(at_s=1_099, quotes=60, trades=10) == ["warming_up"]


@pytest.mark.parametrize("silent", ["trades", "quotes", "books"])
def test_one_input_that_is_silent_for_ten_of_its_gaps_is_enough(symbol: Symbol, silent: str) -> None:
    others = {"trades", "quotes", "books"} - {silent}
    symbol.live(1_100, 1_105, *others)
    assert symbol.doubts(at_s=1_109, trades=0, quotes=0, books=0) == []
    assert symbol.doubts(at_s=1_109 + 1e-9, **dict.fromkeys(others, 0)) == []
    assert symbol.doubts(at_s=1_109 + 1e-6, trades=0, quotes=0, books=0) == ["stale"]
    symbol.live(1_105, 1_130, *others)
    assert symbol.doubts(at_s=1_129, **{silent: 0}) == ["stale"]
    assert symbol.doubts(at_s=1_129, **dict.fromkeys(others, 0)) == []


def test_what_never_came_is_as_late_as_everything(symbol: Symbol) -> None:
    assert symbol.doubts(at_s=1_099 + 5 + 1e-9, delays=60) == ["stale"]
    assert symbol.doubts(at_s=1_099 + 5, delays=60) == []


def test_the_producers_word_counts_until_the_next_event(symbol: Symbol) -> None:
    symbol.state.said_stale_ns = symbol.state.mono_ns
    assert symbol.doubts(at_s=1_099, trades=0) == []
    symbol.state.said_stale_ns += 1
    assert symbol.doubts(at_s=1_099, trades=0) == ["stale"]


@pytest.mark.parametrize("kind", ["trades", "quotes"])
def test_a_price_that_waits_to_be_confirmed_is_a_doubt_for_who_reads_it(symbol: Symbol, kind: str) -> None:
    symbol.live(1_100, 1_101, kind, price="150")
    other = "quotes" if kind == "trades" else "trades"
    assert symbol.doubts(at_s=1_100, **{kind: 0}) == ["implausible_price"]
    assert symbol.doubts(at_s=1_100, **{kind: 0, other: 0}) == ["implausible_price"]
    assert symbol.doubts(at_s=1_100, **{other: 0, "books": 0}) == []
    assert assess(symbol.state, symbol.cadences, 0).reasons == ["implausible_price"]
    symbol.state.mark("implausible_price", *INPUTS)
    assert symbol.doubts(at_s=1_100, **{kind: 10}) == ["implausible_price"]
    assert assess(symbol.state, symbol.cadences, 0).reasons == ["implausible_price"]


@pytest.mark.parametrize(
    ("reasons", "gap"),
    [
        ([], False),
        (["source_switch"], False),
        (["reconnect"], True),
        (["reconnect", "source_switch"], True),
        (["what_nobody_knows"], True),
    ],
)
def test_a_gap_is_when_anything_may_be_missing(symbol: Symbol, reasons: list[str], gap: bool) -> None:
    for reason in reasons:
        symbol.state.mark(reason, "trades")
    trust = assess(symbol.state, symbol.cadences, 1_099 * NS_PER_S)
    assert (trust.gap, trust.reasons) == (gap, reasons)
